"""Benchmark files: the questions that no accepted instruction may repeat.

A file is known by its suffix; an item is a question or prompt.

| suffix | one item is | the item's text is |
|---|---|---|
| `.jsonl`, `.ndjson` | a line | the line, if it is a JSON string; else the first field of its
object that is named in `FIELDS` |
| `.txt` | a line | the line |
| `.csv` | a row | the first column that is named in `FIELDS` (the first row names the columns) |
| `.parquet` | a row | the first column that is named in `FIELDS` |

All are UTF-8, with or without a byte order mark. Blank lines and empty texts are passed over; any
other line without a text is an error, because a benchmark that is read in part protects in part.
Answers and choices are not read.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from services.runtime.errors import Rejected

FIELDS = ("question", "prompt", "text", "instruction", "input")
"""Names of the field that holds an item's text, in order of preference; case does not matter."""

MAX_LINE_BYTES = 1 << 20
"""A longer line is an error: memory stays bounded when a file is no file of lines."""


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """A question of a benchmark."""

    file: str
    """Name of its file, without folders."""
    line: int
    """Line that it stands in, or its row in a Parquet file; from 1."""
    text: str


def read_benchmark(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a benchmark file, in order.

    Raises:
        Rejected: there is no such file, its kind is not known, it cannot be read, is not UTF-8, has
            a line without a text, or holds no item. Names file, line and what to do.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[int, str]]]] = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".txt": _lines,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise Rejected(f"{path}: unknown kind of benchmark file; known: {', '.join(readers)}")
    empty = True
    try:
        for line, text in reader(path):
            if text.strip():
                empty = False
                yield BenchmarkItem(path.name, line, text)
    except OSError as error:
        raise Rejected(f"{path}: cannot be read: {error.strerror or error}") from error
    if empty:
        raise Rejected(f"{path}: holds no item: give a file with one question in each line or row")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(raw) > MAX_LINE_BYTES:
                raise Rejected(
                    f"{path}:{number}: is longer than {MAX_LINE_BYTES:,} bytes: put one item in a "
                    "line"
                )
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.decode()
            except UnicodeDecodeError as error:
                raise Rejected(
                    f"{path}:{number}: is not UTF-8: byte 0x{raw[error.start]:02X} at byte "
                    f"{error.start + 1} of the line; convert the file, for instance with "
                    f"`iconv -f LATIN1 -t UTF-8` if it is Latin-1"
                ) from error


def _json_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise Rejected(
                f"{path}:{number}: is no JSON ({error}): write one object or string in each line"
            ) from error
        yield number, value if isinstance(value, str) else _text_of(f"{path}:{number}", value)


def _text_of(where: str, value: object) -> str:
    if not isinstance(value, dict):
        raise Rejected(
            f"{where}: is a JSON {type(value).__name__}: write an object with one of the fields "
            f"{', '.join(FIELDS)}, or a string"
        )
    field = _field(where, list(value))
    text = value[field]
    if not isinstance(text, str):
        raise Rejected(f"{where}: field {field!r} is no text but {str(text)[:50]!r}: give a string")
    return text


def _field(where: str, names: Sequence[str]) -> str:
    """Return which of the names is the text's.

    Raises:
        Rejected: none is.
    """
    folded = {name.strip().casefold(): name for name in reversed(names)}
    for field in FIELDS:
        if field in folded:
            return folded[field]
    found = ", ".join(map(repr, names[:20])) or "none"
    raise Rejected(
        f"{where}: has no field for the text of an item: found {found}; looked for "
        f"{', '.join(FIELDS)}; rename the one that holds it"
    )


def _csv_rows(path: Path) -> Iterator[tuple[int, str]]:
    rows = csv.reader(line for _, line in _lines(path))
    try:
        header = next(rows, [])
        if not any(header):
            return
        place = header.index(_field(str(path), header))
        for row in rows:
            if len(row) > place:
                yield rows.line_num, row[place]
            elif any(row):
                raise Rejected(
                    f"{path}:{rows.line_num}: has {len(row)} cells for {len(header)} columns: "
                    "quote texts that hold commas or line ends"
                )
    except csv.Error as error:
        raise Rejected(f"{path}:{rows.line_num}: is no CSV ({error})") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            field = _field(str(path), file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=[field]):
                for value in batch.column(0):
                    number += 1
                    text = value.as_py()
                    if not isinstance(text, str):
                        raise Rejected(
                            f"{path}: row {number}: column {field!r} is no text but "
                            f"{str(text)[:50]!r}: give a string"
                        )
                    yield number, text
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise Rejected(f"{path}: cannot be read as Parquet: {error}") from error
