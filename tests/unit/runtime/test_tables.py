"""Delta tables in a directory: what one writer and one reader may rely on."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.rows import rows_to_arrow, schema_difference
from services.runtime.storage_errors import AccessDenied, storage_error, storage_errors
from services.runtime.tables import Moved, Table, list_tables

TURN = pa.struct([pa.field("role", pa.string(), False), pa.field("content", pa.string())])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), False),
        pa.field("turns", pa.list_(pa.field("item", TURN, False)), False),
        pa.field("rewards", pa.list_(pa.float64()), False),
        pa.field("at", pa.timestamp("us", "UTC"), False),
    ]
)
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)


def row(name: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"tell me about {name}"}]
    return {"id": name, "turns": turns, "rewards": [0.5, -1.25], "at": NOON}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "samples"), SCHEMA)


def test_an_absent_table_is_empty(table: Table) -> None:
    assert not table.exists()
    assert table.version() is None
    assert (table.count(), table.ids(), table.offset("p-0"), table.compact()) == (0, set(), 0, 0)
    assert table.read(["id"]).column_names == ["id"]
    assert not Path(table.uri).exists(), "looking at a table must not create it"


def test_rows_and_offsets_come_back_from_a_new_object(table: Table) -> None:
    table.append([row("a"), row("b")], {"p-0": 7, "p-3": 2})

    reopened = Table(table.uri, SCHEMA)
    assert reopened.exists()
    assert reopened.read().sort_by("id").to_pylist() == [row("a"), row("b")]
    assert reopened.offsets(["p-0", "p-3", "p-9"]) == {"p-0": 7, "p-3": 2, "p-9": 0}
    assert reopened.read().schema.equals(table.schema)


def test_rows_and_offsets_are_one_commit(table: Table) -> None:
    before = table.append([row("a")], {"p-0": 1})
    after = table.append([row("b")], {"p-0": 2})
    assert after == before + 1
    old = DeltaTable(table.uri, version=before)
    assert (old.transaction_version("p-0"), table.count(before)) == (1, 1)


def test_a_repeated_append_changes_nothing(table: Table) -> None:
    version = table.append([row("a")], {"p-0": 1, "p-1": 4})
    assert table.append([row("a")], {"p-0": 1, "p-1": 4}) == version
    assert Table(table.uri, SCHEMA).append([row("a")], {"p-1": 4, "p-0": 1}) == version
    assert table.count() == 1


def test_offsets_never_go_back(table: Table) -> None:
    table.append([row("a")], {"p-0": 9})
    with pytest.raises(Rejected, match=r"p-0 is at 9 and cannot go back to 8"):
        table.append([row("b")], {"p-0": 8, "p-1": 3})
    assert (table.ids(), table.offset("p-1")) == ({"a"}, 0)


def test_a_writer_that_lost_its_partition_is_refused(table: Table) -> None:
    stale, owner = Table(table.uri, SCHEMA), Table(table.uri, SCHEMA)
    assert stale.offset("p-0") == 0
    owner.append([row("a")], {"p-0": 1})
    with pytest.raises(Moved, match=r"another writer moved p-0 from 0 to 1"):
        stale.append([row("a"), row("b")], {"p-0": 2})
    assert owner.ids() == {"a"}

    assert stale.offset("p-0") == 1, "reading the offset again puts the writer right"
    stale.append([row("b")], {"p-0": 2})
    assert table.count() == 2


def test_a_refused_writer_stays_refused_after_an_append_of_its_own(table: Table) -> None:
    stale, owner = Table(table.uri, SCHEMA), Table(table.uri, SCHEMA)
    stale.append([row("a")], {"p-0": 1})
    owner.append([row("b")], {"p-0": 2})
    stale.append([row("c")], {"p-7": 1})
    with pytest.raises(Moved, match=r"moved p-0 from 1 to 2"):
        stale.append([row("b"), row("d")], {"p-0": 3})
    assert table.ids() == {"a", "b", "c"}


def test_offsets_without_rows_are_committed_only_when_forced(table: Table) -> None:
    version = table.append([row("a")], {"p-0": 1})
    assert table.append([], {"p-0": 5}) == version
    assert Table(table.uri, SCHEMA).offset("p-0") == 1
    assert table.append([], {"p-0": 5}, force=True) == version + 1
    assert Table(table.uri, SCHEMA).offset("p-0") == 5
    assert table.count() == 1
    table.append([row("b")], {"p-0": 6})
    assert table.count() == 2


def test_reading_columns_rows_and_versions(table: Table) -> None:
    first = table.append([row("a"), row("b")], {})
    table.append([row("c")], {})
    assert table.read(["rewards", "id"], version=first).column_names == ["rewards", "id"]
    assert table.read(["id"], filters="id > 'a' AND at >= '2026-01-01T00:00:00Z'").num_rows == 2
    assert [table.read(limit=n).num_rows for n in (0, 1, 2, 9)] == [0, 1, 2, 3]
    assert (table.count(first), table.count()) == (2, 3)
    with pytest.raises(Rejected, match=r"no columns \['nope'\]; there are \['id'"):
        table.read(["nope"])
    with pytest.raises(Rejected, match="samples"):
        table.read(filters="id = 'a' AND")
    for version in (-1, 77):
        with pytest.raises(NotFound, match=f"no version {version}; the newest is 2"):
            table.read(version=version)


def test_another_schema_is_refused_by_the_names_of_its_columns(table: Table) -> None:
    table.append([row("a")], {})
    rewards = SCHEMA.get_field_index("rewards")
    changed = SCHEMA.set(rewards, pa.field("rewards", pa.list_(pa.int64()), False))
    extra = pa.field("extra", pa.string(), nullable=False)
    changed = changed.remove(SCHEMA.get_field_index("at")).append(extra)
    with pytest.raises(Rejected, match="another schema") as caught:
        Table(table.uri, changed).append([], {})
    message = str(caught.value)
    assert all(f"{name} (expected" in message for name in ("rewards", "at", "extra"))
    assert "turns (" not in message
    assert "id (" not in message


def later(*names: str) -> pa.Schema:
    """Return the schema of a release that knows more columns."""
    return pa.schema([*SCHEMA, *(pa.field(name, pa.list_(pa.string())) for name in names)])


def test_a_table_of_an_earlier_release_is_read_and_gets_its_columns_at_the_first_append(
    table: Table,
) -> None:
    first = table.append([row("a"), row("b")], {"p-0": 2})
    new = Table(table.uri, later("tags"))
    assert new.read(["tags", "id"]).to_pylist() == [
        {"tags": None, "id": "a"},
        {"tags": None, "id": "b"},
    ]
    assert new.read(["tags"], limit=1).to_pylist() == [{"tags": None}]
    assert new.version() == first, "reading changed the table"
    new.append([row("c") | {"tags": ["x"]}], {"p-0": 3})
    found = {each["id"]: each["tags"] for each in new.read().to_pylist()}
    assert found == {"a": None, "b": None, "c": ["x"]}
    assert new.read(version=first).num_rows == 2
    assert new.offset("p-0") == 3


def test_a_writer_of_an_earlier_release_keeps_the_columns_of_a_later_one(table: Table) -> None:
    table.append([row("a")], {"p-0": 1})
    new = Table(table.uri, later("tags"))
    new.append([row("b") | {"tags": ["x"]}], {"p-1": 1})
    for number in range(2, 5):  # The old one had the table open when it was widened.
        table.append([row(f"old {number}")], {"p-0": number})
    old = Table(table.uri, SCHEMA, compact_files=2)
    assert old.read().column_names == SCHEMA.names
    assert old.compact() > 0
    found = {
        each["id"]: each["tags"] for each in Table(table.uri, later("tags")).read().to_pylist()
    }
    assert found == {"a": None, "b": ["x"], **{f"old {n}": None for n in range(2, 5)}}


def test_two_writers_of_a_new_release_widen_a_table_once(table: Table) -> None:
    table.append([row("a")], {"p-0": 1})
    writers = [Table(table.uri, later("tags")) for _ in range(2)]
    assert [writer.count() for writer in writers] == [1, 1]
    for number, writer in enumerate(writers):
        writer.append([row(f"new {number}") | {"tags": [str(number)]}], {f"p-{number + 1}": 1})
    assert {each["id"]: each["tags"] for each in writers[0].read().to_pylist()} == {
        "a": None,
        "new 0": ["0"],
        "new 1": ["1"],
    }


def test_writers_that_widen_a_table_at_the_same_moment_lose_nothing(table: Table) -> None:
    table.append([row("a")], {"p-0": 1})
    with ThreadPoolExecutor(4) as threads:
        writers = [Table(table.uri, later("tags")) for _ in range(4)]
        done = [
            threads.submit(writer.append, [row(f"{n}") | {"tags": []}], {f"p-{n + 1}": 1})
            for n, writer in enumerate(writers)
        ]
        for each in done:
            each.result()
    assert table.ids() == {"a", "0", "1", "2", "3"}


def test_the_order_of_columns_is_no_difference(table: Table) -> None:
    table.append([row("a")], {"p-0": 1})
    turned = Table(table.uri, pa.schema(reversed(list(SCHEMA))))
    turned.append([row("b")], {"p-0": 2})
    assert table.read().sort_by("id").to_pylist() == [row("a"), row("b")]


def test_files_that_are_no_table_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    table = Table(str(tmp_path), SCHEMA)
    with pytest.raises(Rejected, match=r"not a dataset table and not empty .*notes\.txt"):
        table.append([row("a")], {})
    with pytest.raises(Rejected, match=r"notes\.txt"):
        table.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_directory_and_an_aborted_creation_become_tables(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "aborted" / "_delta_log").mkdir(parents=True)
    (tmp_path / "aborted" / "_delta_log" / "00000000000000000000.json#1").write_text("{")
    for name in ("empty", "aborted"):
        table = Table(str(tmp_path / name), SCHEMA)
        assert not table.exists()
        table.append([row("a")], {"p-0": 1})
        assert Table(table.uri, SCHEMA).ids() == {"a"}


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/no-such-place/samples"])
def test_a_path_that_cannot_be_is_rejected_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    uri = str(tmp_path / place)
    with pytest.raises(Rejected, match=place):
        Table(uri, SCHEMA).append([row("a")], {})


def test_a_damaged_log_is_rejected_without_native_stack_frames(table: Table) -> None:
    table.append([row("a")], {})
    for commit in Path(table.uri, "_delta_log").glob("*.json"):
        commit.write_text("garbage")
    with pytest.raises(Rejected, match=table.uri) as caught:
        Table(table.uri, SCHEMA).count()
    assert "unknown>" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_data_file_is_reported_with_the_table(table: Table) -> None:
    table.append([row("a")], {})
    for path in Path(table.uri).glob("*.parquet"):
        path.unlink()
    with pytest.raises((Rejected, Retryable), match=table.uri):
        table.read()


def test_tables_are_listed_by_name(tmp_path: Path) -> None:
    assert list_tables(str(tmp_path / "nowhere")) == []
    for name in ("sft-b", "dpo-a"):
        Table(str(tmp_path / name), SCHEMA).append([row("a")], {})
    (tmp_path / "other").mkdir()
    (tmp_path / "aborted" / "_delta_log").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    assert list_tables(str(tmp_path)) == ["dpo-a", "sft-b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": None}, "a row has no value in at"),
        ({"turns": [{"content": "no role"}]}, r"a row has no value in turns\.role"),
        ({"turns": [None]}, "a row has no value in turns"),
        ({"rewards": ["high"]}, r"column rewards \(list<.*double>\): .*'high'"),
        ({"id": 7}, r"column id \(string\)"),
        ({"score": 1.0}, r"row 1 lacks the columns \[\] and has unknown ones \['score'\]"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    table: Table, change: dict[str, object], message: str
) -> None:
    with pytest.raises(Rejected, match=f"{table.uri}: {message}"):
        table.append([row("a"), row("b") | change], {"p-0": 2})
    assert table.offset("p-0") == 0


def test_a_row_that_lacks_a_column_is_refused(table: Table) -> None:
    lacking = row("a")
    del lacking["at"]
    with pytest.raises(Rejected, match=r"row 0 lacks the columns \['at'\]"):
        table.append([lacking], {})


turns = st.lists(
    st.fixed_dictionaries({"role": st.text(), "content": st.none() | st.text()}), max_size=3
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(),
            "turns": turns,
            "rewards": st.lists(st.none() | st.floats(allow_nan=False), max_size=3),
            "at": st.datetimes(timezones=st.just(UTC)),
        }
    ),
    max_size=4,
)


@given(rows)
def test_rows_that_fit_come_back_unchanged(given_rows: list[dict[str, Any]]) -> None:
    assert rows_to_arrow(given_rows, SCHEMA, "here").to_pylist() == given_rows


def test_equal_schemas_have_no_difference() -> None:
    assert schema_difference(SCHEMA, SCHEMA) == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            OSError("Unable to copy data to file\n ↳ No space left on device (os error 28)"),
            Retryable,
        ),
        (OSError(28, "No space left on device"), Retryable),
        (OSError("Generic S3 error\n ↳ error sending request\n ↳ operation timed out"), Retryable),
        (ValueError("Failed to commit transaction: Concurrent transaction failed."), Retryable),
        (ValueError("Failed to parse parquet: Generic S3 error: connection reset"), Retryable),
        (OSError("Read-only file system (os error 30)"), AccessDenied),
        (PermissionError(13, "Permission denied"), AccessDenied),
        (OSError("The operation lacked the necessary privileges\n ↳ 403 Forbidden"), AccessDenied),
        (OSError("Generic S3 error ↳ 404 Not Found ↳ <Code>NoSuchBucket</Code>"), AccessDenied),
        (OSError("Generic S3 error ↳ builder error ↳ URL scheme is not allowed"), AccessDenied),
        (OSError("Generic S3 error ↳ tcp connect error ↳ refused (os error 111)"), Retryable),
        (OSError("Generic S3 error ↳ status code: 503 Service Unavailable"), Retryable),
        (OSError("Generic S3 error ↳ 507 Insufficient Storage ↳ XMinioStorageFull"), Retryable),
        (FileNotFoundError("Object at location x not found ↳ 404 Not Found"), Rejected),
        (ValueError("Generic DeltaTable error: Arrow error: whatever"), Rejected),
    ],
)
def test_errors_of_storage_are_retried_only_if_they_may_pass(
    error: Exception, kind: type[Exception]
) -> None:
    found = storage_error("s3://samples/x", error)
    assert type(found) is kind
    assert str(found).startswith("s3://samples/x: ")


def test_errors_that_are_not_of_storage_pass_through() -> None:
    with pytest.raises(KeyError), storage_errors("here"):
        raise KeyError("a bug")
    with pytest.raises(NotFound), storage_errors("here", Exception):
        raise NotFound("already translated")
