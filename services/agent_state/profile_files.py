"""Profile files: JSONL, CSV or Parquet; a bad profile is reported and does not stop the rest."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from services.agent_state.profiles import SYNONYMS, Profile, ProfileError, parse_profile
from services.runtime.errors import Rejected

MAX_LINE_BYTES = 1 << 20
"""A longer line, or row of lines, is reported without being read whole."""
_TOO_LONG = f"is longer than {MAX_LINE_BYTES:,} bytes"

Row = tuple[int, Mapping[str, object] | ProfileError]
"""Line or row number from 1, and the fields or what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a profile was not taken in."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class ProfileImport:
    """What a file gave."""

    profiles: tuple[Profile, ...]
    problems: tuple[Problem, ...]


def read_profiles(path: Path, limit: int | None = None) -> ProfileImport:
    """Return the first `limit` valid profiles of a file, and the problems on the way.

    Raises:
        Rejected: there is no such file, its kind is not known, it holds no profile, or it cannot
            be read at all.
    """
    profiles: list[Profile] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    try:
        for line, fields in _rows(path):
            try:
                if isinstance(fields, ProfileError):
                    raise fields
                profile = parse_profile(fields)
                first = seen.setdefault(profile.profile_id, line)
                if first != line:
                    raise ProfileError("id", f"{profile.profile_id!r} stands in line {first} too")
                profiles.append(profile)
            except ProfileError as error:
                problems.append(Problem(path.name, line, error.field, error.problem))
            if limit is not None and len(profiles) >= limit:
                break
    # Parquet's names of columns need not be UTF-8.
    except (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        raise Rejected(f"{path}: cannot be read: {error}") from error
    if not profiles:
        shown = "; ".join(str(problem) for problem in problems[:3])
        reason = f"none of its {len(problems)} lines is valid: {shown}" if problems else "is empty"
        raise Rejected(f"{path}: holds no profile: {reason}")
    return ProfileImport(tuple(profiles), tuple(problems))


def _rows(path: Path) -> Iterator[Row]:
    readers = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".jsonl.gz": _json_lines,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    if not path.exists():
        raise Rejected(f"{path}: there is no such file")
    if not path.is_file():
        raise Rejected(f"{path}: is no file; give one of {', '.join(readers)}")
    for suffix, reader in readers.items():
        if path.name.lower().endswith(suffix):
            return reader(path)
    raise Rejected(f"{path}: unknown kind of file; known: {', '.join(readers)}")


def _json_lines(path: Path) -> Iterator[Row]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield number, ProfileError("line", _TOO_LONG)
                continue
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield number, _json_fields(text)


def _json_fields(line: bytes) -> Mapping[str, object] | ProfileError:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return ProfileError("line", f"is not JSON: {error}")
    if not isinstance(fields, dict):
        return ProfileError("line", f"is JSON, but no object: {type(fields).__name__}")
    return fields


class _Lines:
    """The lines of a CSV file; a row of them that grows too long is an error."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0
        """Of the last line that was read."""
        self.row_length = 0
        """To be set to 0 where a row begins."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.row_length += len(line)
        if self.row_length > MAX_LINE_BYTES:
            while line and not line.endswith(("\n", "\r")):
                line = self._file.readline(MAX_LINE_BYTES)
            raise ProfileError("line", _TOO_LONG)
        return line


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, strict=True)
        columns: list[str] = []
        while True:
            start = lines.number + 1
            lines.row_length = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except ProfileError as error:
                yield start, error
                continue
            except csv.Error as error:
                unclosed = "opens a quote that is never closed; nothing after it is read"
                problem = unclosed if "end of data" in str(error) else f"is no CSV: {error}"
                yield start, ProfileError("line", problem)
                continue
            if columns and any(cells):
                yield start, _csv_fields(columns, cells)
            elif any(cells):
                columns = _columns(path, cells)


def _csv_fields(
    columns: Sequence[str], cells: Sequence[str]
) -> Mapping[str, object] | ProfileError:
    if any(cells[len(columns) :]):
        problem = f"has {len(cells)} cells for {len(columns)} columns; quote texts that hold commas"
        return ProfileError("line", problem)
    return {column: cell for column, cell in zip(columns, cells, strict=False) if cell}


def _parquet_rows(path: Path) -> Iterator[Row]:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    known = {synonym for synonyms in SYNONYMS.values() for synonym in synonyms}
    columns = dict(zip(names, _columns(path, names), strict=True))
    wanted = [name for name in names if columns[name] in known]
    number = 0
    for batch in file.iter_batches(batch_size=1024, columns=wanted):
        for place in range(batch.num_rows):
            number += 1
            yield number, _parquet_fields(columns, batch, place)


def _parquet_fields(
    columns: Mapping[str, str], batch: pa.RecordBatch, place: int
) -> Mapping[str, object] | ProfileError:
    fields = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        try:
            fields[columns[name]] = values[place].as_py()
        except (ValueError, OverflowError) as error:  # no UTF-8; a time beyond Python's
            return ProfileError(columns[name], f"cannot be read: {error}")
    return fields


def _columns(path: Path, names: Sequence[str]) -> list[str]:
    """Return the names of the columns as fields are called.

    Raises:
        Rejected: there can be no name or no description.
    """
    columns = [name.strip().lower() for name in names]
    for field in ("name", "description"):
        if not any(synonym in columns for synonym in SYNONYMS[field]):
            raise Rejected(f"{path}: needs a column {field!r}, found {', '.join(map(repr, names))}")
    return columns
