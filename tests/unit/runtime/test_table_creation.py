"""A table is made with all of its rows, or there is none."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.parquet
import pytest

from services.runtime import table_files
from services.runtime.errors import Rejected, Retryable
from services.runtime.object_store import Folder
from services.runtime.table_creation import create_table
from services.runtime.tables import Table

SCHEMA = pa.schema([pa.field("id", pa.string(), False)])


def rows(*names: str) -> pa.Table:
    return pa.table({"id": list(names)}, SCHEMA)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "_rejected" / "sft"


def ids(place: Path) -> list[str]:
    return sorted(Table(str(place), SCHEMA).read()["id"].to_pylist())


def data_files(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("part-*"))


def test_all_rows_are_in_the_first_commit_and_an_append_follows(place: Path) -> None:
    create_table(str(place), SCHEMA, {}, [rows("a", "b"), rows("c")], "work")
    table = Table(str(place), SCHEMA)
    assert (table.version(), ids(place)) == (0, ["a", "b", "c"])
    table.append([{"id": "d"}], {"p": 1})
    assert ids(place) == ["a", "b", "c", "d"]
    assert table.offsets(["p", "work"]) == {"p": 1, "work": 1}


def test_files_hold_about_what_they_are_to_hold(place: Path) -> None:
    batches = (rows(f"{n:04}") for n in range(10))
    create_table(str(place), SCHEMA, {}, batches, "work", file_bytes=3 * rows("0000").nbytes)
    assert len(data_files(place)) == 4
    assert ids(place) == [f"{n:04}" for n in range(10)]


def test_the_same_work_once_more_reads_and_changes_nothing(place: Path) -> None:
    def never() -> Iterator[pa.Table]:
        raise AssertionError("read")
        yield

    create_table(str(place), SCHEMA, {}, [rows("a")], "work")
    before = data_files(place)
    create_table(str(place), SCHEMA, {}, never(), "work")
    assert (ids(place), data_files(place)) == (["a"], before)


def test_another_table_and_other_files_are_left_alone(place: Path) -> None:
    Table(str(place), SCHEMA).append([{"id": "theirs"}], {})
    with pytest.raises(Rejected, match="another table is there already"):
        create_table(str(place), SCHEMA, {}, [rows("a")], "work")
    assert ids(place) == ["theirs"]
    other = place.parent / "notes"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(Rejected, match=r"not a dataset table and not empty .*notes\.txt"):
        create_table(str(other), SCHEMA, {}, [rows("a")], "work")
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


def test_a_table_that_somebody_makes_meanwhile_wins(place: Path) -> None:
    def slow() -> Iterator[pa.Table]:
        yield rows("ours")
        Table(str(place), SCHEMA).append([{"id": "theirs"}], {})

    with pytest.raises(Rejected, match="another table is there already"):
        create_table(str(place), SCHEMA, {}, slow(), "work")
    assert ids(place) == ["theirs"]


@pytest.mark.parametrize("stopped", [True, False])
def test_what_breaks_off_is_no_table_and_the_next_attempt_leaves_no_file_of_it(
    place: Path, stopped: bool
) -> None:
    stop = Event()

    def breaking() -> Iterator[pa.Table]:
        yield rows("a" * 100)
        if not stopped:
            raise Retryable("the store is away")
        stop.set()
        yield rows("b")

    with pytest.raises(Retryable, match="nothing is there" if stopped else "is away"):
        create_table(str(place), SCHEMA, {}, breaking(), "work", stop, file_bytes=1)
    assert len(data_files(place)) == 1
    assert not (place / "_delta_log").exists()
    create_table(str(place), SCHEMA, {}, [rows("a"), rows("b")], "work")
    assert (ids(place), len(data_files(place))) == (["a", "b"], 1)


def test_an_object_is_created_once_and_removed_with_the_folders_it_was_in(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "store"), {})
    folder.make()
    assert folder.create("a/b/plan", b"first")
    assert not folder.create("a/b/plan", b"second")
    assert folder.read("a/b/plan") == b"first"
    folder.write("a/c/x", b"")
    folder.write("kept", b"")
    folder.remove_below("a/c")
    folder.remove(["a/b/plan"])
    folder.remove([])
    folder.remove_below("none")
    assert folder.entries() == ([], ["kept"])
    assert [path.name for path in (tmp_path / "store").rglob("*")] == ["kept"]


def test_a_merged_file_has_row_groups_as_large_as_in_any_other(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "_GROUP_ROWS", 4)
    table = Table(str(place), SCHEMA, compact_files=3)
    for first in range(0, 12, 3):
        table.append([{"id": f"{first + n:02}"} for n in range(3)], {"p": first + 3})
    assert table.compact() == 4
    (merged,) = place.glob("part-merged-*")
    groups = pyarrow.parquet.ParquetFile(merged).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [4, 4, 4]
    assert (table.count(), ids(place)) == (12, [f"{n:02}" for n in range(12)])
