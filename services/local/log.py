"""A durable partitioned log in one SQLite file: what Kafka is to the cluster, for one process.

It promises what Kafka promises and no more: order within a partition, delivery at least once by
committed offsets, compaction by key. A repeated publish is a second record.
"""

import asyncio
import functools
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.local.log_file import LogError, LogFile, Positions
from services.runtime.message_spans import sending
from services.runtime.ports import Delivery, Record

__all__ = ["Log", "LogConsumer", "LogError"]

T = TypeVar("T")

_BATCH = 256
"""Messages that are read at once."""
_AT_HAND = 16
"""Messages of a partition that a reader finds in memory, the last ones."""


class Log:
    """One file, one thread at it; concurrent publishes share a transaction.

    With `read_only` the file must exist and stays as it is; another process may be writing it.

    Raises:
        LogError: the file cannot be opened, or is no log.
    """

    def __init__(
        self, path: Path, compacted: Iterable[str], partitions: int = 8, read_only: bool = False
    ) -> None:
        self.partitions = partitions
        self._file = LogFile(path, compacted, partitions, read_only)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._queue: list[tuple[Sequence[Record], Positions, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._readers: dict[str, list[LogConsumer]] = defaultdict(list)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def partition(self, key: str) -> int:
        """Return the partition of a partition key."""
        return self._file.partition(key)

    async def publish(self, records: Sequence[Record]) -> None:
        """Append `records` in order; returns when they are durable.

        Raises:
            LogError: the file cannot be written, for instance because the disk is full.
        """
        if records:
            with sending(records) as carrying:
                await self._write(carrying, {})

    async def _write(self, records: Sequence[Record], committed: Positions) -> None:
        done = asyncio.get_running_loop().create_future()
        self._queue.append((records, committed, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="log-flush")
        await done

    async def _flush(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            records = [record for group, _, _ in batch for record in group]
            committed: Positions = {}
            for _, positions, _ in batch:
                committed |= positions
            try:
                written = await self._in_thread(
                    functools.partial(self._file.write, records, committed)
                )
            except BaseException as error:
                for *_, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for *_, done in batch:
                if not done.done():
                    done.set_result(None)
            for delivery in written:
                for reader in self._readers.get(delivery.topic, ()):
                    reader.notice(delivery)

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Delivery]:
        """Return up to `limit` messages of a partition from `offset` on."""
        return await self._in_thread(lambda: self._file.read(topic, partition, offset, limit))

    async def history(self, topic: str) -> list[Delivery]:
        """Return all messages of a topic, in order within each partition."""
        messages = []
        for partition in range(self.partitions):
            messages += await self.read(topic, partition, 0, -1)
        return messages

    async def batches(self, topic: str) -> AsyncIterator[list[Delivery]]:
        """Yield the same piece by piece, for a topic that may be larger than the memory."""
        for partition in range(self.partitions):
            offset = 0
            while batch := await self.read(topic, partition, offset, _BATCH):
                yield batch
                offset = batch[-1].offset + 1

    def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next message of a partition will get."""
        return self._file.ends.get((topic, partition), 0)

    def consumer(self, member: str, topics: Sequence[str]) -> "LogConsumer":
        """Return a reader that goes on where the member of that name last committed."""
        reader = LogConsumer(self, member, topics, self._file.committed(member))
        for topic in topics:
            self._readers[topic].append(reader)
        return reader

    async def commit(self, member: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offset to read of each (topic, partition)."""
        await self._write((), {(member, *place): offset for place, offset in offsets.items()})

    async def close(self) -> None:
        """Finish what is being written, and close the file."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher])
        try:
            await self._in_thread(self._file.close)
        finally:
            self._thread.shutdown()


class LogConsumer:
    """The only member of a consumer group of the log."""

    def __init__(
        self,
        log: Log,
        member: str,
        topics: Sequence[str],
        positions: Mapping[tuple[str, int], int],
    ) -> None:
        self._log = log
        self._member = member
        self._positions = {
            (topic, part): positions.get((topic, part), 0)
            for topic in topics
            for part in range(log.partitions)
        }
        self._topics = tuple(topics)
        self._turn = 0
        """Partition to begin with: each has its turn, or the first ones would starve the others."""
        self._arrived = asyncio.Event()
        self._tails: defaultdict[tuple[str, int], deque[Delivery]] = defaultdict(
            lambda: deque(maxlen=_AT_HAND)
        )
        """By topic and partition: the last messages, up to the very last one."""

    def notice(self, delivery: Delivery) -> None:
        """Note that there is something to poll, and have it at hand.

        So who keeps up sees each record of a compacted topic, as with Kafka, and not only what
        compaction leaves of several.
        """
        self._tails[delivery.topic, delivery.partition].append(delivery)
        self._arrived.set()

    @property
    def lag(self) -> int:
        """Messages not polled yet (gaps left by compaction count)."""
        return sum(
            max(0, self._log.end(topic, part) - position)
            for (topic, part), position in self._positions.items()
        )

    async def poll(self, limit: int, wait: bool = True) -> list[Delivery]:
        """Return the next messages, at most `limit`; waits for at least one unless told not to.

        Those of topics named first come first.
        """
        parts = self._log.partitions
        while True:
            self._arrived.clear()
            deliveries: list[Delivery] = []
            reached: dict[tuple[str, int], int] = {}
            for topic, turn in itertools.product(self._topics, range(parts)):
                part = (self._turn + turn) % parts
                position, end = self._positions[topic, part], self._log.end(topic, part)
                if position < end and len(deliveries) < limit:
                    room = limit - len(deliveries)
                    batch = self._at_hand(topic, part, position, room)
                    at_hand = bool(batch)
                    if not at_hand:
                        batch = await self._log.read(topic, part, position, room)
                    deliveries += batch
                    last = batch[-1].offset + 1 if batch else 0
                    # Of the file all up to its end was read, gaps too; what is at hand may not
                    # reach as far yet.
                    exact = at_hand or len(batch) == room
                    reached[topic, part] = last if exact else max(last, end)
            # All at once and last: a poll that is cancelled must not skip what it had read.
            self._positions.update(reached)
            for place, position in reached.items():
                tail = self._tails[place]
                while tail and tail[0].offset < position:
                    tail.popleft()
            if reached:
                self._turn = next(reversed(reached))[1] + 1
            if deliveries or not wait:
                return deliveries
            await self._arrived.wait()

    def _at_hand(self, topic: str, part: int, position: int, room: int) -> list[Delivery]:
        """Return the next messages of a partition if they are in memory; none if not."""
        tail = self._tails[topic, part]
        if not tail or tail[0].offset != position:
            return []
        return list(itertools.islice(tail, room))

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offset to read of each (topic, partition)."""
        await self._log.commit(self._member, offsets)
