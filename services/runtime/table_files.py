"""The files of a Delta table: whose they are, what commits say, writing them, merging small ones.

Data files are written by Arrow, and delta-rs commits them. `write_deltalake` writes them by way of
DataFusion, which takes 60 MB of a process that writes a few rows now and then.
"""

import io
import json
import time
import uuid
from collections.abc import Iterable, Iterator

import orjson
import pyarrow as pa
import pyarrow.parquet
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from services.runtime.object_store import Folder
from services.runtime.rows import with_columns

SMALL_FILE_BYTES = 32 * 1024 * 1024
MERGED_BYTES = 128 * 1024 * 1024
_GROUP_ROWS = 2_000
"""Of a row group, and in memory at a time while files are merged: about 10 MB of conversations."""
COMPACTION = "compaction"
"""The app transaction that two mergings of one table conflict in."""


def foreign_names(folder: Folder) -> list[str]:
    """Name what lies in a folder where no table is, and did not come from creating one.

    Creating commits first and data comes later, so a crash leaves `_delta_log` alone.
    """
    folders, objects = folder.entries()
    return sorted({*folders, *objects} - {"_delta_log"})


def positions_set_by(folder: Folder, version: int) -> dict[str, int]:
    """Return the app transactions (reading positions) that the commit of a version set."""
    commit = folder.read(f"_delta_log/{version:020}.json")
    actions = [orjson.loads(line) for line in commit.splitlines() if line.strip()]
    moved = [action["txn"] for action in actions if "txn" in action]
    return {txn["appId"]: txn["version"] for txn in moved}


def merge_small_files(
    snapshot: DeltaTable, schema: pa.Schema, folder: Folder, threshold: int
) -> int:
    """Replace small files by one with the same rows, when there are `threshold` of them.

    Not delta-rs' own `optimize.compact`: two of these at once (1.6.6) both succeed, because files
    that a compaction removed count as no conflict, and then every row stands twice. A commit that
    names an app transaction does conflict. The loser's file stays, unused: when the answer to a
    commit was lost, it looks like a conflict with itself, and the file is the table's.

    Returns:
        The number of files replaced; 0 when there are too few or another merging was faster.
    """
    actions = pa.table(snapshot.get_add_actions(flatten=True))
    sizes = dict(zip(*(actions[name].to_pylist() for name in ("path", "size_bytes")), strict=True))
    small = [path for path in sorted(sizes, key=sizes.__getitem__) if _small(sizes[path])]
    if len(small) < threshold:
        return 0
    chosen, total = list[str](), 0
    for path in small:
        total += sizes[path]
        if total <= MERGED_BYTES:
            chosen.append(path)

    added = write_data_file(
        folder, schema, _row_groups(folder, schema, chosen), new_rows=False, prefix="part-merged"
    )
    now = added.modification_time
    try:
        snapshot.create_write_transaction(
            [added, *(RemoveAction(path, False, now, sizes[path], {}) for path in chosen)],
            "append",
            schema,
            commit_properties=CommitProperties(
                app_transactions=[Transaction(COMPACTION, snapshot.version())]
            ),
        )
    except CommitFailedError:
        return 0
    return len(chosen)


def write_data_file(
    folder: Folder,
    schema: pa.Schema,
    parts: Iterable[pa.Table],
    *,
    new_rows: bool = True,
    prefix: str = "part",
) -> AddAction:
    """Write a Parquet file; return the action that makes it part of the table, once committed.

    Args:
        folder: of the table.
        schema: of the rows.
        parts: rows, at least one table; only one of them is in memory at a time.
        new_rows: whether the table gets rows that it did not have before.
        prefix: of the name of the file.
    """
    path, file, count = f"{prefix}-{uuid.uuid4()}.snappy.parquet", io.BytesIO(), 0
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(part, row_group_size=_GROUP_ROWS)
            count += len(part)
    folder.write(path, file.getvalue())
    stats = json.dumps({"numRecords": count})
    return AddAction(path, file.tell(), {}, int(time.time() * 1000), new_rows, stats)


def _row_groups(folder: Folder, schema: pa.Schema, paths: Iterable[str]) -> Iterator[pa.Table]:
    """Yield the rows of files, put together to as many as a row group has."""
    waiting = list[pa.Table]()
    for path in paths:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(folder.read(path)))
        # Without Arrow's threads: each would keep memory of its own for good.
        for batch in file.iter_batches(_GROUP_ROWS, use_threads=False):
            # A file of an earlier release may lack columns.
            waiting.append(with_columns(pa.Table.from_batches([batch]), schema))
            if sum(map(len, waiting)) >= _GROUP_ROWS:
                rows = pa.concat_tables(waiting)
                yield rows.slice(0, _GROUP_ROWS)
                waiting = [rest] if len(rest := rows.slice(_GROUP_ROWS)) else []
    if waiting:
        yield pa.concat_tables(waiting)


def _small(size: int) -> bool:
    return size < SMALL_FILE_BYTES
