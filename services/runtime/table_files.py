"""The files of a Delta table: whose they are, and merging small ones."""

import json
import time
import uuid
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem, PyFileSystem, SubTreeFileSystem

SMALL_FILE_BYTES = 32 * 1024 * 1024
MERGED_BYTES = 128 * 1024 * 1024
COMPACTION = "compaction"
"""The app transaction that two mergings of one table conflict in."""


def foreign_names(uri: str, options: Mapping[str, str]) -> list[str]:
    """Name what lies at `uri`, where no table is, and did not come from creating one.

    Creating commits first and data comes later, so a crash leaves `_delta_log` alone.
    """
    try:
        files = PyFileSystem(DeltaStorageHandler(uri, dict(options)))
    except TableNotFoundError:
        return []
    found = files.get_file_info(FileSelector("/", recursive=False))
    return sorted(info.base_name for info in found if info.base_name != "_delta_log")


def merge_small_files(
    snapshot: DeltaTable, schema: pa.Schema, options: Mapping[str, str], threshold: int
) -> int:
    """Replace small files by one with the same rows, when there are `threshold` of them.

    Not delta-rs' own `optimize.compact`: two of these at once (1.6.6) both succeed, because files
    that a compaction removed count as no conflict, and then every row stands twice. A commit that
    names an app transaction does conflict; the loser drops its file and leaves the table alone.

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

    files = _files(snapshot.table_uri, options)
    source = pyarrow.dataset.dataset(chosen, schema=schema, format="parquet", filesystem=files)
    rows = source.to_table()
    merged = f"part-merged-{uuid.uuid4()}.snappy.parquet"
    pyarrow.parquet.write_table(rows, merged, filesystem=files, row_group_size=10_000)
    now = int(time.time() * 1000)
    size = files.get_file_info(merged).size
    stats = json.dumps({"numRecords": len(rows)})
    try:
        snapshot.create_write_transaction(
            [
                AddAction(merged, size, {}, now, False, stats),
                *(RemoveAction(path, False, now, sizes[path], {}) for path in chosen),
            ],
            "append",
            schema,
            commit_properties=CommitProperties(
                app_transactions=[Transaction(COMPACTION, snapshot.version())]
            ),
        )
    except CommitFailedError:
        files.delete_file(merged)
        return 0
    return len(chosen)


def _small(size: int) -> bool:
    return size < SMALL_FILE_BYTES


def _files(uri: str, options: Mapping[str, str]) -> FileSystem:
    """Open the folder of a table; local ones without the bridge that holds the interpreter lock."""
    if uri.startswith("file://") or "://" not in uri:
        local, path = FileSystem.from_uri(uri) if "://" in uri else (LocalFileSystem(), uri)
        return SubTreeFileSystem(path, local)
    return PyFileSystem(DeltaStorageHandler(uri, dict(options)))
