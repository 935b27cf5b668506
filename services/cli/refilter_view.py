"""How far a refilter is: a bar on a terminal, else a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn

from services.cli.console import console, tell
from services.cli.wording import duration
from services.local.redeciding import Decided

_LINE_SECONDS = 10.0
"""Pause between two lines where there is no terminal."""


def decided_line(decided: Decided, seconds: float) -> str:
    """Return how far it is: `1,200 of 5,000 candidates, 300 accepted, 12.5/s, 5 min left`.

    Args:
        decided: The counts.
        seconds: Since this command began to decide; what was decided before a break is not in the
            rate.
    """
    parts = [
        f"{decided.done:,} of {decided.of:,} candidates",
        f"{decided.accepted:,} accepted",
    ]
    fresh = decided.done - decided.before
    if fresh > 0 and seconds > 0:
        rate = fresh / seconds
        parts.append(f"{rate:,.1f}/s")
        if decided.done < decided.of:
            parts.append(f"{duration((decided.of - decided.done) / rate)} left")
    return ", ".join(parts)


@contextmanager
def telling() -> Iterator[Callable[[Decided], None]]:
    """Give what shows counts as they change."""
    began = time.monotonic()
    if not console.is_terminal:
        told = began

        def line(decided: Decided) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _LINE_SECONDS:
                told = now
                tell(decided_line(decided, now - began))

        yield line
        return
    with Progress(
        BarColumn(), TextColumn("{task.description}"), console=console, transient=True
    ) as bar:
        task = bar.add_task("looking for candidates", total=None)

        def draw(decided: Decided) -> None:
            seconds = time.monotonic() - began
            bar.update(
                task,
                total=decided.of,
                completed=decided.done,
                description=decided_line(decided, seconds),
            )

        yield draw
