"""Rows of a log in a table: which ids are looked up, and when."""

from pathlib import Path

import pyarrow as pa
import pytest

from services.runtime.table_appends import LogRow, UniqueAppends
from services.runtime.tables import Table

SCHEMA = pa.schema([pa.field("id", pa.string(), False)])


class WatchedTable(Table):
    """Counts how often its ids are read."""

    lookups = 0

    def ids(self) -> set[str]:
        self.lookups += 1
        return super().ids()


@pytest.fixture
def table(tmp_path: Path) -> WatchedTable:
    return WatchedTable(str(tmp_path / "samples"), SCHEMA)


def entry(position: str, offset: int, name: str = "") -> LogRow:
    return LogRow(position, offset, {"id": name or f"{position}:{offset}"})


def test_a_partition_that_nobody_wrote_from_needs_no_second_look_at_the_ids(
    table: WatchedTable,
) -> None:
    appends = UniqueAppends(table)
    assert appends.append([entry("p-0", 0)]) == 1
    assert appends.append([entry("p-1", 0), entry("p-0", 1)]) == 2
    assert appends.append([entry("p-1", 1), entry("p-2", 0, "p-1:0")]) == 1
    assert table.lookups == 1
    assert table.ids() == {"p-0:0", "p-0:1", "p-1:0", "p-1:1"}


def test_ids_of_a_partition_that_somebody_else_wrote_from_are_looked_up(
    table: WatchedTable,
) -> None:
    appends = UniqueAppends(table)
    appends.append([entry("p-0", 0)])
    UniqueAppends(Table(table.uri, SCHEMA)).append([entry("p-1", 0, "a"), entry("p-1", 1, "b")])
    assert appends.append([entry("p-1", 2, "a"), entry("p-1", 3, "c")]) == 1
    assert table.lookups == 2
    assert sorted(table.read()["id"].to_pylist()) == ["a", "b", "c", "p-0:0"]


def test_ids_of_a_table_that_was_there_before_are_looked_up(table: WatchedTable) -> None:
    Table(table.uri, SCHEMA).append([{"id": "a"}], {})
    assert UniqueAppends(table).append([entry("p-0", 0, "a"), entry("p-0", 1, "b")]) == 1
    assert table.lookups == 1
