"""`matrix run`: from profiles to a filtered dataset on this machine."""

import asyncio
import contextlib
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli import knobs
from services.cli.console import configure_logs, console, note, tell
from services.cli.filters import FilterOption
from services.cli.live import RunView
from services.cli.model_options import (
    ConcurrencyOption,
    EmbeddingNameOption,
    EmbeddingOption,
    HeldOutNameOption,
    HeldOutOption,
    ModelNameOption,
    ModelOption,
    PatienceOption,
    RewardNameOption,
    RewardOption,
    StudentNameOption,
    StudentOption,
    TimeoutOption,
    model_choice,
)
from services.cli.samples import print_samples
from services.cli.summary import summary
from services.local.platform import Outcome, Platform, mark_shown
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime import event_loop
from services.runtime.errors import Retryable
from services.runtime.protobuf import given_fields
from services.runtime.settings import read_tracing
from services.runtime.tables import Table
from services.runtime.tracing import traced

_SHOWN = 3
_PROBLEMS_TOLD = 10


class CommunicationChoice(StrEnum):
    """How messages find their receivers."""

    structured = "structured"
    random = "random"
    none = "none"


def run(
    agents: Annotated[
        int, typer.Option(min=1, help="People of the society; with more than before, they join it.")
    ] = 25,
    samples: Annotated[int, typer.Option(min=1, help="Accepted samples to make.")] = 12,
    kind: Annotated[str, typer.Option(help="Dataset kind: a folder of services/kinds.")] = "sft",
    requirement: Annotated[
        str, typer.Option(help="Your field in free text, for kind domain.")
    ] = "",
    name: Annotated[str, typer.Option(help="Dataset name; the kind by default.")] = "",
    profiles: Annotated[
        Path | None,
        typer.Option(help="JSONL, CSV or Parquet with name, description, actions; else built-in."),
    ] = None,
    model: ModelOption = "local",
    model_name: ModelNameOption = "",
    student: StudentOption = "",
    student_name: StudentNameOption = "",
    reward: RewardOption = "",
    reward_name: RewardNameOption = "",
    held_out: HeldOutOption = "",
    held_out_name: HeldOutNameOption = "",
    embedding: EmbeddingOption = "",
    embedding_name: EmbeddingNameOption = "",
    category: knobs.CategoryOption = None,
    complexity: knobs.ComplexityOption = None,
    style: knobs.StyleOption = None,
    language: knobs.LanguageOption = "",
    response_words: knobs.ResponseWordsOption = "",
    balance: knobs.BalanceOption = None,
    steer: knobs.SteerOption = None,
    filter: FilterOption = None,
    benchmark: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL, text, CSV or Parquet of items that no instruction may repeat."),
    ] = None,
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
    concurrency: ConcurrencyOption = None,
    patience: PatienceOption = 120.0,
    timeout: TimeoutOption = 120.0,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Serve /metrics, and start a Prometheus for it if one is installed."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log to stderr what is passed over, and why.")
    ] = False,
) -> None:
    """Simulate a society and make a dataset of what happens in it.

    Interrupt it whenever you like: the same command goes on where it was, and when the order is
    filled, the same command adds as many samples again. A token for --model URL is read from
    MATRIX_MODEL_API_KEY.
    """
    configure_logs(verbose)
    choice = model_choice(
        model,
        model_name,
        slots=concurrency,
        patience_seconds=patience,
        timeout_seconds=timeout,
        student=student,
        student_name=student_name,
        reward=reward,
        reward_name=reward_name,
        held_out=held_out,
        held_out_name=held_out_name,
        embedding=embedding,
        embedding_name=embedding_name,
    )
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
        filters=given_fields(knobs.overrides(filter, language, response_words)),
        knobs=knobs.knobs_of(category, complexity, style, balance, steer),
        benchmarks=tuple(benchmark or ()),
    )
    progress = Progress()
    try:
        with traced(read_tracing(), "run"):
            outcome = event_loop.run(_run(settings, progress, watch))
    except KeyboardInterrupt:
        made = f" with {progress.accepted} of {progress.size} samples" if progress.size else ""
        tell(f"interrupted{made}; the same command goes on where it was")
        raise
    except Retryable as error:
        raise Retryable(
            f"{error}\nWhat was made is kept: once the cause is mended, the same command goes on."
        ) from error
    for problem in progress.problems[:_PROBLEMS_TOLD]:
        tell(f"not imported: {problem}")
    if len(progress.problems) > _PROBLEMS_TOLD:
        tell(f"not imported: {len(progress.problems) - _PROBLEMS_TOLD} more")
    table = Table(str(out / "datasets" / outcome.dataset), SAMPLE_SCHEMA)
    console.print(summary(progress, outcome))
    if table.exists():
        print_samples(console, table, _SHOWN)
        tell(f"Dataset: {table.uri}")
    if not outcome.complete:
        console.print(
            f"The society came to rest with {outcome.accepted} of {outcome.size} samples: its "
            "scenarios are used up. Run it again with more --agents: they join the society.",
            style="yellow",
            highlight=False,
        )
        raise typer.Exit(3)
    mark_shown(out, outcome.dataset)
    tell(f"Next: matrix datasets show {outcome.dataset} --out {out}")


async def _run(settings: RunSettings, progress: Progress, watched: bool) -> Outcome:
    watch = None
    if watched:
        # Here: gRPC and cryptography come with it, which a run does without.
        from services.local.watch import Watch

        watch = Watch(settings.out, progress.metrics, tell)
    view = asyncio.create_task(RunView(progress).show())
    work = asyncio.create_task(Platform(settings, progress, note, watch=watch).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if watch is not None:
            await watch.stop()
        view.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await view
