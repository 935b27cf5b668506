"""A table as of some version: opened, checked, brought up to date, made."""

import errno

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError, TableNotFoundError

from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.object_store import Folder
from services.runtime.rows import schema_difference
from services.runtime.storage_errors import os_error_code
from services.runtime.table_files import foreign_names


def stored_schema(snapshot: DeltaTable) -> pa.Schema:
    """Return the columns of a table as of a snapshot."""
    return pa.schema(snapshot.schema().to_arrow())


class Snapshots:
    """The versions of one table of one schema.

    A table of another release of the platform may lack columns that can be null, or have more of
    them. Besides what libraries raise, its methods raise `Rejected` when something else is in the
    table's place: a table of another schema, or files that are no table.
    """

    def __init__(
        self, uri: str, schema: pa.Schema, options: dict[str, str], folder: Folder
    ) -> None:
        self._uri = uri
        self._schema = schema
        self._options = options
        self._folder = folder
        self._newest: DeltaTable | None = None

    def latest(self) -> DeltaTable | None:
        """Return the newest snapshot, None when there is no table."""
        if self._newest is not None:
            self._newest.update_incremental()
            return self._newest
        try:
            snapshot = DeltaTable(self._uri, storage_options=self._options)
        except TableNotFoundError as error:
            if os_error_code(error) not in (None, errno.ENOENT):  # a path that cannot be
                raise
            if foreign := foreign_names(self._folder):
                raise Rejected(
                    f"{self._uri}: not a dataset table and not empty (it holds {foreign[:3]}); "
                    "choose another path or move these files away"
                ) from None
            return None
        if differing := schema_difference(self._schema, stored_schema(snapshot)):
            raise Rejected(
                f"{self._uri}: the table has another schema: {differing}; "
                "export or move that table, or use the release of the platform that made it"
            )
        self._newest = snapshot
        return snapshot

    def at(self, version: int | None) -> DeltaTable | None:
        """Return the snapshot of a version, of the newest when None."""
        latest = self.latest()
        if version is None or latest is None:
            return latest
        if not 0 <= version <= latest.version():
            raise NotFound(f"{self._uri}: no version {version}; the newest is {latest.version()}")
        return DeltaTable(self._uri, version=version, storage_options=self._options)

    def create(self) -> DeltaTable:
        """Make the table, unless another writer is faster; return its newest snapshot."""
        # Without retries the loser of a race fails; with them it would commit a second table
        # definition on top of the winner's, and every append in flight would conflict with it.
        once = CommitProperties(max_commit_retries=0)
        try:
            DeltaTable.create(
                self._uri, self._schema, storage_options=self._options, commit_properties=once
            )
        except DeltaError:
            if self.latest() is None:
                raise
        snapshot = self.latest()
        if snapshot is None:
            raise Retryable(f"{self._uri}: the table that was just created is gone; try again")
        return snapshot

    def widen(self, snapshot: DeltaTable) -> pa.Schema:
        """Add the columns that a table of an earlier release lacks; return what it has now.

        Raises:
            CommitFailedError: another writer was faster; look at the newest snapshot.
        """
        there = stored_schema(snapshot)
        missing = [field for field in self._schema if field.name not in there.names]
        if not missing:
            return there
        snapshot.alter.add_columns(list(DeltaSchema.from_arrow(pa.schema(missing)).fields))
        snapshot.update_incremental()
        return stored_schema(snapshot)

    def drop(self) -> None:
        """Open the table afresh next time."""
        self._newest = None
