"""`matrix datasets`: orders of a platform, and what was made, there or by `matrix run`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as View

from services.cli import orders, refilter, report, waiting, watching
from services.cli.console import output, tell
from services.cli.licences import local_licences
from services.cli.local_datasets import (
    OutOption,
    dataset_names,
    open_dataset,
    open_rejected,
)
from services.cli.plain import print_json
from services.cli.remote_datasets import export_remote, list_remote, show_remote
from services.cli.samples import print_samples
from services.cli.server import DEFAULT_OUT, CaOption, JsonOption, ServerOption, is_remote
from services.reward_filtering.export import export_dataset
from services.reward_filtering.shapes import FEWEST_ROLLOUTS, MOST_ROLLOUTS, find_shape
from services.runtime.errors import Rejected

datasets = typer.Typer(no_args_is_help=True, help="Order, list, show and export datasets.")
datasets.command()(orders.create)


class ExportFormat(StrEnum):
    """File formats of an export."""

    parquet = "parquet"
    jsonl = "jsonl"


@datasets.command("list")
def list_datasets(
    out: OutOption = None,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """List the datasets of a platform, or of a run.

    Example: `matrix datasets list --json | jq -r .order.dataset`
    """
    if is_remote(server, out):
        list_remote(server, ca, as_json)
        return
    place = out or DEFAULT_OUT
    names = dataset_names(place)
    if not names and not as_json:
        tell(f"no datasets in {place} yet")
        return
    view = View("dataset", "kind", "samples", "newest (UTC)")
    for name in names:
        rows = open_dataset(place, name).read(["kind", "created_at"]).to_pylist()
        kinds = ", ".join(sorted({row["kind"] for row in rows}))
        newest = max((row["created_at"] for row in rows), default=None)
        if as_json:
            print_json({"dataset": name, "kind": kinds, "samples": len(rows), "newest": newest})
            continue
        view.add_row(name, kinds, str(len(rows)), f"{newest:%Y-%m-%d %H:%M:%S}" if newest else "")
    if not as_json:
        output.print(view)


@datasets.command()
def show(
    name: orders.NameArgument,
    out: OutOption = None,
    samples: Annotated[int, typer.Option(min=0, help="Samples to show.")] = 3,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show how a dataset stands, and samples in full: of a run the newest, else the first ones.

    Example: `matrix datasets show my-first --samples 5`
    """
    if is_remote(server, out):
        show_remote(server, ca, name, samples, as_json)
        return
    table = open_dataset(out or DEFAULT_OUT, name)
    if as_json:
        rows = table.read().sort_by([("created_at", "descending")]).slice(0, samples).to_pylist()
        print_json({"dataset": name, "count": table.count(), "samples": rows})
        return
    tell(f"{name}: {table.count()} samples, version {table.version()}")
    print_samples(output, table, samples)


@datasets.command()
def export(
    name: orders.NameArgument,
    to: Annotated[Path, typer.Option(help="Directory to write; made, or an earlier export.")],
    format: Annotated[ExportFormat, typer.Option(help="Of the data files.")] = ExportFormat.parquet,
    shape: Annotated[
        str,
        typer.Option(
            "--as", help="Columns for a trainer: sft, dpo or grpo; by default those of its kind."
        ),
    ] = "",
    rollouts: Annotated[
        int | None,
        typer.Option(
            min=FEWEST_ROLLOUTS,
            max=MOST_ROLLOUTS,
            help="Of --as grpo: rollouts kept of each prompt at most, those whose rewards vary "
            "most; 16 by default.",
            show_default=False,
        ),
    ] = None,
    model_licence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=SPDX",
            help="Licence of a model, for the card of a run's export; also several times.",
            show_default=False,
        ),
    ] = None,
    out: OutOption = None,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Write a frozen copy in Hugging Face layout, which `datasets.load_dataset` reads.

    Its card says how many candidates each filter stage refused, also as a picture, and under which
    licences the models are. They are taken from MATRIX_MODEL_LICENCES (`MODEL=LICENCE,...` or a
    JSON object), which a platform reads where its reward_filtering runs, and of the built-in model
    from its package; what is not stated is said to be so.

    Example: `matrix datasets export my-first --to export --format jsonl`
    """
    if is_remote(server, out):
        if model_licence:
            raise Rejected(
                "--model-licence is for the export of a run; for a platform set "
                "MATRIX_MODEL_LICENCES where its reward_filtering runs"
            )
        export_remote(server, ca, name, to, format.value, shape, rollouts)
        return
    place = out or DEFAULT_OUT
    result = export_dataset(
        *(open_dataset(place, name), name, to, format.value, find_shape(shape)),
        rejected=open_rejected(place, name),
        rollouts=rollouts,
        licences=local_licences(model_licence or ()),
    )
    tell(f"{result.rows} samples in {result.path}")


for _command in (
    report.report,
    waiting.wait,
    watching.watch,
    orders.pause,
    orders.resume,
    orders.delete,
    watching.preview,
    refilter.refilter,
):
    datasets.command()(_command)
