"""Dataset tables of the platform: their columns, and a frozen copy of one for training.

An export has the layout of a Hugging Face dataset, and `datasets.load_dataset(folder)` reads it
without a network: `README.md` (the card) and `data/train-00000-of-00001.parquet` or `.jsonl`.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from services.reward_filtering.card import Format, has_marker, render
from services.reward_filtering.facts import FACT_COLUMNS, facts_of
from services.reward_filtering.shapes import Shape, shaped, usual_shape
from services.runtime.errors import NotFound, Rejected
from services.runtime.storage_errors import storage_errors
from services.runtime.tables import Table

MAX_SHARD_ROWS = 100_000
MAX_SHARD_BYTES = 256 * 1024 * 1024
ROW_GROUP_ROWS = 1_000
JSON_BATCH_ROWS = 1_000

_ORDER = [("created_at", "ascending"), ("id", "ascending")]


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list_of(kind: pa.DataType) -> pa.DataType:
    return pa.list_(_required("element", kind))


SAMPLE_SCHEMA = pa.schema(
    [
        _required("id", pa.string()),
        _required("kind", pa.string()),
        _required("dataset", pa.string()),
        _required("stratum", pa.string()),
        _required(
            "messages",
            _list_of(
                pa.struct([_required("role", pa.string()), _required("content", pa.string())])
            ),
        ),
        _required(
            "requirement",
            pa.struct(
                [
                    _required("id", pa.string()),
                    _required("category", pa.string()),
                    _required("complexity", pa.int64()),
                    _required("style", pa.string()),
                    _required("text", pa.string()),
                ]
            ),
        ),
        _required("rewards", _list_of(pa.float64())),
        _required("chosen", pa.int64()),
        _required(
            "student_responses",
            _list_of(
                pa.struct(
                    [
                        _required("text", pa.string()),
                        _required("reward", pa.float64()),
                        _required("outcome", pa.string()),
                    ]
                )
            ),
        ),
        _required("rejected", pa.int64()),
        _required("answer", pa.string()),
        _required("tests", pa.string()),
        _required("accepted", pa.bool_()),
        _required("stage", pa.string()),
        _required("reason", pa.string()),
        # Not a map: `datasets` has no feature type for one.
        _required(
            "scores",
            _list_of(pa.struct([_required("name", pa.string()), _required("value", pa.float64())])),
        ),
        _required("persona", pa.string()),
        _required("scenario_id", pa.string()),
        _required("group_id", pa.string()),
        _required("agent_id", pa.string()),
        _required("agent_ids", _list_of(pa.string())),
        _required("action_ids", _list_of(pa.string())),
        _required("prompt", pa.string()),
        _required("instruction_model", pa.string()),
        _required("response_model", pa.string()),
        _required("student_model", pa.string()),
        _required("reward_model", pa.string()),
        _required("held_out_model", pa.string()),
        _required("calls", pa.int64()),
        _required("prompt_tokens", pa.int64()),
        _required("completion_tokens", pa.int64()),
        _required("created_at", pa.timestamp("us", "UTC")),
    ]
)
"""One row per candidate, accepted ones in the dataset's table and the others in the one beside it;
ops/dataset-schema.md says what the columns mean."""
REJECTED = "_rejected/"
"""Before the name of a dataset: the table of its rejected candidates."""

CONTENT_COLUMNS = tuple(name for name in SAMPLE_SCHEMA.names if name != "created_at")
"""The columns that two deterministic runs agree on."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote."""

    dataset: str
    path: Path
    version: int
    """Of the table that was exported."""
    rows: int
    files: tuple[str, ...]
    """Data files relative to `path`, in the order of the rows."""
    bytes: int
    """Of the data files."""


def export_dataset(
    table: Table,
    name: str,
    target: Path,
    format: Format,
    shape: Shape | None = None,
    *,
    shard_rows: int = MAX_SHARD_ROWS,
    shard_bytes: int = MAX_SHARD_BYTES,
) -> ExportResult:
    """Write the newest version of a dataset's table as a Hugging Face dataset.

    The copy is made beside `target` and then renamed, so that `target` is never half written.
    Rows are ordered by (`created_at`, `id`). Memory holds one shard and the keys of all rows.

    Args:
        table: A table of `SAMPLE_SCHEMA`.
        name: Of the dataset.
        target: The folder to write; an earlier export of the same dataset there is replaced.
        format: Of the data files.
        shape: Columns that a trainer takes; by default those of the dataset's kind.
        shard_rows: Rows of a data file at most.
        shard_bytes: Size in memory of a data file's rows, about at most.

    Raises:
        NotFound: There is no such table.
        Rejected: No samples yet, or `target` holds something else than an export of `name`.
        Retryable: The disk is full.
    """
    version = table.version()
    if version is None:
        raise NotFound(f"{table.uri}: there is no dataset {name!r} here; declare it and run")
    keys = _ordered_keys(table, name, version)
    shape = shape or usual_shape(table.read(["student_responses", "rejected"], limit=100))
    place = target.absolute()
    refuse_foreign(place, name)
    size = _rows_a_shard(table, version, shard_rows, shard_bytes)
    with storage_errors(target):
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, because a rename must stay on one file system.
        workshop = Path(tempfile.mkdtemp(prefix=f".{place.name}.export-", dir=place.parent))
        try:
            made = workshop / "made"
            (made / "data").mkdir(parents=True)
            files = _write_shards(table, keys, version, made / "data", format, size, shape)
            facts = facts_of(
                table.read(FACT_COLUMNS, version=version).sort_by(_ORDER),
                _examples(table, keys, version),
                dataset=name,
                version=version,
                format=format,
                schema=shaped(SAMPLE_SCHEMA.empty_table(), shape).schema,
            )
            (made / "README.md").write_text(render(facts), encoding="utf-8")
            written = sum(path.stat().st_size for path in files)
            relative = tuple(path.relative_to(made).as_posix() for path in files)
            put_in_place(made, place, workshop / "replaced")
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return ExportResult(name, target, version, len(keys), relative, written)


def _ordered_keys(table: Table, name: str, version: int) -> pa.Table:
    keys = table.read(["id", "created_at"], version=version).sort_by(_ORDER)
    if not len(keys):
        raise Rejected(f"dataset {name!r} has no accepted samples yet; export it when it has some")
    if pc.count_distinct(keys["id"]).as_py() != len(keys):
        counts = pc.value_counts(keys["id"]).to_pylist()
        twice = next(count["values"] for count in counts if count["counts"] > 1)
        raise Rejected(f"{table.uri}: sample {twice} stands in the table more than once")
    return keys


def _rows_between(table: Table, keys: pa.Table, version: int, start: int, count: int) -> pa.Table:
    """Read the rows number `start` to `start + count` of the order that `keys` gives."""
    times = keys["created_at"]
    stop = min(start + count, len(keys))
    first, last = times[start].as_py(), times[stop - 1].as_py()
    window = f"created_at >= '{first.isoformat()}' AND created_at <= '{last.isoformat()}'"
    rows = table.read(filters=window, version=version).sort_by(_ORDER)
    # Rows of the same instant as the first may belong before it.
    return rows.slice(start - pc.index(times, times[start]).as_py(), stop - start)


def _examples(table: Table, keys: pa.Table, version: int) -> pa.Table:
    """The first row and the one in the middle."""
    places = sorted({0, len(keys) // 2})
    return pa.concat_tables([_rows_between(table, keys, version, place, 1) for place in places])


def _rows_a_shard(table: Table, version: int, rows: int, size: int) -> int:
    """Give how many rows a data file may hold, judged by some rows of the table."""
    sample = table.read(limit=ROW_GROUP_ROWS, version=version)
    fitting = size * len(sample) // int(sample.nbytes)
    return max(1, min(rows, fitting))


def _write_shards(
    table: Table,
    keys: pa.Table,
    version: int,
    folder: Path,
    format: Format,
    size: int,
    shape: Shape,
) -> list[Path]:
    shards = -(-len(keys) // size)
    files = []
    for index in range(shards):
        path = folder / f"train-{index:05d}-of-{shards:05d}.{format}"
        rows = shaped(_rows_between(table, keys, version, index * size, size), shape)
        if format == "parquet":
            pa.parquet.write_table(rows, path, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        else:
            with path.open("wb") as lines:
                lines.writelines(_json_lines(rows))
        files.append(path)
    return files


def _json_lines(rows: pa.Table) -> Iterator[bytes]:
    for batch in rows.to_batches(max_chunksize=JSON_BATCH_ROWS):
        for row in batch.to_pylist():
            yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def refuse_foreign(target: Path, name: str) -> None:
    """Refuse to replace anything but what an earlier export of the same dataset wrote."""
    hint = "choose another folder or move it away"
    with storage_errors(target):
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise Rejected(f"{target}: not a folder; {hint}")
        if not target.is_dir() or not any(target.iterdir()):
            return
        card = target / "README.md"
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        if not has_marker(text, name):
            raise Rejected(f"{target}: holds no earlier export of dataset {name!r}; {hint}")
        ours = {card, target / "data", *(target / "data").glob("train-*-of-*.*")}
        if others := sorted(set(target.rglob("*")) - ours):
            raise Rejected(f"{target}: holds files that are not of an export: {others[0]}; {hint}")


def put_in_place(made: Path, target: Path, replaced: Path) -> None:
    """Rename a finished copy to its place; what was there goes to `replaced`."""
    if not target.exists():
        made.rename(target)
        return
    target.rename(replaced)
    try:
        made.rename(target)
    except OSError:
        replaced.rename(target)
        raise
