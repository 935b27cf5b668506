"""Following topics whole: every replica reads them, and nobody owns them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from services.runtime.errors import MatrixError, NotOwner, Retryable
from services.runtime.kafka_client import connect, delivery
from services.runtime.kafka_reader import BATCH, POLL_MS, Place, plain_consumer
from services.runtime.ports import Delivery
from services.runtime.settings import KafkaSettings

_log = structlog.get_logger(__name__)
_PAUSE_SECONDS = 1.0


async def read_all(
    settings: KafkaSettings, client_id: str, topics: Sequence[str]
) -> list[Delivery]:
    """Return all messages that the topics hold now, in order within each partition."""
    found: list[Delivery] = []

    async def collect(message: Delivery) -> None:
        found.append(message)

    tail = KafkaTail(settings, client_id, topics, collect)
    try:
        await tail.start()
        await tail.caught_up()
    finally:
        await tail.close()
    return found


class KafkaTail:
    """Reads topics whole, from the beginning, and follows what comes.

    Messages of one partition are handled in order, one at a time. One that cannot be handled is
    logged and passed over: every replica reads it, and none of them owns it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        client_id: str,
        topics: Sequence[str],
        handle: Callable[[Delivery], Awaitable[None]],
        from_now: bool = False,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._topics = topics
        self._handle = handle
        self._from_now = from_now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-tail")
        self._task: asyncio.Task[None] | None = None
        self._positions: dict[Place, int] = {}
        self._lagging: set[Place] = set()
        self._advanced = asyncio.Condition()
        self._closing = False

    async def start(self) -> None:
        """Connect, and begin.

        Raises:
            Rejected: the broker refuses us.
        """
        consumer = await connect(self._settings, "a follower", self._open)
        self._task = asyncio.create_task(self._follow(consumer), name=f"tail/{self._client_id}")

    def _open(self) -> KafkaConsumer:
        consumer = plain_consumer(self._settings, self._client_id)
        places = [
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in range(self._settings.partitions)
        ]
        consumer.assign(places)
        if not self._from_now:
            for place in places:
                consumer.seek(place, 0)
        self._lagging = {(place.topic, place.partition) for place in places}
        return consumer

    async def caught_up(self) -> None:
        """Wait until all that was there at the start is handled; raises what ended the reading."""
        await self._until(lambda: not self._lagging)

    async def passed(self, topic: str, partition: int, offset: int) -> None:
        """Wait until the message at an offset is handled."""
        await self._until(lambda: self._positions.get((topic, partition), 0) > offset)

    async def ended(self) -> None:
        """Wait for the end of the reading; raises what ended it."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._advanced:
            await self._advanced.wait_for(lambda: condition() or self._ended)
        if not condition() and self._task is not None:
            await self._task

    @property
    def _ended(self) -> bool:
        return self._task is None or self._task.done()

    async def _follow(self, consumer: KafkaConsumer) -> None:
        loop = asyncio.get_running_loop()
        skip = await loop.run_in_executor(self._thread, self._ends, consumer)
        try:
            while True:
                records, lagging = await loop.run_in_executor(self._thread, self._poll, consumer)
                for record in records:
                    message = delivery(record)
                    place = (message.topic, message.partition)
                    if message.offset >= skip.get(place, 0):
                        await self._take(message)
                    self._positions[place] = message.offset + 1
                if records or self._lagging != lagging:
                    async with self._advanced:
                        self._lagging &= lagging
                        self._advanced.notify_all()
        finally:
            await asyncio.shield(loop.run_in_executor(self._thread, consumer.close))
            async with self._advanced:
                self._advanced.notify_all()

    def _ends(self, consumer: KafkaConsumer) -> dict[Place, int]:
        """Return where to begin when only news are wanted: nothing is known of the end but this."""
        if not self._from_now:
            return {}
        places = list(consumer.assignment())
        while any(consumer.highwater(place) is None for place in places) and not self._closing:
            consumer.poll(POLL_MS, max_records=1)
        ends = {place: consumer.highwater(place) or 0 for place in places}
        for place, end in ends.items():
            consumer.seek(place, end)
        return {(place.topic, place.partition): end for place, end in ends.items()}

    async def _take(self, message: Delivery) -> None:
        place = f"{message.topic}[{message.partition}]@{message.offset}"
        try:
            await self._patiently(message, place)
        except MatrixError as error:
            _log.error("message passed over", place=place, reason=str(error))
        except Exception:
            # Whoever starts again reads it again: it would end every replica for ever.
            _log.exception("message passed over: its handler crashed", place=place)

    async def _patiently(self, message: Delivery, place: str) -> None:
        """Handle a message, however often it takes."""
        while True:
            try:
                return await self._handle(message)
            except NotOwner:
                return  # Whoever is the owner does it.
            except Retryable as error:
                _log.warning("tried again", place=place, reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)

    def _poll(self, consumer: KafkaConsumer) -> tuple[list[Any], set[Place]]:
        try:
            batches: Iterable[list[Any]] = consumer.poll(POLL_MS, max_records=BATCH).values()
        except KafkaError as error:
            _log.warning("reading is interrupted", reason=f"{type(error).__name__}: {error}")
            batches = []
        lagging = set()
        for place in self._lagging:
            tp = TopicPartition(*place)
            end = consumer.highwater(tp)
            if end is None or consumer.position(tp) < end:
                lagging.add(place)
        return [record for batch in batches for record in batch], lagging

    async def close(self) -> None:
        """Stop following."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False)
