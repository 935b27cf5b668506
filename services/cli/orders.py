"""Datasets as standing orders of a platform: make, pause and end them."""

import asyncio
import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from matrix.instruction_generation.v1 import service_pb2 as pb

from services.cli import knobs
from services.cli.console import note, tell
from services.cli.filters import FilterOption
from services.cli.plain import print_json
from services.cli.server import CaOption, JsonOption, ServerOption, connected
from services.cli.views import harmless
from services.cli.wording import tally
from services.runtime.errors import Rejected

SERVICE = "instruction_generation"

NameArgument = Annotated[str, typer.Argument(help="Of the dataset.", show_default=False)]


def create(
    name: Annotated[str, typer.Argument(help="Letters, digits, '-', '_' and '.'.")],
    kind: Annotated[str, typer.Option(help="Dataset kind: a folder of services/kinds.")] = "sft",
    size: Annotated[int | None, typer.Option(min=1, help="Accepted samples to make.")] = None,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="As many as can be made, until paused or deleted.")
    ] = False,
    requirement: Annotated[
        str, typer.Option(help="Your field in free text, for kind domain.")
    ] = "",
    weight: Annotated[
        float, typer.Option(help="Share of the work beside other datasets; above 0.")
    ] = 1.0,
    category: knobs.CategoryOption = None,
    complexity: knobs.ComplexityOption = None,
    style: knobs.StyleOption = None,
    language: knobs.LanguageOption = "",
    response_words: knobs.ResponseWordsOption = "",
    balance: knobs.BalanceOption = None,
    steer: knobs.SteerOption = None,
    filter: FilterOption = None,
    seed: Annotated[int, typer.Option(help="Of the order of its requirements.")] = 0,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Order a dataset; production begins at once and goes on until it is full.

    The same order once more changes nothing.

    Example: `matrix datasets create pharmacy --kind domain --requirement "hospital pharmacy"
    --size 500 --complexity 2-4 --language pt --response-words 50-300`
    """
    if (size is not None) == continuous:
        raise Rejected("give either --size N or --continuous")
    request = pb.CreateDatasetRequest(
        name=name,
        kind=kind,
        requirement=requirement,
        weight=weight,
        filter=knobs.overrides(filter, language, response_words),
        seed=seed,
        **asdict(knobs.knobs_of(category, complexity, style, balance, steer)),
    )
    if size is None:
        request.continuous = True
    else:
        request.size = size
    made = _dataset(server, ca, "CreateDataset", request)
    _show(made, as_json)
    if as_json:
        return
    where = f" --server {shlex.quote(server)}" if server else ""
    follow = "watch" if continuous else "wait"
    tell(f"Next: matrix datasets {follow} {name}{where}")


def pause(
    name: NameArgument, as_json: JsonOption = False, server: ServerOption = "", ca: CaOption = None
) -> None:
    """Stop making candidates for a dataset; those in work are finished.

    Example: `matrix datasets pause my-first`
    """
    request = pb.PauseDatasetRequest(name=name)
    _show(_dataset(server, ca, "PauseDataset", request), as_json)


def resume(
    name: NameArgument, as_json: JsonOption = False, server: ServerOption = "", ca: CaOption = None
) -> None:
    """Go on with a dataset that was paused.

    Example: `matrix datasets resume my-first`
    """
    request = pb.ResumeDatasetRequest(name=name)
    _show(_dataset(server, ca, "ResumeDataset", request), as_json)


def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """End a dataset's order for good; the samples that were delivered stay in its table.

    Example: `matrix datasets delete my-first --yes`
    """
    if not yes:
        tell(order_line(_dataset(server, ca, "GetDataset", pb.GetDatasetRequest(name=name))))
        if not typer.confirm("End this order for good?", err=True):
            note("nothing was changed")
            raise typer.Exit(1)
    asyncio.run(_ask(server, ca, "DeleteDataset", pb.DeleteDatasetRequest(name=name)))
    tell(f"dataset {name} is ended; what was delivered stays in its table")


async def _ask(server: str, ca: Path | None, method: str, request: Any) -> Any:
    async with connected(server, ca) as platform:
        return await platform.ask(SERVICE, method, request)


def _dataset(server: str, ca: Path | None, method: str, request: Any) -> pb.Dataset:
    dataset: pb.Dataset = asyncio.run(_ask(server, ca, method, request)).dataset
    return dataset


def _show(dataset: pb.Dataset, as_json: bool) -> None:
    if as_json:
        print_json(dataset)
    else:
        tell(order_line(dataset))


def order_line(dataset: pb.Dataset) -> str:
    """Return how a dataset stands, in a line."""
    status = dataset.status
    of = "" if dataset.order.continuous else f" of {status.size:,}"
    rejected = tally(Counter(dict(status.rejected)))
    tail = f"; rejected: {rejected}" if rejected else ""
    name = harmless(dataset.order.dataset)
    return f"dataset {name}: {status.state}, {status.accepted:,}{of} samples{harmless(tail)}"
