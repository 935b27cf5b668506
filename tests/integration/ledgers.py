"""A service of few lines with all that ownership asks for: it counts what comes for each key."""

import asyncio
from collections import defaultdict

import orjson

from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ownership import History, Keeper, Ownership
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery, Record
from services.runtime.settings import KafkaSettings
from services.runtime.worker import Route, Worker
from tests.integration.brokers import fresh_topics


class Letters:
    """Dead letters that are looked at."""

    def __init__(self) -> None:
        self.buried: list[tuple[Delivery, str]] = []

    async def bury(self, service: str, delivery: Delivery, reason: str) -> None:
        self.buried.append((delivery, reason))


class Ledger:
    """One replica. The state of a key is the list of numbers that came, each once."""

    def __init__(self, settings: KafkaSettings, topics: list[str], group: str) -> None:
        self.settings, self.group = settings, group
        self.input, self.changelog, self.output = topics
        self.publisher = KafkaPublisher(settings, group)
        self.reader = KafkaReader(settings, group)
        self.ownership = Ownership(
            settings,
            group,
            self.input,
            [self.changelog],
            [],
            self.publisher,
            self.reader,
            [self.changelog],
        )
        self.states: dict[str, list[int]] = {}
        self.letters = Letters()
        self.worker = Worker(
            group,
            self.ownership.member,
            [Route(self.input, self.handle)],
            self.letters,
            supervised=True,
        )
        self.open = asyncio.Event()
        """Handlers wait for it between computing and writing."""
        self.open.set()
        self.waiting = 0
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> "Ledger":
        await self.publisher.start([self.input, self.changelog, self.output])
        keeper = Keeper(self.adopt, self.release)
        self.task = asyncio.create_task(self.ownership.run(self.worker, keeper))
        return self

    async def handle(self, delivery: Delivery) -> None:
        number = int(delivery.value)
        numbers = self.states.get(delivery.key, [])
        if number not in numbers:
            numbers = [*numbers, number]
            self.waiting += 1
            try:
                await self.open.wait()
            finally:
                self.waiting -= 1
            value = orjson.dumps(numbers)
            await self.ownership.publish([Record(self.changelog, delivery.key, value)])
            self.states[delivery.key] = numbers
        place = str(numbers.index(number)).encode()
        await self.ownership.publish(
            [Record(self.output, delivery.key, delivery.value + b"@" + place)]
        )

    async def adopt(self, partition: int, history: History) -> None:
        for delivery in history[self.changelog]:
            if delivery.value:
                self.states[delivery.key] = orjson.loads(delivery.value)

    async def release(self, gone: set[int]) -> None:
        for key in list(self.states):
            if partition_of(key, self.settings.partitions) in gone:
                del self.states[key]

    @property
    def owned(self) -> set[int]:
        parts = range(self.settings.partitions)
        return {part for part in parts if self.ownership.owns_partition(part)}

    async def leave(self) -> None:
        """Drain, and go."""
        self.ownership.member.drain()
        await self.worker.finish()
        await self.end()

    async def end(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.reader.close()
        await self.publisher.close()


def outputs(deliveries: list[Delivery]) -> dict[str, dict[int, set[int]]]:
    """Return by key and number every place that an output gave it."""
    found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for delivery in deliveries:
        number, _, place = delivery.value.partition(b"@")
        found[delivery.key][int(number)].add(int(place))
    return found


async def ledger_topics(settings: KafkaSettings) -> list[str]:
    """Make the three topics of a ledger."""
    return await fresh_topics(settings, "input", "changelog", "output")
