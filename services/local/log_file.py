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
            self._db.executescript(_SCHEMA)
        for topic, part, end in self._db.execute("SELECT topic, part, next FROM ends"):
            self.ends[topic, part] = end

    def partition(self, key: str) -> int:
        """Return the partition of a partition key."""
        return partition_of(key, self.partitions)

    def append(self, records: Sequence[Record]) -> None:
        """Write `records` in order, all or none."""
        ends: dict[tuple[str, int], int] = {}
        with self._guarded(), self._transaction():
            for record in records:
                part = record.partition
                if part is None:
                    part = self.partition(record.partition_key or record.key)
                place = (record.topic, part)
                offset = ends.get(place, self.ends.get(place, 0))
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
        self.ends.update(ends)

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

    def commit(self, member: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offset to read of each (topic, partition)."""
        rows = [(member, topic, part, offset) for (topic, part), offset in offsets.items()]
        with self._guarded(), self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO committed VALUES (?,?,?,?)", rows)

    def close(self) -> None:
        """Close the file."""
        with self._guarded():
            self._db.close()


def _reading(path: Path) -> str:
    """Return how to open a file for reading: SQLite wants to write beside it, where it may not."""
    at_rest = not path.with_name(f"{path.name}-wal").exists()
    return "immutable=1" if at_rest and not os.access(path.parent, os.W_OK) else "mode=ro"
