"""The data files of an export: the rows of a table in order, some thousands to a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from services.reward_filtering.card_facts import Format
from services.reward_filtering.shapes import Shape, shaped
from services.runtime.errors import Rejected
from services.runtime.tables import Table

MAX_SHARD_ROWS = 100_000
MAX_SHARD_BYTES = 256 * 1024 * 1024
ROW_GROUP_ROWS = 1_000
JSON_BATCH_ROWS = 1_000
ORDER = [("created_at", "ascending"), ("id", "ascending")]


@dataclass(frozen=True, slots=True)
class Shards:
    """What data files are to be like."""

    folder: Path
    format: Format
    shape: Shape
    rollouts: int
    """Kept of each prompt at most, in shape `grpo`."""
    max_rows: int = MAX_SHARD_ROWS
    """Of a file."""
    max_bytes: int = MAX_SHARD_BYTES
    """Size in memory of a file's rows, about."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    files: tuple[Path, ...]
    """In the order of the rows."""
    ids: pa.Array
    """Of the samples in them, in their order."""
    level: int
    """In shape `grpo`: samples all of whose rewards are equal."""


def ordered_keys(table: Table, name: str, version: int) -> pa.Table:
    """Return `id` and `created_at` of all rows, in order.

    Raises:
        Rejected: There is no row, or one stands in the table twice.
    """
    keys = table.read(["id", "created_at"], version=version).sort_by(ORDER)
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
    rows = table.read(filters=window, version=version).sort_by(ORDER)
    # Rows of the same instant as the first may belong before it.
    return rows.slice(start - pc.index(times, times[start]).as_py(), stop - start)


def rows_of(table: Table, keys: pa.Table, version: int, ids: Sequence[str]) -> pa.Table:
    """Return the rows of some samples, with all columns."""
    places = [pc.index(keys["id"], sample_id).as_py() for sample_id in ids]
    return pa.concat_tables([_rows_between(table, keys, version, place, 1) for place in places])


def write_shards(table: Table, keys: pa.Table, version: int, shards: Shards) -> Written:
    """Write the rows of a table, in the order of `keys`, but for those that the shape leaves out.

    Args:
        table: Of the dataset.
        keys: As `ordered_keys` gives them.
        version: Of the table.
        shards: What the files are to be like.
    """
    size = _rows_a_shard(table, version, shards.max_rows, shards.max_bytes)
    count = -(-len(keys) // size)
    files, ids, level = [], [], 0
    for index in range(count):
        path = shards.folder / f"train-{index:05d}-of-{count:05d}.{shards.format}"
        rows = _rows_between(table, keys, version, index * size, size)
        rows = shaped(rows, shards.shape, shards.rollouts)
        if shards.format == "parquet":
            pa.parquet.write_table(rows, path, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        else:
            with path.open("wb") as lines:
                lines.writelines(_json_lines(rows))
        files.append(path)
        ids += rows["id"].to_pylist()
        if shards.shape == "grpo":
            level += sum(len(set(group)) == 1 for group in rows["rewards"].to_pylist())
    return Written(tuple(files), pa.array(ids, pa.string()), level)


def _rows_a_shard(table: Table, version: int, rows: int, size: int) -> int:
    """Give how many rows a data file may hold, judged by some rows of the table."""
    sample = table.read(limit=ROW_GROUP_ROWS, version=version)
    fitting = size * len(sample) // int(sample.nbytes)
    return max(1, min(rows, fitting))


def _json_lines(rows: pa.Table) -> Iterator[bytes]:
    for batch in rows.to_batches(max_chunksize=JSON_BATCH_ROWS):
        for row in batch.to_pylist():
            yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
