"""The file under the embedded log: SQLite and nothing of asyncio; everything here blocks."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from services.runtime.errors import MatrixError
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery, Record

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    topic TEXT NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,
    key TEXT NOT NULL, value BLOB NOT NULL, headers BLOB NOT NULL,
    PRIMARY KEY (topic, part, position)
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
_Place = tuple[str, int, int]
"""Topic, partition, offset."""

Positions = dict[tuple[str, str, int], int]
"""By member, topic and partition: the next offset to read."""

_WAL_PAGES = 4000
"""Of 4 KB: 16 MB."""

_CACHE_KB = (2_000, 16_000)
"""Of pages at hand: SQLite's own measure, and for the largest logs."""
_KEYS_PER_CACHE_KB = 7
"""With 60,000 keys the 2 MB of a small log cost a step a tenth more: more places are written to."""

_FOREIGN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
"""Codes of files that are damaged, of another program or without our tables."""


class LogError(MatrixError):
    """The log's file cannot be read or written any more; nothing acknowledged is lost."""


class LogFile:
    """Records, the last record of each key, and the offsets of readers, in one file.

    Every method raises `LogError` when the file cannot be read or written.
    """

    def __init__(
        self, path: Path, compacted: Iterable[str], partitions: int, read_only: bool
    ) -> None:
        self.path = path
        self.partitions = partitions
        self.ends: dict[tuple[str, int], int] = {}
        """The offset that the next message of each (topic, partition) will get."""
        self._compacted = frozenset(compacted)
        self._latest: dict[tuple[str, str], _Place] = {}
        """Where the record of each (topic, key) stands, of compacted topics."""
        self._fitted = 0
        """How many of them the cache was last made for."""
        mode = _reading(path) if read_only else "mode=rwc"
        uri = f"{path.absolute().as_uri()}?{mode}"
        with self._guarded():
            self._db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        try:
            with self._guarded():
                self._open(read_only)
        except LogError:
            self._db.close()
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FOREIGN:
                advice = "It is damaged, or no run's log: use another --out"
            else:
                advice = (
                    "What was written before is safe: mend the cause (disk space, permissions) "
                    "and start the same command again"
                )
            raise LogError(f"{self.path}: {error}. {advice}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _open(self, read_only: bool) -> None:
        if not read_only:
            self._db.execute("PRAGMA journal_mode=WAL")
            # Survives the death of the process; a power cut may cost the last moments.
            self._db.execute("PRAGMA synchronous=NORMAL")
            # Debian's SQLite fills what is deleted with zeros, which is to read and write it again.
            self._db.execute("PRAGMA secure_delete=OFF")
            # Most records replace an earlier one of their key: the longer the write-ahead log, the
            # fewer of them are ever copied into the file (a seventh of the CPU, and most waiting).
            self._db.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            self._db.executescript(_SCHEMA)
        for topic, part, end in self._db.execute("SELECT topic, part, next FROM ends"):
            self.ends[topic, part] = end
        if not read_only:
            for topic in self._compacted:
                for part, position, key in self._db.execute(
                    "SELECT part, position, key FROM records WHERE topic=?", (topic,)
                ):
                    self._latest[topic, key] = (topic, part, position)
            self._fit_cache()

    def _fit_cache(self) -> None:
        self._fitted = len(self._latest)
        least, most = _CACHE_KB
        kilobytes = min(max(least, self._fitted // _KEYS_PER_CACHE_KB), most)
        self._db.execute(f"PRAGMA cache_size=-{kilobytes}")

    def partition(self, key: str) -> int:
        """Return the partition of a partition key."""
        return partition_of(key, self.partitions)

    def write(self, records: Sequence[Record], committed: Positions) -> list[Delivery]:
        """Append `records` in order, and store how far members have read; all or nothing.

        Returns the records with their places.
        """
        batch = _Batch(self.ends, self._latest)
        written = []
        for record in records:
            part = record.partition
            if part is None:
                part = self.partition(record.partition_key or record.key)
            written.append(batch.add(record, part, record.topic in self._compacted))
        # All of a kind at once: each statement lets other threads in and waits for its next turn.
        with self._guarded(), self._transaction():
            self._db.executemany(
                "DELETE FROM records WHERE topic=? AND part=? AND position=?", batch.dropped
            )
            self._db.executemany("INSERT INTO records VALUES (?,?,?,?,?,?)", batch.rows.values())
            self._db.executemany(
                "INSERT OR REPLACE INTO ends VALUES (?,?,?)",
                [(*place, end) for place, end in batch.ends.items()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO committed VALUES (?,?,?,?)",
                [(*place, offset) for place, offset in committed.items()],
            )
        self.ends.update(batch.ends)
        for name, place in batch.latest.items():
            if place is None:
                self._latest.pop(name, None)
            else:
                self._latest[name] = place
        if len(self._latest) > 2 * self._fitted:
            with self._guarded():
                self._fit_cache()
        return written

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Delivery]:
        """Return up to `limit` messages of a partition from `offset` on; all when -1."""
        with self._guarded():
            rows = self._db.execute(
                "SELECT position, key, value, headers FROM records"
                " WHERE topic=? AND part=? AND position>=? ORDER BY position LIMIT ?",
                (topic, partition, offset, limit),
            )
            return [
                Delivery(topic, partition, position, key, value, orjson.loads(headers))
                for position, key, value, headers in rows
            ]

    def committed(self, member: str) -> dict[tuple[str, int], int]:
        """Return the next offset to read of each (topic, partition) that `member` stored."""
        with self._guarded():
            rows = self._db.execute(
                "SELECT topic, part, position FROM committed WHERE member=?", (member,)
            )
            return {(topic, part): position for topic, part, position in rows}

    def close(self) -> None:
        """Close the file."""
        with self._guarded():
            self._db.close()


class _Batch:
    """What a sequence of records changes, beside what there is."""

    def __init__(
        self,
        ends: Mapping[tuple[str, int], int],
        latest: Mapping[tuple[str, str], _Place],
    ) -> None:
        self._ends = ends
        self._latest = latest
        self.ends: dict[tuple[str, int], int] = {}
        self.latest: dict[tuple[str, str], _Place | None] = {}
        """Of keys of compacted topics; None: the key has no record any more."""
        self.rows: dict[_Place, tuple[str, int, int, str, bytes, bytes]] = {}
        self.dropped: list[_Place] = []

    def add(self, record: Record, part: int, compacted: bool) -> Delivery:
        """Append a record; in a compacted topic it takes the place of its key's earlier one.

        Returns it with its place.
        """
        topic = record.topic
        offset = self.ends.get((topic, part), self._ends.get((topic, part), 0))
        self.ends[topic, part] = offset + 1
        place = (topic, part, offset)
        headers = dict(record.headers)
        delivery = Delivery(topic, part, offset, record.key, record.value, headers)
        if compacted:
            name = (topic, record.key)
            old = self.latest[name] if name in self.latest else self._latest.get(name)
            if old is not None and self.rows.pop(old, None) is None:
                self.dropped.append(old)
            self.latest[name] = place if record.value else None
            if not record.value:
                return delivery
        self.rows[place] = (*place, record.key, record.value, orjson.dumps(headers))
        return delivery


def _reading(path: Path) -> str:
    """Return how to open a file for reading: SQLite wants to write beside it, where it may not."""
    at_rest = not path.with_name(f"{path.name}-wal").exists()
    return "immutable=1" if at_rest and not os.access(path.parent, os.W_OK) else "mode=ro"
