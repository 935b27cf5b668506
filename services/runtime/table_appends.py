"""Rows from a log into a table, each id once, whoever else writes there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.runtime.errors import MatrixError
from services.runtime.tables import Table

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row, and where in the log it comes from."""

    position: str
    """Name of the reading position: of the partition it stands in."""
    offset: int
    row: dict[str, Any]
    """With a column `id`."""


class UniqueAppends:
    """Appends to one table for some partitions of a log, in which an id stays in its partition.

    Remembers the ids in the table. That this stays true is the table's doing: it refuses an append
    for a partition whose position somebody else moved (`Moved`); then make a new object.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.version: int | None = None
        """Of the table after the last commit by this object."""
        self._positions: dict[str, int] = {}
        self._ids: set[str] = set()

    def append(self, entries: Sequence[LogRow]) -> int:
        """Commit those of `entries` that are not in the table yet; blocks.

        Args:
            entries: In the order of the log within each partition.

        Returns:
            The number of rows appended.

        Raises:
            Moved, Rejected, Retryable: as `Table.append`; the same entries may be given again.
        """
        self._look({entry.position for entry in entries})
        fresh, passed = list[LogRow](), list[LogRow]()
        for entry in entries:
            is_new = entry.offset >= self._positions[entry.position]
            (fresh if is_new else passed).append(entry)
        self._report_missing(passed)
        new: dict[str, dict[str, Any]] = {}
        for entry in fresh:
            if entry.row["id"] not in self._ids:
                new.setdefault(entry.row["id"], entry.row)
        if not new:
            return 0
        offsets = {entry.position: entry.offset + 1 for entry in fresh}
        self.version = self.table.append(list(new.values()), offsets)
        self._positions.update(offsets)
        self._ids.update(new)
        try:
            self.table.compact()
        except MatrixError as error:
            _log.info("merging of small files left for later", reason=str(error))
        return len(new)

    def _look(self, positions: set[str]) -> None:
        """Read positions that are not known yet, and then the ids: none before them is missing."""
        if not positions <= self._positions.keys():
            known, self._positions = self._positions, {}
            found = self.table.offsets(sorted(positions | known.keys()))
            # Reading a column loads the whole query engine of delta-rs. Where all positions are
            # as we know them, or not set yet, there are no rows of these partitions but ours.
            if not known or any(found[name] != known.get(name, 0) for name in found):
                self._ids = self.table.ids()
            self._positions = found

    def _report_missing(self, passed: list[LogRow]) -> None:
        missing = [entry.row["id"] for entry in passed if entry.row["id"] not in self._ids]
        if missing:
            _log.error(
                "rows before the table's reading position are not in it; if the topic was made "
                "anew, write to another table",
                table=self.table.uri,
                rows=len(missing),
                first=missing[0],
            )
