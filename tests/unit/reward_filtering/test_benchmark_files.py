"""Benchmark files: what is read from them, and what is said of those that cannot be read."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.benchmark_files import (
    FIELDS,
    MAX_LINE_BYTES,
    BenchmarkItem,
    read_benchmark,
)
from services.runtime.errors import Rejected

ITEMS = ["How many clips did she sell?", 'Say "yes", or no.', "Qual é a capital do Peru?"]


def read(path: Path) -> list[tuple[int, str]]:
    items = list(read_benchmark(path))
    assert all(isinstance(item, BenchmarkItem) and item.file == path.name for item in items)
    return [(item.line, item.text.strip()) for item in items]


@pytest.mark.parametrize("field", [*FIELDS, "Question", " PROMPT"])
def test_objects_are_read_by_any_of_the_known_fields(tmp_path: Path, field: str) -> None:
    path = tmp_path / "b.jsonl"
    rows = [{"answer": "no question", field: text, "id": 3} for text in ITEMS]
    path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read(path) == [(1, ITEMS[0]), (3, ITEMS[1]), (5, ITEMS[2])]


def test_the_first_known_field_in_order_of_preference_is_the_text(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text('{"input": "a table", "instruction": "Sort it"}\n"a plain string"\n')
    assert read(path) == [(1, "Sort it"), (2, "a plain string")]


def test_lines_rows_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = tmp_path / "b.txt"
    text.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(ITEMS).encode() + b"\r\n\r\n")
    assert read(text) == list(enumerate(ITEMS, 1))

    table = tmp_path / "b.csv"
    table.write_text('id,Question\n1,"How many,\nand why?"\n\n2,Who?\n', encoding="utf-8")
    assert read(table) == [(3, "How many,\nand why?"), (5, "Who?")]

    rows = tmp_path / "b.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "question": ITEMS}), rows)
    assert read(rows) == list(enumerate(ITEMS, 1))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.jsonl", '{"question": "Où ?"}'.encode("latin-1"), r"b.jsonl:1: .*0xF9 at byte 16"),
        ("b.txt", "Who?\nOù ?".encode("latin-1"), r"b.txt:2: is not UTF-8: .*iconv"),
        ("b.txt", "Who?".encode("utf-16"), r"b.txt:1: is not UTF-8: byte 0xFF at byte 1 "),
        ("b.csv", "id,question\n1,Où".encode("latin-1"), r"b.csv:2: is not UTF-8"),
        (
            "b.jsonl",
            b'{"question": "Who?"}\n{"query": "Who?", "answer": 3}',
            r"b.jsonl:2: has no field .* found 'query', 'answer'; looked for question, prompt,",
        ),
        ("b.jsonl", b"{}", "found none; looked for question"),
        ("b.jsonl", b'{"question": ["a"]}', r"field 'question' is no text but .*give a string"),
        ("b.jsonl", b"[1]", r"is a JSON list: write an object"),
        ("b.jsonl", b'"Who?"\n{"question"', r"b.jsonl:2: is no JSON"),
        ("b.csv", b"id,query\n1,Who?", r"found 'id', 'query'; looked for"),
        ("b.csv", b"id,question\n1", r"b.csv:2: has 1 cells for 2 columns"),
        ("b.csv", b"", "holds no item"),
        ("b.csv", b"question\n", "holds no item"),
        ("b.jsonl", b"", "holds no item"),
        ("b.jsonl", b'\n{"text": " "}\n', "holds no item"),
        ("b.txt", b" \n", "holds no item"),
        ("b.txt", b"a" * (MAX_LINE_BYTES + 1), "b.txt:1: is longer than 1,048,576 bytes"),
        ("b.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("b.xlsx", b"", "unknown kind of benchmark file; known: .jsonl"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_a_remedy(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Rejected, match=said) as refusal:
        read(path)
    assert str(path) in str(refusal.value)


def test_a_missing_file_and_a_column_of_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"none.txt: cannot be read: No such file"):
        read(tmp_path / "none.txt")
    path = tmp_path / "b.parquet"
    pq.write_table(pa.table({"question": [1, 2]}), path)
    with pytest.raises(Rejected, match="row 1: column 'question' is no text but '1'"):
        read(path)
    pq.write_table(pa.table({"query": ["Who?"]}), path)
    with pytest.raises(Rejected, match="found 'query'; looked for"):
        read(path)


@given(content=st.binary(max_size=60), suffix=st.sampled_from(["jsonl", "txt", "csv", "parquet"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content)
    try:
        items = read(path)
    except Rejected as refusal:
        items, said = [], str(refusal)
    else:
        said = f"{path}: was read"
    assert said.startswith(str(path))
    assert all(text for _, text in items)
