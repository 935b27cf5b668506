"""Profile files: JSONL, CSV or Parquet; a bad profile is reported and does not stop the rest."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from services.agent_state.profiles import Profile, ProfileError, parse_profile
from services.runtime.errors import Rejected

MAX_LINE_BYTES = 1 << 20
"""A longer line is reported without being read whole."""

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
    except (OSError, EOFError, pa.ArrowException, csv.Error) as error:
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
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield number, ProfileError("line", f"is longer than {MAX_LINE_BYTES:,} bytes")
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


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = (line.replace("\0", "\x01") for line in file)  # Refused later, with its line.
        reader = csv.DictReader(lines)
        columns = {(name or "").strip().lower() for name in reader.fieldnames or []}
        if columns and not ("name" in columns and columns & {"description", "bio", "persona"}):
            raise Rejected(
                f"{path}: needs the columns name and description, "
                f"found {', '.join(sorted(columns))}"
            )
        start = reader.line_num + 1
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield start, ProfileError("line", f"is no CSV: {error}")
            else:
                yield start, {(key or "").strip().lower(): v for key, v in row.items() if v}
            start = reader.line_num + 1


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
        for row in batch.to_pylist():
            number += 1
            yield number, row
