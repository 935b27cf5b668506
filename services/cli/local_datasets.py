"""The datasets that a `matrix run` left in its directory."""

from pathlib import Path
from typing import Annotated

import typer

from services.reward_filtering.sample_schema import REJECTED, SAMPLE_SCHEMA
from services.runtime.errors import NotFound
from services.runtime.tables import Table, list_tables

OutOption = Annotated[
    Path | None,
    typer.Option(
        help="Directory of a `matrix run`, instead of a platform that runs; data when there is "
        "none.",
        show_default=False,
    ),
]


def dataset_names(out: Path) -> list[str]:
    """Return the names of a run's datasets.

    Raises:
        NotFound: there is no run.
    """
    names = list_tables(str(out / "datasets"))
    if not names and not (out / "run.json").is_file():
        raise NotFound(f"{out} holds no run; give the directory of one with --out")
    return names


def open_dataset(out: Path, name: str) -> Table:
    """Return a dataset's table.

    Raises:
        NotFound: there is none of that name; the message names those there are.
    """
    _find(out, name, dataset_names(out))
    return Table(str(out / "datasets" / name), SAMPLE_SCHEMA)


def open_rejected(out: Path, name: str) -> Table:
    """Return the table of a dataset's rejected candidates, which need not exist."""
    return Table(str(out / "datasets" / REJECTED / name), SAMPLE_SCHEMA)


def open_candidates(out: Path, name: str) -> tuple[Table, Table]:
    """Return a dataset's table and that of its rejected candidates; one of them can be missing.

    Raises:
        NotFound: there is none of that name; the message names those there are.
    """
    rejected = list_tables(str(out / "datasets" / REJECTED))
    # Without an accepted sample a dataset has no table, and a report says why.
    _find(out, name, sorted({*(rejected or dataset_names(out)), *dataset_names(out)}))
    return (
        Table(str(out / "datasets" / name), SAMPLE_SCHEMA),
        open_rejected(out, name),
    )


def _find(out: Path, name: str, names: list[str]) -> None:
    if name not in names:
        known = ", ".join(names) or "none yet"
        raise NotFound(f"no dataset {name!r} in {out}; there are: {known}")
