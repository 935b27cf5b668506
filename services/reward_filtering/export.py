"""A frozen copy of a dataset table, for training.

An export has the layout of a Hugging Face dataset, and `datasets.load_dataset(folder)` reads it
without a network: `README.md` (the card), `funnel.svg` (its picture) and
`data/train-00000-of-00001.parquet` or `.jsonl`.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from services.reward_filtering.card import PICTURE, render
from services.reward_filtering.card_facts import Format, RolloutFacts
from services.reward_filtering.export_folder import CARD, put_in_place, refuse_foreign
from services.reward_filtering.export_shards import (
    MAX_SHARD_BYTES,
    MAX_SHARD_ROWS,
    ORDER,
    Shards,
    ordered_keys,
    rows_of,
    write_shards,
)
from services.reward_filtering.facts import FACT_COLUMNS, facts_of
from services.reward_filtering.funnel_picture import funnel_picture
from services.reward_filtering.report import FUNNEL_COLUMNS, funnel_of
from services.reward_filtering.report_facts import Stage
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.shapes import Shape, checked_rollouts, shaped, usual_shape
from services.runtime.errors import NotFound, Rejected
from services.runtime.storage_errors import storage_errors
from services.runtime.tables import Table


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote."""

    dataset: str
    path: Path
    version: int
    """Of the table that was exported."""
    rows: int
    about: tuple[str, ...]
    """Files that tell of the data, relative to `path`: the card first, and its picture."""
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
    rejected: Table | None = None,
    rollouts: int | None = None,
    licences: Mapping[str, str] | None = None,
    shard_rows: int = MAX_SHARD_ROWS,
    shard_bytes: int = MAX_SHARD_BYTES,
) -> ExportResult:
    """Write the newest version of a dataset's table as a Hugging Face dataset.

    The copy is made beside `target` and then renamed, so that `target` is never half written.
    Rows are ordered by (`created_at`, `id`). Memory holds one shard, and of all candidates what
    the card counts.

    Args:
        table: A table of `SAMPLE_SCHEMA`.
        name: Of the dataset.
        target: The folder to write; an earlier export of the same dataset there is replaced.
        format: Of the data files.
        shape: Columns that a trainer takes; by default those of the dataset's kind.
        rejected: The table of the dataset's rejected candidates, for the card's funnel; it need
            not exist.
        rollouts: Kept of each prompt at most, in shape `grpo` only; by default 16.
        licences: Of models, by name, as far as they are known.
        shard_rows: Rows of a data file at most.
        shard_bytes: Size in memory of a data file's rows, about at most.

    Raises:
        NotFound: There is no such table.
        Rejected: No samples yet, or none that the shape can use; `rollouts` does not fit; or
            `target` holds something else than an export of `name`.
        Retryable: The disk is full.
    """
    version = table.version()
    if version is None:
        raise NotFound(f"{table.uri}: there is no dataset {name!r} here; declare it and run")
    keys = ordered_keys(table, name, version)
    shape = shape or usual_shape(table.read(["student_responses", "rejected"], limit=100))
    most = checked_rollouts(rollouts, shape)
    place = target.absolute()
    refuse_foreign(place, name)
    with storage_errors(target):
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, because a rename must stay on one file system.
        workshop = Path(tempfile.mkdtemp(prefix=f".{place.name}.export-", dir=place.parent))
        try:
            made = workshop / "made"
            (made / "data").mkdir(parents=True)
            shards = Shards(made / "data", format, shape, most, shard_rows, shard_bytes)
            written = write_shards(table, keys, version, shards)
            if not len(written.ids):
                raise Rejected(
                    f"no sample of dataset {name!r} has what an export of shape {shape} needs: "
                    f"{'a rejected response' if shape == 'dpo' else 'rollouts of the student'}"
                )
            accepted = table.read(FACT_COLUMNS, version=version).sort_by(ORDER)
            funnel, rejected_version = _funnel(accepted, rejected)
            facts = facts_of(
                accepted.filter(pc.is_in(accepted["id"], value_set=written.ids)),
                rows_of(table, keys, version, _examples(written.ids)),
                dataset=name,
                version=version,
                format=format,
                schema=shaped(SAMPLE_SCHEMA.empty_table(), shape).schema,
                licences=licences or {},
                funnel=funnel,
                rejected_version=rejected_version,
                left_out=len(keys) - len(written.ids),
                rollouts=RolloutFacts(most, written.level) if shape == "grpo" else None,
            )
            about = {CARD: render(facts)}
            if funnel:
                about[PICTURE] = funnel_picture(name, funnel)
            for path, text in about.items():
                (made / path).write_text(text, encoding="utf-8")
            size = sum(path.stat().st_size for path in written.files)
            files = tuple(path.relative_to(made).as_posix() for path in written.files)
            put_in_place(made, place, workshop / "replaced")
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return ExportResult(name, target, version, len(written.ids), tuple(about), files, size)


def _funnel(accepted: pa.Table, rejected: Table | None) -> tuple[tuple[Stage, ...], int | None]:
    """Count the funnel, and say of which version of the rejected candidates it is."""
    version = None if rejected is None else rejected.version()
    if rejected is None or version is None:
        return (), None
    return funnel_of(accepted, rejected.read(FUNNEL_COLUMNS, version=version)), version


def _examples(ids: pa.Array) -> list[str]:
    """Choose the first row and the one in the middle."""
    return [ids[place].as_py() for place in sorted({0, len(ids) // 2})]
