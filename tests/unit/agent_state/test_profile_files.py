"""Profile files: every bad line is reported with its place, and none stops the others."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.agent_state.profile_files import read_profiles
from services.agent_state.profiles import Profile
from services.runtime.errors import Rejected

ANA = {"id": "ana", "name": "Ana Lima", "description": "Bakes bread in Porto."}
BO = {"id": "bo", "name": "Bo Chen", "description": "Repairs radios."}


def line(**changes: Any) -> bytes:
    return json.dumps(ANA | changes).encode()


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def names(path: Path) -> list[str]:
    return [profile.name for profile in read_profiles(path).profiles]


def problems(path: Path) -> list[str]:
    return [str(problem) for problem in read_profiles(path).problems]


def refusal(path: Path) -> str:
    with pytest.raises(Rejected) as refused:
        read_profiles(path)
    assert str(refused.value).startswith(str(path))
    return str(refused.value).removeprefix(f"{path}: ")


BAD_LINES = {
    "no JSON": (b'{"name": Ana}', "line: is not JSON: "),
    "cut off": (line()[:-9], "line: is not JSON: "),
    "list": (b'["Ana", "Bakes"]', "line: is JSON, but no object: list"),
    "number": (b"7", "line: is JSON, but no object: int"),
    "nested too deep": (b"[" * 5000, "line: is not JSON: "),
    "no name": (b'{"description": "x"}', "name: is missing; every profile needs a name and"),
    "null name": (line(name=None), "name: is missing; every profile"),
    "empty name": (line(name=" \n"), "name: is empty; every profile needs a name and"),
    "name of a number": (line(name=3), "name: is int, not text"),
    "no description": (b'{"name": "Ana"}', "description: is missing; every profile"),
    "empty description": (line(description=""), "description: is empty; every profile"),
    "description in parts": (line(description=["x"]), "description: is list, not text"),
    "long name": (line(name="n" * 201), "name: has 201 characters, at most 200 are taken"),
    "long text": (line(description="d" * 20_001), "description: has 20,001 characters, at most"),
    "10 MB": (line(description="d" * 10_000_000), "line: is longer than 1,048,576 bytes"),
    "control character": (line(name="A\x07na"), "name: holds the control character U+0007"),
    "NUL": (line(headline="a\x00b"), "headline: holds the control character U+0000"),
    "bare NUL": (line().replace(b"Lima", b"Li\0ma"), "line: is not JSON: "),
    "not UTF-8": (line().replace(b"Lima", b"Lim\xe3"), "line: is not JSON: "),
    "half a pair": (rb'{"name": "\ud800", "description": "x"}', "line: is not JSON: "),
    "action of a number": (line(actions=["x", 3]), "actions[1]: is int, not text"),
    "empty action": (line(actions=[""]), "actions[0]: is empty"),
    "actions by name": (line(actions={"a": "b"}), "actions: is dict, not a list of texts"),
    "too many actions": (line(actions=["x"] * 101), "actions: has 101 entries, at most 100"),
    "headline of a number": (line(headline=1.5), "headline: is float, not text"),
    "id of a list": (line(id=[1]), "id: is list, not text"),
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_is_reported_with_its_place_and_the_others_are_read(
    bad: str, tmp_path: Path
) -> None:
    content, expected = BAD_LINES[bad]
    path = written(tmp_path / "people.jsonl", line(id="1"), b"", content, json.dumps(BO).encode())

    assert names(path) == ["Ana Lima", "Bo Chen"]
    (problem,) = problems(path)
    assert problem.startswith(f"people.jsonl:3: {expected}")
    assert len(problem) < 200


def test_the_second_profile_with_an_id_is_refused_and_told_where_the_first_stands(
    tmp_path: Path,
) -> None:
    first, second = line(id=7), line(id="7", name="Someone Else")
    path = written(tmp_path / "people.jsonl", first, second, line(id="8"))

    assert problems(path) == ["people.jsonl:2: id: '7' stands in line 1 too"]
    assert names(path) == ["Ana Lima", "Ana Lima"]


def test_profiles_without_an_id_get_one_that_depends_on_who_they_are(tmp_path: Path) -> None:
    people = [{"name": name, "description": text} for name in "ABC" for text in ("bakes", "sews")]
    lines = [json.dumps(person).encode() for person in people]
    forward = read_profiles(written(tmp_path / "a.jsonl", *lines)).profiles
    backward = read_profiles(written(tmp_path / "b.jsonl", *reversed(lines))).profiles

    assert len({profile.profile_id for profile in forward}) == 6
    assert set(forward) == set(backward)
    assert problems(written(tmp_path / "c.jsonl", lines[0], lines[0]))[0].startswith(
        "c.jsonl:2: id"
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.jsonl", None, "there is no such file"),
        ("empty.jsonl", b"", "holds no profile: is empty"),
        ("blank.jsonl", b"\n \r\n", "holds no profile: is empty"),
        ("people.txt", line(), "unknown kind of file; known: .jsonl, .ndjson, .jsonl.gz, .csv, .p"),
        ("bad.jsonl", b"{\n[]", "holds no profile: none of its 2 lines is valid: bad.jsonl:1: "),
        ("plain.jsonl.gz", line(), "cannot be read: Not a gzipped file"),
        ("cut.jsonl.gz", gzip.compress(line() * 99)[:-9], "cannot be read: Compressed file ended"),
        ("torn.jsonl.gz", gzip.compress(line())[:10] + b"\xff" * 99, "cannot be read: Error -3"),
        ("empty.csv", b"", "holds no profile: is empty"),
        ("head.csv", b"name,description\n", "holds no profile: is empty"),
        ("none.csv", b"Ana,Bakes\nBo,Sews\n", "needs a column 'name', found 'Ana', 'Bakes'"),
        ("half.csv", b"name,job\nBo,cook", "needs a column 'description', found 'name', 'job'"),
        ("latin1.csv", b"pr\xe9nom,bio\nAna,x", r"needs a column 'name', found 'pr\udce9nom',"),
        ("empty.parquet", b"", "cannot be read: Parquet file size is 0 bytes"),
    ],
)
def test_a_file_that_holds_no_profile_is_refused_as_a_whole(
    name: str, content: bytes | None, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    assert refusal(path).startswith(expected)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.mkdir()

    assert refusal(path).startswith("is no file; give one of .jsonl")


@pytest.mark.parametrize("name", ["people.jsonl", "PEOPLE.NDJSON", "people.jsonl.gz", "P.JSONL.GZ"])
def test_byte_order_mark_and_windows_line_ends_are_no_part_of_a_profile(
    name: str, tmp_path: Path
) -> None:
    content = (
        b"\xef\xbb\xbf" + line(note="ignored") + b"\r\n\r\n" + json.dumps(BO).encode() + b"\r\n"
    )
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)

    assert read_profiles(path).profiles == (
        Profile("ana", "Ana Lima", "Bakes bread in Porto."),
        Profile("bo", "Bo Chen", "Repairs radios."),
    )
    assert problems(path) == []


def test_reading_stops_at_the_limit_and_bad_lines_do_not_count(tmp_path: Path) -> None:
    path = written(tmp_path / "people.jsonl", line(id=1), b"{", line(id=2), b"[]", line(id=3))
    read = read_profiles(path, limit=2)

    assert [profile.profile_id for profile in read.profiles] == ["1", "2"]
    assert [problem.line for problem in read.problems] == [2]


CSV = b"""\xef\xbb\xbf Name ,BIO,past_actions,Synthetic,note\r
\r
Ana Lima,"Bakes bread,\r
""slowly"".",Sold a loaf. | Lit the oven.,yes,\r
Bo Chen,Repairs radios.,"[""Fixed | a dial.""]",,\r
"""


def test_csv_cells_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    ana, bo = read_profiles(written(tmp_path / "people.csv", CSV)).profiles

    assert (ana.name, ana.description) == ("Ana Lima", 'Bakes bread, "slowly".')
    assert (ana.actions, ana.synthetic) == (("Sold a loaf.", "Lit the oven."), True)
    assert (bo.actions, bo.synthetic) == (("Fixed | a dial.",), False)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b"Cy,Paints, slowly", "line: has 3 cells for 2 columns; quote texts that hold commas"),
        (b"Cy", "description: is missing; every profile"),
        (b",Paints", "name: is missing; every profile"),
        (b'Cy,"Paints" walls', "line: is no CSV: ',' expected after '\"'"),
        (b"C\0y,Paints", "name: holds the control character U+0000"),
        (b"C\xe9,Paints", "name: is not UTF-8: holds the byte 0xE9"),
        (b"Cy," + b"d" * 10_000_000, "line: is longer than 1,048,576 bytes"),
    ],
)
def test_a_bad_csv_row_is_reported_with_its_line_and_the_others_are_read(
    row: bytes, expected: str, tmp_path: Path
) -> None:
    content = [b"name,description", b'Ana,"Bakes,\nsells."', b"", row, b"Bo,Repairs radios.,"]
    path = written(tmp_path / "people.csv", *content)

    assert names(path) == ["Ana", "Bo"]
    (problem,) = problems(path)
    assert problem.startswith(f"people.csv:5: {expected}")


def test_a_csv_quote_that_is_never_closed_makes_nobody_of_what_follows(tmp_path: Path) -> None:
    rows = b'name,description\nAna,Bakes.\nBo,"Repairs\nCy,Paints.\nDi,Sews.\n'
    path = written(tmp_path / "people.csv", rows)

    assert names(path) == ["Ana"]
    assert problems(path) == [
        "people.csv:3: line: opens a quote that is never closed; nothing after it is read"
    ]


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_rows_are_profiles(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "people.parquet",
        Name=["Ana", None, "Cy"],
        description=["Bakes.", "Repairs.", "Paints."],
        actions=[["Sold a loaf."], None, []],
        synthetic=[True, True, None],
        seen=pa.array([10**13] * 3, pa.timestamp("s")),  # beyond Python's years
    )
    ana, cy = read_profiles(path).profiles

    assert (ana.name, ana.actions, ana.synthetic) == ("Ana", ("Sold a loaf.",), True)
    assert (cy.name, cy.actions, cy.synthetic) == ("Cy", (), False)
    assert problems(path)[0].startswith("people.parquet:2: name: is missing")


def test_a_parquet_column_of_another_type_is_named(tmp_path: Path) -> None:
    texts = ["Bakes.", "Repairs."]
    number = parquet(tmp_path / "number.parquet", name=[1, 2], description=texts)
    octets = parquet(tmp_path / "octets.parquet", name=["A", "B"], bio=[b"x", b"y"])
    no_name = parquet(tmp_path / "anonymous.parquet", description=texts)

    assert "none of its 2 lines is valid: number.parquet:1: name: is int, not" in refusal(number)
    assert "octets.parquet:2: description: is bytes, not text" in refusal(octets)
    assert refusal(no_name) == "needs a column 'name', found 'description'"


def test_a_parquet_text_that_is_not_utf_8_costs_only_its_row(tmp_path: Path) -> None:
    octets = pa.array([b"Ana", b"B\xff", b"Cy"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, octets.buffers())
    path = parquet(tmp_path / "people.parquet", name=texts, description=["x", "y", "z"])

    assert names(path) == ["Ana", "Cy"]
    assert problems(path)[0].startswith("people.parquet:2: name: cannot be read: 'utf-8' codec")


def test_a_parquet_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "people.parquet", name=["Ana"], description=["Bakes."])
    path.write_bytes(path.read_bytes()[:-20])

    assert refusal(path).startswith("cannot be read: Parquet")


PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)
PEOPLE = st.lists(
    st.fixed_dictionaries({"id": PLAIN, "name": PLAIN, "description": PLAIN}), min_size=1
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(PEOPLE)
def test_the_three_kinds_of_file_say_the_same(tmp_path: Path, people: list[dict[str, str]]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, list(people[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(people)
    (tmp_path / "a.csv").write_bytes(table.getvalue().encode())
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, people)))
    pq.write_table(pa.Table.from_pylist(people), tmp_path / "a.parquet")
    read = [read_profiles(tmp_path / f"a.{suffix}") for suffix in ("jsonl", "csv", "parquet")]

    assert read[0].profiles == read[1].profiles == read[2].profiles
    assert {profile.name for profile in read[0].profiles}
    assert len({len(one.problems) for one in read}) == 1
