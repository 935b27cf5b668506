"""`matrix datasets refilter`: the same candidates for another student, or by other settings."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from services.cli import orders
from services.cli.console import console, tell
from services.cli.filters import filter_overrides
from services.cli.wording import counted, tally
from services.local.endpoints import ModelChoice
from services.local.refiltering import refilter_run
from services.runtime.protobuf import given_fields

_EVERY = 100


def refilter(
    name: orders.NameArgument,
    to: Annotated[str, typer.Option(help="Name of the new dataset.")],
    student: Annotated[
        str, typer.Option(help="URL of the model that you train now; by default as --model.")
    ] = "",
    student_name: Annotated[str, typer.Option(help="Model to ask that server for.")] = "",
    model: Annotated[
        str, typer.Option(help="Who gives rewards: local, simulated, or a server's URL.")
    ] = "local",
    model_name: Annotated[str, typer.Option(help="Model to ask that server for.")] = "",
    filter: Annotated[
        list[str] | None,
        typer.Option(help="A filter setting that differs from the kind's, as rip_quantile=0.25."),
    ] = None,
    random: Annotated[
        bool,
        typer.Option("--random", help="A random subset of equal size instead: the control."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of --random.")] = 0,
    out: Annotated[Path, typer.Option(help="Directory of the run.")] = Path("data"),
) -> None:
    """Filter the candidates of a run's dataset again, without making any anew.

    Instructions and the teacher's responses stay; the student is asked again, and every candidate,
    also one that was rejected, gets a new verdict. No quota holds it back.

    Example: `matrix datasets refilter dpo --to dpo-7b --student http://127.0.0.1:8001`
    """

    def told(done: int, of: int) -> None:
        if done % _EVERY == 0:
            console.print(f"{done} of {of} candidates", highlight=False)

    key = os.environ.get("MATRIX_MODEL_API_KEY", "")
    choice = ModelChoice(model, model_name, key, student=student, student_name=student_name)
    overrides = given_fields(filter_overrides(filter or []))
    made = asyncio.run(
        refilter_run(out, name, to, choice, overrides, seed if random else None, told)
    )
    tell(
        f"{made.accepted} of {counted(made.candidates, 'candidate')} in {to}, {made.kept} of them "
        f"among the {made.before} of {name}; rejected: {tally(made.reasons) or 'none'}"
    )
