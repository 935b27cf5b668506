"""Reading positions, followed from commit to commit: they are those that the log tells."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.object_store import Folder
from services.runtime.table_positions import Positions
from services.runtime.tables import Table

SCHEMA = pa.schema([pa.field("id", pa.string(), False)])
NAMES = ["p-0", "p-1", "p-2"]


@pytest.mark.parametrize("commits", [1, 5, 30])
def test_a_reader_behind_by_any_number_of_commits_finds_the_newest_positions(
    tmp_path: Path, commits: int
) -> None:
    reader, writer = Table(str(tmp_path / "t"), SCHEMA), Table(str(tmp_path / "t"), SCHEMA)
    writer.append([{"id": "first"}], {"p-0": 1, "p-1": 1})
    assert reader.offsets(NAMES) == {"p-0": 1, "p-1": 1, "p-2": 0}
    for number in range(commits):
        writer.append([{"id": str(number)}], {"p-0": number + 2})
        writer.append([{"id": f"x{number}"}], {})
    assert reader.offsets(NAMES) == {"p-0": commits + 1, "p-1": 1, "p-2": 0}


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.dictionaries(st.sampled_from(NAMES), st.just(1))),
        min_size=1,
        max_size=12,
    )
)
def test_two_writers_always_know_what_the_log_says(
    tmp_path_factory: pytest.TempPathFactory, appends: list[tuple[int, dict[str, int]]]
) -> None:
    uri = str(tmp_path_factory.mktemp("tables") / "t")
    writers = [Table(uri, SCHEMA, compact_files=4) for _ in range(2)]
    ends = dict.fromkeys(NAMES, 0)
    for number, (who, names) in enumerate(appends):
        writer = writers[who]
        assert writer.offsets(NAMES) == ends
        ends |= {name: ends[name] + 1 for name in names}
        writer.append([{"id": str(number)}], {name: ends[name] for name in names})
        writer.compact()
    told = DeltaTable(uri)
    assert {name: told.transaction_version(name) or 0 for name in NAMES} == ends
    assert [writer.offsets(NAMES) for writer in writers] == [ends, ends]


def test_going_back_to_an_older_version_looks_positions_up_again(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    table = Table(uri, SCHEMA)
    old = table.append([{"id": "a"}], {"p-0": 1})
    new = table.append([{"id": "b"}], {"p-0": 2})
    positions = Positions(Folder(uri, {}))
    for version, expected in ((new, 2), (old, 1), (new, 2)):
        found = positions.stored(DeltaTable(uri, version=version), ["p-0", "p-9"])
        assert found == {"p-0": expected, "p-9": None}
