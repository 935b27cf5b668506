"""What the services stand on: an object store and a broker, our own or existing ones."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from services.events.topics import TOPICS
from services.local.servers.process import LOOPBACK, answers
from services.local.servers.seaweedfs import Credentials, SeaweedFS
from services.local.servers.tansu import Tansu
from services.local.up.children import Child, Program
from services.local.up.directory import UpDirectory
from services.local.up.settings import BUCKET, LOG_BUCKET, UpSettings
from services.local.up.supervisor import Supervisor
from services.runtime.kafka_topics import TopicSpec, create_topics
from services.runtime.object_store import prepare_bucket
from services.runtime.settings import KafkaSettings, ObjectStoreSettings, Settings


class Foundation:
    """Object store first, then the broker, which keeps its messages there."""

    def __init__(
        self,
        settings: UpSettings,
        base: Settings,
        directory: UpDirectory,
        supervisor: Supervisor,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._base = base
        self._directory = directory
        self._supervisor = supervisor
        self._tell = tell
        self._store: Child | None = None
        self._broker: Child | None = None

    async def store(self, credentials: Credentials) -> ObjectStoreSettings:
        """Return the bucket for datasets, made in our own object store or an existing one.

        Raises:
            Rejected: the store does not start, or refuses.
            Retryable: it does not answer.
        """
        if self._settings.s3:
            store = self._settings.existing_store(self._base.object_store)
        else:
            server = SeaweedFS(self._directory.path / "store", credentials)
            server.process.log = self._directory.log("seaweedfs")
            self._store = await self._up("seaweedfs", server.endpoint, server)
            store = server.settings(BUCKET)
        await prepare_bucket(store)
        self._tell(f"object store: {store.endpoint}, datasets in {store.url}")
        return store

    async def broker(self, store: ObjectStoreSettings) -> KafkaSettings:
        """Return how to reach the broker, with all topics made.

        Raises:
            Rejected: the broker does not start or refuses, or has the topics with other partitions.
            Retryable: it does not answer.
        """
        address = self._settings.kafka
        if not address:
            log = store.model_copy(update={"url": f"s3://{LOG_BUCKET}"})
            await prepare_bucket(log, versioned=False)
            server = Tansu(self._directory.path, log)
            server.process.log = self._directory.log("tansu")
            address = server.bootstrap_servers
            self._broker = await self._up("tansu", f"tcp://{address}", server)
        kafka = self._base.kafka.model_copy(
            update={"bootstrap_servers": address, "partitions": self._settings.partitions}
        )
        specs = [TopicSpec(topic.name, topic.compacted, topic.kept) for topic in TOPICS]
        report = await asyncio.to_thread(create_topics, kafka, specs)
        made = f"{len(report.created)} topics made, {len(report.existing)} found"
        self._tell(f"broker: {address}, {made}, {kafka.partitions} partitions each")
        return kafka

    async def down(self) -> None:
        """End our own servers, the broker before the store that it writes to."""
        for child in (self._broker, self._store):
            if child is not None:
                await self._supervisor.stop(child.name)

    async def _up(self, name: str, url: str, server: SeaweedFS | Tansu) -> Child:
        port = urlsplit(url).port
        assert port is not None  # our own servers always have one
        program = Program(name, server.process, answers(port, LOOPBACK), server.start)
        child = self._supervisor.add(program)
        if isinstance(server, SeaweedFS):
            self._store = child
        else:
            self._broker = child
        await self._supervisor.until_ready(child)
        return child
