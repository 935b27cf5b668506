"""`matrix run`: from profiles to a filtered dataset on this machine."""

import asyncio
import contextlib
import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from services.cli.console import console
from services.cli.live import RunView, summary
from services.local.endpoints import ModelChoice
from services.local.platform import Outcome, Platform, Progress, RunSettings, mark_shown
from services.reward_filtering.export import SAMPLE_SCHEMA
from services.runtime.errors import Retryable
from services.runtime.tables import Table

_SHOWN = 3


class CommunicationChoice(StrEnum):
    """How messages find their receivers."""

    structured = "structured"
    random = "random"
    none = "none"


def run(
    agents: Annotated[int, typer.Option(min=1, help="People of the society.")] = 25,
    samples: Annotated[int, typer.Option(min=1, help="Accepted samples to make.")] = 12,
    kind: Annotated[str, typer.Option(help="Dataset kind: sft, domain.")] = "sft",
    requirement: Annotated[
        str, typer.Option(help="Your field in free text, for kind domain.")
    ] = "",
    name: Annotated[str, typer.Option(help="Dataset name; the kind by default.")] = "",
    profiles: Annotated[
        Path | None,
        typer.Option(help="JSONL, CSV or Parquet with name, description, actions; else built-in."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="local (a real 135M LLM in this process), simulated, or a server's URL."),
    ] = "local",
    model_name: Annotated[str, typer.Option(help="Model to ask the server for.")] = "",
    out: Annotated[Path, typer.Option(help="Directory of this run; start again to go on.")] = Path(
        "data"
    ),
    seed: Annotated[int, typer.Option(help="Of grouping, requirements and the simulator.")] = 0,
    communication: Annotated[
        CommunicationChoice, typer.Option(help="How messages find their receivers.")
    ] = CommunicationChoice.structured,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="One call in flight, in a fixed order.")
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Model calls at once; 8 local, 64 otherwise.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to go on asking a model that fails.")
    ] = 120.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a model call counts as failed.")
    ] = 120.0,
) -> None:
    """Simulate a society and make a dataset of what happens in it.

    Interrupt it whenever you like: the same command goes on where it was, and when the order is
    filled, the same command adds as many samples again. A token for --model URL is read from
    MATRIX_MODEL_API_KEY.
    """
    key = os.environ.get("MATRIX_MODEL_API_KEY", "")
    choice = ModelChoice(model, model_name, key, concurrency, patience, timeout)
    settings = RunSettings(
        out=out,
        model=choice,
        agents=agents,
        samples=samples,
        kind=kind,
        requirement=requirement,
        name=name,
        profiles=profiles,
        seed=seed,
        communication=communication.value,
        deterministic=deterministic,
    )
    progress = Progress()
    try:
        outcome = asyncio.run(_run(settings, progress))
    except KeyboardInterrupt:
        made = f" with {progress.accepted} of {progress.size} samples" if progress.size else ""
        console.print(f"interrupted{made}; the same command goes on where it was", highlight=False)
        raise
    except Retryable as error:
        raise Retryable(
            f"{error}\nWhat was made is kept: once the cause is mended, the same command goes on."
        ) from error
    for problem in progress.problems[:10]:
        console.print(f"[yellow]not imported:[/] {Text(problem)}", highlight=False)
    if len(progress.problems) > 10:
        console.print(f"[yellow]not imported:[/] {len(progress.problems) - 10} more")
    table = Table(str(out / "datasets" / outcome.dataset), SAMPLE_SCHEMA)
    console.print(summary(progress))
    if table.exists():
        show_samples(table, _SHOWN)
    console.print(f"Dataset: {table.uri}", highlight=False, soft_wrap=True)
    if not outcome.complete:
        console.print(
            f"[yellow]The society came to rest with {outcome.accepted} of {outcome.size} samples: "
            "its scenarios are used up. Run it in another --out with more --agents."
        )
        raise typer.Exit(3)
    mark_shown(out, outcome.dataset)
    console.print(f"Next: matrix datasets show {outcome.dataset} --out {out}", highlight=False)


async def _run(settings: RunSettings, progress: Progress) -> Outcome:
    view = asyncio.create_task(RunView(progress).show())
    work = asyncio.create_task(Platform(settings, progress).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        view.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await view


def show_samples(table: Table, count: int) -> None:
    """Print the newest samples in full."""
    rows = table.read(["id", "messages", "created_at"]).sort_by([("created_at", "descending")])
    for sample in rows.slice(0, count).to_pylist():
        body = Text()
        for message in sample["messages"]:
            body.append(f"{message['role']}: ", style="bold")
            body.append(message["content"] + "\n")
        console.print(Panel(body, title=sample["id"], title_align="left"))
