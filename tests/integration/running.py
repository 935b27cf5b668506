"""One life of a service: its parts over a log and simulated models, as composed in the product."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from services.events import codec
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import MODEL_ANSWERS, TOPICS, Topic
from services.local.log import Log
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.endpoints import Endpoint
from services.runtime.journal import ModelJournal
from services.runtime.metrics import Metrics
from services.runtime.model_servers import ROLES
from services.runtime.models import CallSettings, HttpModels
from services.runtime.protobuf import Codec
from services.runtime.state import Changelog
from services.runtime.worker import Route, Worker

S = TypeVar("S")
_HASTY = CallSettings(first_backoff_seconds=0.001, max_backoff_seconds=0.01)
_PLAIN = SimulatorSettings()


def open_log(path: Path) -> Log:
    """Return the log in a file, with the product's topics."""
    return Log(path, {topic.name for topic in TOPICS if topic.compacted})


async def publish(log: Log, topic: Topic, key: str, *events: object) -> None:
    """Append events."""
    await log.publish([codec.to_record(topic, key, event) for event in events])


async def events(log: Log, topic: Topic) -> list[Any]:
    """Return all events of a topic."""
    return [codec.from_delivery(delivery) for delivery in await log.history(topic.name)]


@dataclass
class Process:
    """What the parts of a service share."""

    log: Log
    models: HttpModels
    journal: ModelJournal
    metrics: Metrics
    chat: Simulator

    async def changelog(self, topic: Topic, of: Codec[S]) -> Changelog[S]:
        """Return the states that the log holds."""
        states = Changelog(topic.name, of, self.log)
        states.restore(await self.log.history(topic.name))
        return states

    def worker(self, service: str, routes: Sequence[Route]) -> Worker:
        """Return what works the service's topics off from where it last committed."""
        source = self.log.consumer(service, [route.topic for route in routes])
        return Worker(service, source, routes, DeadLetterTopic(self.log, self.metrics))

    @property
    def calls(self) -> int:
        """Chats that were answered."""
        return self.metrics.model.calls.total()


async def work(worker: Worker) -> None:
    """Handle everything that there is, one message at a time."""
    while await worker.step():
        pass


@asynccontextmanager
async def serving(settings: SimulatorSettings) -> AsyncIterator[tuple[Simulator, Endpoint]]:
    """Run a simulated model."""
    simulator = Simulator(settings, record=True)
    try:
        yield simulator, Endpoint(await simulator.start(), "simulated")
    finally:
        await simulator.stop()


@asynccontextmanager
async def process(
    log: Log, chat: SimulatorSettings = _PLAIN, embedding: SimulatorSettings = _PLAIN
) -> AsyncIterator[Process]:
    """Start a process over what the log holds; leaving it is a crash."""
    metrics = Metrics()
    async with (
        serving(chat) as (simulator, chat_at),
        serving(embedding) as (_, embedding_at),
        HttpModels(
            {**dict.fromkeys(ROLES, chat_at), "embedding": embedding_at},
            metrics.model,
            settings=_HASTY,
        ) as models,
    ):
        journal = ModelJournal(MODEL_ANSWERS.name, models, log, metrics=metrics.model)
        journal.restore(await log.history(MODEL_ANSWERS.name))
        yield Process(log, models, journal, metrics, simulator)
