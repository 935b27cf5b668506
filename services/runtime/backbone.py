"""What a service process stands on: broker, models, other replicas; described, then opened."""

import time
from collections.abc import Sequence
from functools import partial

from services.runtime.admission import Demand
from services.runtime.fencing import Fence
from services.runtime.journal import ModelJournal
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.kafka_reader import KafkaReader
from services.runtime.kafka_tail import KafkaTail
from services.runtime.metrics import Metrics
from services.runtime.model_servers import open_models
from services.runtime.models import HttpModels
from services.runtime.ownership import Ownership
from services.runtime.partitions import partition_of
from services.runtime.peers import Peers, new_replica
from services.runtime.ports import ChatAnswer, ChatRequest, Clock, Delivery, Embeddings, Role
from services.runtime.refusals import ProbedModel
from services.runtime.settings import Settings


class Backbone:
    """The connections of one process. Made without any; `start` waits until all are there."""

    def __init__(self, service: str, settings: Settings, clock: Clock = time.time) -> None:
        self.service = service
        self.settings = settings
        self.clock = clock
        self.metrics = Metrics()
        self.replica = new_replica()
        """Tells this process from the other replicas."""
        self.publisher = KafkaPublisher(settings.kafka, f"matrix-{service}", self.metrics.kafka)
        self.reader = KafkaReader(settings.kafka, f"matrix-{service}-reader")
        self.peers = Peers(settings.grpc, self.replica)
        self.models = _LateModels()
        self.followed = Followed()

    def ownership(
        self,
        group: str,
        topic: str,
        fenced: Sequence[str] = (),
        restored: Sequence[str] = (),
        compacted: Sequence[str] = (),
    ) -> Ownership:
        """Return the membership of a group, which is not joined yet."""
        return Ownership(
            self.settings.kafka,
            group,
            topic,
            fenced,
            restored,
            self.publisher,
            self.reader,
            compacted,
            self.metrics.kafka,
        )

    def journal(self, topic: str, ownership: Ownership) -> ModelJournal:
        """Return the journal of the model answers of what is owned."""
        return ModelJournal(
            topic,
            self.models,
            ownership,
            metrics=self.metrics.model,
            partition=partial(partition_of, partitions=self.settings.kafka.partitions),
            certain=ownership.certain,
        )

    async def start(self, topics: Sequence[str]) -> None:
        """Connect to all, waiting for what is not there yet.

        Raises:
            Rejected: something refuses us, or a setting is missing.
        """
        await self.publisher.start(topics)
        models = await open_models(self.settings.models, self.metrics.model)
        await models.__aenter__()
        self.models.opened = models

    async def close(self) -> None:
        """Disconnect."""
        await self.reader.close()
        await self.publisher.close()
        await self.peers.close()
        if self.models.opened is not None:
            await self.models.opened.__aexit__()


class Followed:
    """The reader of the broadcast topics, for those who must know how far it is."""

    def __init__(self) -> None:
        self.fence = Fence()
        """What of these topics counts, up to where they were read."""
        self.tail: KafkaTail | None = None

    async def counts(self, delivery: Delivery) -> bool:
        """Return whether a message of these topics counts, once they were read as far as that."""
        if self.tail is not None:
            await self.tail.passed(delivery.topic, delivery.partition, delivery.offset)
        return self.fence.valid(delivery)


class _LateModels:
    """The models, for those who are made before they are there."""

    def __init__(self) -> None:
        self.opened: HttpModels | None = None

    def _there(self) -> HttpModels:
        if self.opened is None:
            raise RuntimeError("a model is asked before the service has started")
        return self.opened

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Ask a model; see `ports.ChatModel`."""
        return await ProbedModel(self._there()).chat(role, stage, request)

    def demand(self, role: Role) -> Demand:
        """Return what is asked of the server of `role`, as of its last word."""
        return self._there().demand(role)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector per text; see `ports.Embedder`."""
        return await self._there().embed(texts)
