"""`matrix datasets wait`: until a dataset is filled."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from matrix.instruction_generation.v1 import service_pb2 as pb
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from services.cli.console import console, note, tell
from services.cli.orders import SERVICE, NameArgument, order_line
from services.cli.server import CaOption, Server, ServerOption, connected
from services.cli.views import harmless
from services.cli.wording import duration
from services.runtime.errors import Rejected, Retryable

_POLL_SECONDS = 1.0
_LINE_SECONDS = 10.0
"""Pause between two lines where there is no terminal."""
_LOST_SECONDS = 60.0
"""How long a platform that does not answer is waited for."""
TIMED_OUT = 3
"""Exit code of a wait that ended before the dataset was filled."""


def wait(
    name: NameArgument,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait at most.", show_default=False)
    ] = None,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Wait until a dataset is filled; exit code 0 when it is, 3 when the time is up.

    Replicas that die meanwhile are no reason to stop waiting.

    Example: `matrix datasets wait my-first --timeout 600 && matrix datasets export my-first
    --to export`
    """
    until = None if timeout is None else time.monotonic() + timeout
    last = asyncio.run(_wait(server, ca, name, until))
    tell(order_line(last))
    if last.status.wanted:
        note(f"not filled after {duration(timeout or 0)}; it goes on without us")
        raise typer.Exit(TIMED_OUT)


async def _wait(server: str, ca: Path | None, name: str, until: float | None) -> pb.Dataset:
    async with connected(server, ca) as platform:
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task(harmless(name), total=None)

                def draw(dataset: pb.Dataset) -> None:
                    status = dataset.status
                    label = f"{harmless(name)} ({status.state})"
                    bar.update(
                        task, total=status.size, completed=status.accepted, description=label
                    )

                return await _filled(platform, name, until, draw)
        return await _filled(platform, name, until, _Lines())


class _Lines:
    """Tells how a dataset stands where there is no terminal: at changes, and now and then."""

    def __init__(self) -> None:
        self._told, self._state = 0.0, ""

    def __call__(self, dataset: pb.Dataset) -> None:
        now, state = time.monotonic(), dataset.status.state
        if dataset.status.wanted and (state != self._state or now - self._told >= _LINE_SECONDS):
            self._told, self._state = now, state
            tell(order_line(dataset))


async def _filled(
    platform: Server, name: str, until: float | None, show: Callable[[pb.Dataset], None]
) -> pb.Dataset:
    """Return the dataset when it is filled, or as it is when the time is up."""
    request = pb.GetDatasetRequest(name=name)
    last: pb.Dataset | None = None
    answered = time.monotonic()
    while True:
        try:
            dataset: pb.Dataset = (await platform.ask(SERVICE, "GetDataset", request)).dataset
        except Retryable:
            # What never answered is told at once: it may be the wrong address.
            if last is None or time.monotonic() - answered > _LOST_SECONDS:
                raise
            await platform.leave(SERVICE)
        else:
            last, answered = dataset, time.monotonic()
            if dataset.order.continuous:
                raise Rejected(f"dataset {name!r} is continuous: it is never filled")
            show(dataset)
            if not dataset.status.wanted:
                return dataset
        left = _POLL_SECONDS if until is None else min(_POLL_SECONDS, until - time.monotonic())
        if left <= 0:
            return last
        await asyncio.sleep(left)
