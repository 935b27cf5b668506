"""`matrix datasets refilter`: the same candidates for another student, or by other settings."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from services.cli import orders
from services.cli.console import tell
from services.cli.filters import FilterOption, filter_overrides
from services.cli.local_datasets import OutOption
from services.cli.model_options import (
    ConcurrencyOption,
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
from services.cli.refilter_view import telling
from services.cli.store import StoreOption, dataset_store
from services.cli.wording import counted, tally
from services.local.redeciding import Refiltering
from services.local.refiltering import refilter_dataset
from services.runtime import event_loop
from services.runtime.errors import Retryable
from services.runtime.protobuf import given_fields


def refilter(
    name: orders.NameArgument,
    to: Annotated[str, typer.Option(help="Name of the new dataset.")],
    model: ModelOption = "local",
    model_name: ModelNameOption = "",
    student: StudentOption = "",
    student_name: StudentNameOption = "",
    reward: RewardOption = "",
    reward_name: RewardNameOption = "",
    held_out: HeldOutOption = "",
    held_out_name: HeldOutNameOption = "",
    filter: FilterOption = None,
    random: Annotated[
        bool,
        typer.Option("--random", help="A random subset of equal size instead: the control."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of --random.")] = 0,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Discard what an interrupted refilter to --to decided."),
    ] = False,
    concurrency: ConcurrencyOption = None,
    patience: PatienceOption = 120.0,
    timeout: TimeoutOption = 120.0,
    store: StoreOption = "",
    out: OutOption = None,
) -> None:
    """Filter the candidates of a dataset again, without making any anew.

    Instructions and the teacher's responses stay; the student is asked again, and every candidate,
    also one that was rejected, gets a new verdict. No quota holds it back. --reward, or
    without it --model, gives the rewards: it is to be the one of the first verdicts. A token is
    read from MATRIX_MODEL_API_KEY.

    Interrupt it whenever you like: the same command goes on where it was. The new dataset is there
    when all is decided, and not before.

    Example: `matrix datasets refilter dpo --to dpo-7b --store s3://matrix --model
    http://judge:8000 --student http://student:8000`
    """
    place = dataset_store(store, out)
    asked = Refiltering(
        dataset=name,
        to=to,
        choice=model_choice(
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
        ),
        overrides=given_fields(filter_overrides(filter or [])),
        random_seed=seed if random else None,
        restart=restart,
    )
    try:
        with telling() as told, tempfile.TemporaryDirectory() as scratch:
            made = event_loop.run(refilter_dataset(place, asked, Path(scratch), told, tell))
    except KeyboardInterrupt:
        tell("interrupted; what was decided is kept, and the same command goes on where it was")
        raise
    except Retryable as error:
        raise Retryable(
            f"{error}\nWhat was decided is kept: the same command goes on, once that is mended."
        ) from error
    tell(
        f"{made.accepted:,} of {counted(made.candidates, 'candidate')} in {to}, {made.kept:,} of "
        f"them among the {made.before:,} of {name}; rejected: {tally(made.reasons) or 'none'}"
    )
    if not made.accepted:
        tell(f"nothing is accepted, so there is no dataset {to}; its rejected candidates are kept")
