"""A table that is made with all of its rows: there whole, or not there at all."""

import re
from collections.abc import Iterable, Iterator, Mapping
from threading import Event

import pyarrow as pa
from deltalake import CommitProperties, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError
from deltalake.transaction import create_table_with_add_actions

from services.runtime.errors import MatrixError, Rejected, Retryable
from services.runtime.object_store import Folder
from services.runtime.storage_errors import storage_errors
from services.runtime.table_files import MERGED_BYTES, write_data_file
from services.runtime.tables import Table

_DATA_FILE = re.compile(r"part-[^/]*\.parquet")


def create_table(
    uri: str,
    schema: pa.Schema,
    options: Mapping[str, str],
    batches: Iterable[pa.Table],
    mark: str,
    stop: Event | None = None,
    file_bytes: int = MERGED_BYTES,
) -> None:
    """Make a table with all of its rows in its first commit; blocks.

    Memory holds the rows of one file. What an earlier attempt left, which is data files without a
    commit, is removed first; a table with the same mark is the work of an earlier attempt, and
    stays as it is. Not by `write_deltalake`: it asks for batches in a thread of its own runtime,
    in which nothing of deltalake can read them.

    Args:
        uri: A local directory, or `s3://bucket/prefix`.
        schema: Columns of the table.
        options: Of the object store, as delta-rs names them.
        batches: Rows; not read when the table is there.
        mark: Name of this piece of work, unique to it.
        stop: Gives up before the next batch once it is set.
        file_bytes: Rows of a data file, in memory, at most and one batch more.

    Raises:
        Rejected: Another table is there, or files that are no table's.
        Retryable: Storage is full or away, or `stop` was set.
    """
    if _is_made(uri, schema, options, mark):
        return
    folder = Folder(uri, options)
    remove_data(folder)
    folder.make()
    stored = DeltaSchema.from_arrow(schema)
    columns = pa.schema(stored.to_arrow())
    files = [
        write_data_file(folder, columns, [rows])
        for rows in _files(batches, columns, file_bytes, uri, stop)
    ]
    # With retries, the loser of a race would write over the winner's table definition.
    once = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(mark, 1)])
    try:
        with storage_errors(uri, DeltaError):
            create_table_with_add_actions(
                uri,
                stored,
                files,
                mode="error",
                storage_options=dict(options),
                commit_properties=once,
            )
    except MatrixError:
        # The commit may stand although its answer was lost.
        if not _is_made(uri, schema, options, mark):
            raise


def _files(
    batches: Iterable[pa.Table], schema: pa.Schema, size: int, uri: str, stop: Event | None
) -> Iterator[pa.Table]:
    """Put batches together until they are as large as a file is to be."""
    parts: list[pa.Table] = []
    for batch in batches:
        if stop is not None and stop.is_set():
            raise Retryable(f"{uri}: given up before it was whole; nothing is there")
        parts.append(batch.cast(schema))
        if sum(part.nbytes for part in parts) >= size:
            yield pa.concat_tables(parts)
            parts = []
    if parts:
        yield pa.concat_tables(parts)


def has_commits(folder: Folder) -> bool:
    """Say whether a table, or the beginning of one, is in a folder."""
    return "_delta_log" in folder.entries()[0]


def remove_data(folder: Folder) -> None:
    """Remove the data files that a creation which broke off left in a folder without a table.

    Raises:
        Rejected: There are other files.
        Retryable: Storage is away.
    """
    folders, objects = folder.entries()
    if foreign := [*folders, *(name for name in objects if not _DATA_FILE.fullmatch(name))]:
        raise Rejected(
            f"{folder.uri}: not a dataset table and not empty (it holds {foreign[:3]}); "
            "choose another name or move these files away"
        )
    folder.remove(objects)


def _is_made(uri: str, schema: pa.Schema, options: Mapping[str, str], mark: str) -> bool:
    """Say whether this piece of work is done; refuse when another table is there."""
    table = Table(uri, schema, options)
    if not has_commits(Folder(uri, options)) or not table.exists():
        return False
    if table.offset(mark):
        return True
    raise Rejected(f"{uri}: another table is there already; choose another name")
