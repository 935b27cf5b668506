"""The candidates of a dataset in the order of their verdicts, read some at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from services.events import SampleJudged
from services.reward_filtering.sample_rows import sample_of
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.tables import Table

ROWS_AT_ONCE = 1_000
_ORDER = [("created_at", "ascending"), ("id", "ascending")]


@dataclass(frozen=True)
class Candidates:
    """Rows of one or more tables of `SAMPLE_SCHEMA`, ordered by (`created_at`, `id`).

    Memory holds the keys of all of them (about 60 bytes each) and the rows of one reading, which
    are more than asked for only if more were judged in the same microsecond. Everything blocks.
    """

    tables: Sequence[tuple[Table, int]]
    """Each with the version that is read."""
    where: str = ""
    """An SQL predicate that the rows fulfil; by default all do."""

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def keys(self) -> pa.Table:
        """`id` and `created_at` of all, in order."""
        return self.column("id", "created_at").sort_by(_ORDER)

    def column(self, *names: str, where: str = "") -> pa.Table:
        """Read some columns whole, in no particular order.

        Args:
            names: Of the columns.
            where: A further predicate.
        """
        return self._read(names, " AND ".join(f"({each})" for each in (self.where, where) if each))

    def rows(self, start: int, count: int) -> pa.Table:
        """Read the rows number `start` to `start + count`, or to the last one."""
        times, stop = self.keys["created_at"], min(start + count, len(self))
        if start >= stop:
            return SAMPLE_SCHEMA.empty_table()
        first, last = times[start].as_py(), times[stop - 1].as_py()
        span = f"created_at >= '{first.isoformat()}' AND created_at <= '{last.isoformat()}'"
        found = self.column(*SAMPLE_SCHEMA.names, where=span).sort_by(_ORDER)
        # Rows of the same instant as the first may belong before it.
        return found.slice(start - pc.index(times, times[start]).as_py(), stop - start)

    def batches(self, size: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
        """Read all rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.rows(start, size)

    def samples(self, start: int, count: int = ROWS_AT_ONCE) -> list[SampleJudged]:
        """Return the verdicts number `start` to `start + count`, or to the last one."""
        return [sample_of(each) for each in self.rows(start, count).to_pylist()]

    def _read(self, names: Sequence[str], where: str) -> pa.Table:
        parts = [table.read(names, filters=where or None, version=v) for table, v in self.tables]
        empty = pa.schema([SAMPLE_SCHEMA.field(name) for name in names]).empty_table()
        return pa.concat_tables(parts) if parts else empty
