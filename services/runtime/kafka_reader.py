"""Reading partitions by hand, with no group and no commits: to restore state, and to follow along.

Where a partition ends is told by the high watermark that fetch answers carry, or by a marker that
the reader itself wrote: some brokers answer other questions about the end wrongly.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from services.runtime.errors import NotFound
from services.runtime.kafka_client import client_options, connect, delivery, unreachable
from services.runtime.ports import Delivery
from services.runtime.settings import KafkaSettings

POLL_MS = 200
"""How long a poll waits."""
BATCH = 2_000
"""Messages of a poll at most."""
Place = tuple[str, int]
"""A topic and a partition."""


def plain_consumer(settings: KafkaSettings, client_id: str) -> KafkaConsumer:
    """Return a consumer of no group; blocks."""
    return KafkaConsumer(
        **client_options(settings, client_id),
        metrics_enabled=False,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        fetch_max_wait_ms=POLL_MS,
        max_partition_fetch_bytes=settings.max_message_bytes,
    )


class KafkaReader:
    """Reads stretches of partitions on demand, one request after the other."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._consumer: KafkaConsumer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-read")
        self._turn = asyncio.Lock()

    async def up_to(self, markers: Mapping[Place, bytes]) -> list[Delivery]:
        """Return all messages of the partitions, each up to the message of that value.

        Within a partition they are in order. May be cancelled.
        """
        found: list[Delivery] = []
        left = dict(markers)

        def take(message: Delivery) -> bool:
            place = (message.topic, message.partition)
            if place in left:
                found.append(message)
                if message.value == left[place]:
                    del left[place]
            return not left

        if left:
            await self._read({place: 0 for place in markers}, take)
        return found

    async def between(self, topic: str, partition: int, first: int, last: int) -> list[Delivery]:
        """Return the messages of a partition from offset `first` to `last`, which must exist."""
        found: list[Delivery] = []

        def take(message: Delivery) -> bool:
            if message.offset <= last:
                found.append(message)
            return message.offset >= last

        await self._read({(topic, partition): first}, take)
        return found

    async def at(self, topic: str, partition: int, offset: int, seconds: float = 30.0) -> Delivery:
        """Return one message; waits for it for so many seconds.

        Raises:
            NotFound: there is none at that offset (any more).
        """
        found: list[Delivery] = []

        def take(message: Delivery) -> bool:
            found.append(message)
            return True

        try:
            async with asyncio.timeout(seconds):
                await self._read({(topic, partition): offset}, take)
        except TimeoutError:
            found = []
        if not found or found[0].offset != offset:
            raise NotFound(f"no message at {topic}[{partition}]@{offset}")
        return found[0]

    async def _read(self, starts: Mapping[Place, int], take: Callable[[Delivery], bool]) -> None:
        async with self._turn:
            if self._consumer is None:
                self._consumer = await connect(
                    self._settings,
                    "a reader",
                    lambda: plain_consumer(self._settings, self._client_id),
                )
            consumer: KafkaConsumer = self._consumer
            stop = threading.Event()

            def work() -> None:
                places = {TopicPartition(*place): offset for place, offset in starts.items()}
                consumer.assign(list(places))
                for place, offset in places.items():
                    consumer.seek(place, offset)
                while not stop.is_set():
                    for records in consumer.poll(POLL_MS, max_records=BATCH).values():
                        for record in records:
                            if take(delivery(record)):
                                return

            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, work)
            except KafkaError as error:
                raise unreachable(self._settings, error) from error
            finally:
                stop.set()

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await asyncio.get_running_loop().run_in_executor(self._thread, consumer.close)
        self._thread.shutdown(wait=False)
