"""A durable partitioned log in one SQLite file: what Kafka is to the cluster, for one process.

It promises what Kafka promises and no more: order within a partition, delivery at least once by
committed offsets, compaction by key. A repeated publish is a second record.
"""

import asyncio
import functools
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import orjson

from services.runtime.errors import MatrixError
from services.runtime.ports import Delivery, Record

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    topic TEXT NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,
    key TEXT NOT NULL, value BLOB NOT NULL, headers BLOB NOT NULL,
    PRIMARY KEY (topic, part, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (
    topic TEXT NOT NULL, key TEXT NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (topic, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ends (
    topic TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS committed (
    member TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (member, topic, part)
) WITHOUT ROWID;
"""


class LogError(MatrixError):
    """The log's file cannot be read or written any more; nothing acknowledged is lost."""


class Log:
    """One file, one writer thread; concurrent publishes share a transaction."""

    def __init__(self, path: Path, compacted: Iterable[str], partitions: int = 8) -> None:
        self.path = path
        self.partitions = partitions
        self._compacted = frozenset(compacted)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._queue: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._ends: dict[tuple[str, int], int] = {}
        self._db = self._guarded(self._open)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            raise LogError(
                f"{self.path}: {error}. What was written before is safe: mend the cause "
                "(disk space, permissions) and start the same command again."
            ) from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        # Survives the death of the process; the last moments may be missing after a power cut.
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
        for topic, part, end in db.execute("SELECT topic, part, next FROM ends"):
            self._ends[topic, part] = end
        return db

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._guarded, work)

    def partition(self, key: str) -> int:
        """Return the partition of a partition key."""
        return zlib.crc32(key.encode()) % self.partitions

    async def publish(self, records: Sequence[Record]) -> None:
        """Append `records` in order; returns when they are durable.

        Raises:
            LogError: the file cannot be written, for instance because the disk is full.
        """
        if not records:
            return
        done = asyncio.get_running_loop().create_future()
        self._queue.append((records, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="log-flush")
        await done

    async def _flush(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            records = [record for group, _ in batch for record in group]
            try:
                await self._in_thread(functools.partial(self._append, records))
            except BaseException as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
            for topic in {record.topic for record in records}:
                for event in self._waiters[topic]:
                    event.set()

    def _append(self, records: Sequence[Record]) -> None:
        ends: dict[tuple[str, int], int] = {}
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for record in records:
                part = self.partition(record.partition_key or record.key)
                place = (record.topic, part)
                offset = ends.get(place, self._ends.get(place, 0))
                ends[place] = offset + 1
                if record.topic in self._compacted:
                    self._compact(record, part, offset)
                    if not record.value:
                        continue
                headers = orjson.dumps(dict(record.headers))
                self._db.execute(
                    "INSERT INTO records VALUES (?,?,?,?,?,?)",
                    (record.topic, part, offset, record.key, record.value, headers),
                )
            self._db.executemany(
                "INSERT OR REPLACE INTO ends VALUES (?,?,?)", [(*p, n) for p, n in ends.items()]
            )
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._ends.update(ends)

    def _compact(self, record: Record, part: int, offset: int) -> None:
        """Drop the key's earlier record, and remember where the new one stands."""
        where = (record.topic, record.key)
        old = self._db.execute(
            "SELECT part, position FROM latest WHERE topic=? AND key=?", where
        ).fetchone()
        if old:
            self._db.execute(
                "DELETE FROM records WHERE topic=? AND part=? AND position=?", (record.topic, *old)
            )
        if record.value:
            self._db.execute(
                "INSERT OR REPLACE INTO latest VALUES (?,?,?,?)", (*where, part, offset)
            )
        elif old:
            self._db.execute("DELETE FROM latest WHERE topic=? AND key=?", where)

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Delivery]:
        """Return up to `limit` messages of a partition from `offset` on."""
        return await self._in_thread(lambda: self._select(topic, partition, offset, limit))

    def _select(self, topic: str, partition: int, offset: int, limit: int) -> list[Delivery]:
        rows = self._db.execute(
            "SELECT position, key, value, headers FROM records"
            " WHERE topic=? AND part=? AND position>=? ORDER BY position LIMIT ?",
            (topic, partition, offset, limit),
        )
        return [
            Delivery(topic, partition, position, key, value, orjson.loads(headers))
            for position, key, value, headers in rows
        ]

    async def history(self, topic: str) -> list[Delivery]:
        """Return all messages of a topic, in order within each partition."""
        messages = []
        for partition in range(self.partitions):
            messages += await self.read(topic, partition, 0, -1)
        return messages

    def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next message of a partition will get."""
        return self._ends.get((topic, partition), 0)

    def consumer(self, member: str, topics: Sequence[str]) -> "LogConsumer":
        """Return a reader that goes on where the member of that name last committed."""
        positions = self._guarded(
            lambda: {
                (topic, part): position
                for topic, part, position in self._db.execute(
                    "SELECT topic, part, position FROM committed WHERE member=?", (member,)
                )
            }
        )
        return LogConsumer(self, member, topics, positions)

    async def commit(self, member: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offset to read of each (topic, partition)."""
        rows = [(member, topic, part, offset) for (topic, part), offset in offsets.items()]
        await self._in_thread(lambda: self._store_offsets(rows))

    def _store_offsets(self, rows: list[tuple[str, str, int, int]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO committed VALUES (?,?,?,?)", rows)

    async def close(self) -> None:
        """Finish what is being written, and close the file."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher])
        await self._in_thread(self._db.close)
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
        self._arrived = asyncio.Event()
        for topic in topics:
            log._waiters[topic].add(self._arrived)

    @property
    def lag(self) -> int:
        """Messages not polled yet (gaps left by compaction count)."""
        return sum(
            max(0, self._log.end(topic, part) - position)
            for (topic, part), position in self._positions.items()
        )

    async def poll(self, limit: int, wait: bool = True) -> list[Delivery]:
        """Return the next messages, at most `limit`; waits for at least one unless told not to."""
        while True:
            self._arrived.clear()
            deliveries: list[Delivery] = []
            for (topic, part), position in self._positions.items():
                end = self._log.end(topic, part)
                if position < end and len(deliveries) < limit:
                    room = limit - len(deliveries)
                    batch = await self._log.read(topic, part, position, room)
                    deliveries += batch
                    reached = batch[-1].offset + 1 if batch else end
                    self._positions[topic, part] = (
                        reached if len(batch) == room else max(reached, end)
                    )
            if deliveries or not wait:
                return deliveries
            await self._arrived.wait()

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offset to read of each (topic, partition)."""
        await self._log.commit(self._member, offsets)
