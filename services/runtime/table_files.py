"""The files of a Delta table: whose they are, what its commits say, and merging small ones."""

import io
import json
import time
import uuid

import orjson
import pyarrow as pa
import pyarrow.parquet
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from services.runtime.object_store import Folder

SMALL_FILE_BYTES = 32 * 1024 * 1024
MERGED_BYTES = 128 * 1024 * 1024
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

    parts = (pa.BufferReader(folder.read(path)) for path in chosen)
    rows = pa.concat_tables(pyarrow.parquet.read_table(part, schema=schema) for part in parts)
    merged = f"part-merged-{uuid.uuid4()}.snappy.parquet"
    file = io.BytesIO()
    pyarrow.parquet.write_table(rows, file, row_group_size=10_000)
    folder.write(merged, file.getvalue())
    now = int(time.time() * 1000)
    stats = json.dumps({"numRecords": len(rows)})
    try:
        snapshot.create_write_transaction(
            [
                AddAction(merged, file.tell(), {}, now, False, stats),
                *(RemoveAction(path, False, now, sizes[path], {}) for path in chosen),
            ],
            "append",
            schema,
            commit_properties=CommitProperties(
                app_transactions=[Transaction(COMPACTION, snapshot.version())]
            ),
        )
    except CommitFailedError:
        return 0
    return len(chosen)


def _small(size: int) -> bool:
    return size < SMALL_FILE_BYTES
