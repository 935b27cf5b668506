"""`matrix datasets`: look at what was made, and take it along."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as View

from services.cli.console import output, tell
from services.cli.samples import print_samples
from services.reward_filtering.export import SAMPLE_SCHEMA, export_dataset
from services.runtime.errors import NotFound
from services.runtime.tables import Table, list_tables

datasets = typer.Typer(no_args_is_help=True, help="List, show and export datasets.")
Out = Annotated[Path, typer.Option(help="Directory of the run.")]


class ExportFormat(StrEnum):
    """File formats of an export."""

    parquet = "parquet"
    jsonl = "jsonl"


def _names(out: Path) -> list[str]:
    names = list_tables(str(out / "datasets"))
    if not names and not (out / "run.json").is_file():
        raise NotFound(f"{out} holds no run; give the directory of one with --out")
    return names


def open_dataset(out: Path, name: str) -> Table:
    """Return a dataset's table.

    Raises:
        NotFound: there is none of that name; the message names those there are.
    """
    names = _names(out)
    if name not in names:
        known = ", ".join(names) or "none yet"
        raise NotFound(f"no dataset {name!r} in {out}; there are: {known}")
    return Table(str(out / "datasets" / name), SAMPLE_SCHEMA)


@datasets.command("list")
def list_datasets(out: Out = Path("data")) -> None:
    """List the datasets of a run."""
    names = _names(out)
    if not names:
        tell(f"no datasets in {out} yet")
        return
    view = View("dataset", "kind", "samples", "newest (UTC)")
    for name in names:
        rows = open_dataset(out, name).read(["kind", "created_at"]).to_pylist()
        kinds = ", ".join(sorted({row["kind"] for row in rows}))
        newest = max((row["created_at"] for row in rows), default=None)
        view.add_row(name, kinds, str(len(rows)), f"{newest:%Y-%m-%d %H:%M:%S}" if newest else "")
    output.print(view)


@datasets.command()
def show(
    name: str,
    out: Out = Path("data"),
    samples: Annotated[int, typer.Option(min=0, help="Samples to show, newest first.")] = 3,
) -> None:
    """Show a dataset's newest samples in full."""
    table = open_dataset(out, name)
    tell(f"{name}: {table.count()} samples, version {table.version()}")
    print_samples(output, table, samples)


@datasets.command()
def export(
    name: str,
    to: Annotated[Path, typer.Option(help="Directory to write; made, or an earlier export.")],
    format: Annotated[ExportFormat, typer.Option(help="Of the data files.")] = ExportFormat.parquet,
    out: Out = Path("data"),
) -> None:
    """Write a frozen copy in Hugging Face layout, which `datasets.load_dataset` reads."""
    result = export_dataset(open_dataset(out, name), name, to, format.value)
    tell(f"{result.rows} samples in {result.path}")
