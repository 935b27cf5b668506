"""Dataset tables on Delta Lake: rows, and how far their writers had read, in one atomic commit.

With the other modules `table_...`, the only door to `deltalake`; knows no service. Everything
blocks, so callers run it in a thread.
`DeltaTable.is_deltatable` and deltalake's file system hold the interpreter lock while they wait
for an object store, which would stop an event loop: they are not used.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from services.runtime.arrow import settle_arrow
from services.runtime.errors import MatrixError, Rejected, Retryable
from services.runtime.object_store import Folder
from services.runtime.rows import rows_to_arrow, with_columns
from services.runtime.storage_errors import storage_errors
from services.runtime.table_files import merge_small_files, write_data_file
from services.runtime.table_positions import Positions
from services.runtime.table_snapshots import Snapshots, stored_schema

COMMIT_ATTEMPTS = 8
"""Each is itself up to 15 tries to be the next version; in between others get time to finish."""
_PAUSE_SECONDS = 0.05
"""Before the second attempt, at most; doubles from one to the next."""


class Moved(Retryable):
    """Another writer moved a reading position: read it again and append what comes after it."""


class Table:
    """One Delta table of one schema, and the reading positions of those who write it.

    The same records are never appended twice: an append goes through only if each of its reading
    positions still is where this object last saw it (by `offset`, or by its own append). Delta's
    check of `app_transactions` closes the gap between looking and committing.
    An object must not outlive its table: when the table was deleted, make a new one.
    """

    def __init__(
        self,
        uri: str,
        schema: pa.Schema,
        storage_options: Mapping[str, str] | None = None,
        compact_files: int = 64,
    ) -> None:
        """Describe the table at `uri` without touching it.

        Args:
            uri: A local directory, or `s3://bucket/prefix`.
            schema: Columns of the table; checked whenever an existing one is opened. Those that can
                be null may be missing in it, and are added by the first append.
            storage_options: Of the object store, as delta-rs names them (`AWS_REGION` ...).
            compact_files: Number of small files from which `compact` merges them.
        """
        settle_arrow()
        self.uri = uri
        # As Delta stores it: list items are called "element", timestamps are in microseconds.
        self.schema: pa.Schema = pa.schema(DeltaSchema.from_arrow(schema).to_arrow())
        options = dict(storage_options or {})
        self._compact_files = max(2, compact_files)
        self._folder = Folder(uri, options)
        self._snapshots = Snapshots(uri, self.schema, options, self._folder)
        self._positions = Positions(self._folder)
        self._expected: dict[str, int] = {}
        self.appends = 0
        """Commits of rows by this object."""
        self.appended_bytes = 0
        """Of their rows, before they were compressed."""
        self.conflicts = 0
        """Commits that another writer came before, and that were tried again."""
        self._lock = threading.Lock()

    def append(
        self,
        rows: Sequence[Mapping[str, object]],
        offsets: Mapping[str, int],
        *,
        force: bool = False,
    ) -> int:
        """Commit `rows` and the reading positions that they were read up to, both or neither.

        An append whose `offsets` are all stored already is a repeat (its first answer was lost)
        and changes nothing. Without rows nothing is committed, unless `force` asks for it.

        Args:
            rows: One mapping per row, with exactly the columns of the schema.
            offsets: Per source partition (`samples-judged-3`) the offset of the next record to
                read. Empty for rows that come from no log.
            force: Commit newer offsets although there are no rows.

        Returns:
            The version of the table after it; creates the table when absent.

        Raises:
            Moved: Another writer moved one of the positions since this object last saw it.
            Rejected: A row does not fit, an offset goes back, or the table is not ours.
            Retryable: Storage is full or away, or other writers kept winning.
        """
        batch = rows_to_arrow(rows, self.schema, self.uri)
        positions = [Transaction(name, offset) for name, offset in offsets.items()]
        properties = CommitProperties(app_transactions=positions)
        with self._guarded():
            for attempt in range(1, COMMIT_ATTEMPTS + 1):
                snapshot = self._snapshots.latest() or self._snapshots.create()
                if self._repeats(snapshot, offsets) or not (rows or force):
                    return snapshot.version()
                try:
                    stored = self._snapshots.widen(snapshot)
                    base = snapshot.version()
                    snapshot.create_write_transaction(
                        self._added(with_columns(batch, stored)),
                        "append",
                        stored,
                        commit_properties=properties,
                    )
                    snapshot.update_incremental()
                except CommitFailedError:
                    self.conflicts += 1
                    if attempt == COMMIT_ATTEMPTS:
                        raise
                    time.sleep(random.uniform(0, _PAUSE_SECONDS * 2 ** (attempt - 1)))
                else:
                    break
            self.appends += 1
            self.appended_bytes += batch.nbytes
            self._positions.note_append(base, snapshot.version(), offsets)
            self._expected.update(offsets)
            return snapshot.version()

    def offset(self, name: str) -> int:
        """Give the offset of the next record to read of source partition `name`, 0 when none."""
        return self.offsets([name])[name]

    def offsets(self, names: Sequence[str]) -> dict[str, int]:
        """Give the stored reading position of each of `names`, 0 when none.

        Appends of this object expect to find these positions from now on.
        """
        with self._guarded():
            snapshot = self._snapshots.latest()
            stored = self._positions.stored(snapshot, names) if snapshot else {}
            found = {name: stored.get(name) or 0 for name in names}
            self._expected.update(found)
            return found

    def exists(self) -> bool:
        """Say whether the table was created; `Rejected` when something else is in its place."""
        return self.version() is not None

    def version(self) -> int | None:
        """Give the newest version of the table (counts from 0), None when there is no table."""
        with self._guarded():
            snapshot = self._snapshots.latest()
            return snapshot.version() if snapshot else None

    def count(self, version: int | None = None) -> int:
        """Count the rows, as of `version` or now."""
        with self._guarded():
            snapshot = self._snapshots.at(version)
            return snapshot.count() if snapshot else 0

    def read(
        self,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        filters: str | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Read rows, in no particular order; no table has no rows.

        Args:
            columns: Names of the columns to read; all when None.
            limit: Rows to read at most.
            filters: An SQL predicate, for instance `kind = 'sft' AND chosen >= 0`.
            version: To travel back to; the newest when None.

        Raises:
            Rejected: An unknown column, or a predicate that cannot be parsed.
            NotFound: There is no such version.
        """
        names = list(columns) if columns is not None else self.schema.names
        if unknown := [name for name in names if name not in self.schema.names]:
            raise Rejected(f"{self.uri}: no columns {unknown}; there are {self.schema.names}")
        schema = pa.schema([self.schema.field(name) for name in names])
        with self._guarded():
            snapshot = self._snapshots.at(version)
            scan = None
            if snapshot is not None:
                stored = stored_schema(snapshot).names
                there = [name for name in names if name in stored]
                scan = snapshot.scan(columns=there or stored[:1], predicate=filters)
        if scan is None:
            return schema.empty_table()
        with storage_errors(self.uri, DeltaError):
            batches = pa.RecordBatchReader.from_stream(scan)
            if limit is None:
                return with_columns(batches.read_all(), schema)
            taken: list[pa.RecordBatch] = []
            while limit > 0 and (batch := next(batches, None)) is not None:
                taken.append(batch.slice(0, limit))
                limit -= len(taken[-1])
            return with_columns(pa.Table.from_batches(taken, batches.schema), schema)

    def ids(self) -> set[str]:
        """Give every value of the column `id`."""
        return set(self.read(["id"])["id"].to_pylist())

    def compact(self) -> int:
        """Merge small files when there are many; reading positions and old versions stay.

        Returns:
            The number of files replaced: 0 when there are too few to be worth it, or when
            another writer did it at the same time.
        """
        with self._guarded():
            if (snapshot := self._snapshots.latest()) is None:
                return 0
            # All of its columns, also those of a later release.
            columns = stored_schema(snapshot)
            return merge_small_files(snapshot, columns, self._folder, self._compact_files)

    def _added(self, rows: pa.Table) -> list[AddAction | RemoveAction]:
        """Write the file of an append, which has none when there are no rows."""
        return [write_data_file(self._folder, rows.schema, [rows])] if len(rows) else []

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One thread at a time; after a failure the table is opened afresh."""
        with self._lock:
            try:
                with storage_errors(self.uri, DeltaError):
                    yield
            except MatrixError:
                self._snapshots.drop()
                self._positions.forget()
                raise

    def _repeats(self, snapshot: DeltaTable, offsets: Mapping[str, int]) -> bool:
        """Say whether all of `offsets` are stored already; refuse those that cannot follow."""
        stored = self._positions.stored(snapshot, list(offsets))
        if offsets and stored == dict(offsets):
            self._expected.update(offsets)
            return True
        for name, offset in offsets.items():
            found = stored[name] or 0
            expected = self._expected.setdefault(name, found)
            if found != expected:
                raise Moved(
                    f"{self.uri}: another writer moved {name} from {expected} to {found}; "
                    "read its offset again and append only what comes after it"
                )
            if offset < found:
                raise Rejected(
                    f"{self.uri}: {name} is at {found} and cannot go back to {offset}; "
                    "append only records that come after the stored offset"
                )
        return False


def list_tables(root: str) -> list[str]:
    """Give the names of the Delta tables directly below the local directory `root`, sorted."""
    with storage_errors(root):
        logs = sorted(Path(root).glob("*/_delta_log"))
        return [log.parent.name for log in logs if any(log.glob("[0-9]*"))]
