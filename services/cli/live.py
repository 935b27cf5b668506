"""The live view of a run, and the table at its end."""

import asyncio
import time
from collections import deque

from rich.console import RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from services.cli.console import console
from services.local.platform import Progress

_PLAIN_SECONDS = 10.0
"""Pause between two lines where there is no terminal."""


class RunView:
    """Draws a run's progress until cancelled: a panel on a terminal, else a line now and then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._history: deque[tuple[float, int, int]] = deque(maxlen=20)

    async def show(self) -> None:
        """Draw until cancelled."""
        if not console.is_terminal:
            while True:
                await asyncio.sleep(_PLAIN_SECONDS)
                console.print(self._line(), highlight=False, soft_wrap=True)
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            while True:
                live.update(self.panel())
                await asyncio.sleep(0.25)

    def _line(self) -> str:
        p, society = self._progress, self._progress.metrics.society
        rejected = sum(p.rejected.values())
        return (
            f"{p.phase}: {society.born}/{society.agents} agents born, {society.steps} steps, "
            f"{society.scenarios} scenarios, {p.claimed} candidates, "
            f"{p.accepted}/{p.size} accepted, {rejected} rejected, {p.in_flight} calls in flight, "
            f"{sum(p.metrics.model.retries.values())} retried, {self._left()}"
        )

    def _rates(self) -> tuple[float, float]:
        """Return model calls and tokens (prompt and completion) per second, lately."""
        model = self._progress.metrics.model
        calls = sum(model.calls.values())
        tokens = sum(model.prompt_tokens.values()) + sum(model.completion_tokens.values())
        self._history.append((time.monotonic(), calls, tokens))
        (t0, c0, k0), (t1, c1, k1) = self._history[0], self._history[-1]
        span = max(t1 - t0, 1e-9)
        return ((c1 - c0) / span, (k1 - k0) / span) if t1 > t0 else (0.0, 0.0)

    def _left(self) -> str:
        p = self._progress
        made = p.accepted - p.accepted_before
        if made <= 0 or not p.size:
            return "time left: not known yet"
        seconds = (time.monotonic() - p.started) / made * (p.size - p.accepted)
        return (
            f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"
        )

    def panel(self) -> RenderableType:
        """Return the picture of the moment."""
        p, society, model = (
            self._progress,
            self._progress.metrics.society,
            self._progress.metrics.model,
        )
        calls, tokens = self._rates()
        table = Table.grid(padding=(0, 2))
        active = society.groups - p.resting - p.parked
        table.add_row(
            "society",
            f"{society.born}/{society.agents} agents born, "
            f"{active}/{society.groups} groups active, "
            f"{p.resting} resting, {p.parked} parked, {society.steps} steps",
        )
        actions = " + ".join(f"{n} {kind}" for kind, n in sorted(society.actions.items()))
        per = society.deliveries / society.routed if society.routed else 0.0
        table.add_row("actions", f"{actions or 'none yet'}; {per:.2f} deliveries per action")
        table.add_row("scenarios", f"{society.scenarios}")
        table.add_row("candidates", f"{p.claimed}")
        reasons = ", ".join(f"{n} {reason}" for reason, n in p.rejected.most_common(6))
        table.add_row("rejected", reasons or "none yet")
        retries = ", ".join(f"{n} {cause}" for cause, n in model.retries.most_common(3))
        table.add_row(
            "model",
            f"{escape(p.model)}: {calls:.1f} calls/s, {tokens:.0f} tokens/s, "
            f"{p.in_flight} in flight" + (f"; retried: {retries}" if retries else ""),
        )
        bar = ProgressBar(total=max(p.size, 1), completed=p.accepted, width=40)
        table.add_row("accepted", f"{p.accepted}/{p.size}, {self._left()}")
        table.add_row("", bar)
        return Panel(table, title=f"matrix run · {escape(p.dataset)} · {p.phase}", expand=False)


def summary(progress: Progress) -> Table:
    """Return the table of what a run made."""
    society, model = progress.metrics.society, progress.metrics.model
    table = Table(title="This run", show_header=False)
    seconds = max(time.monotonic() - progress.started, 1e-9)
    made = progress.accepted - progress.accepted_before
    calls = sum(model.calls.values())
    prompt, completion = sum(model.prompt_tokens.values()), sum(model.completion_tokens.values())
    per = society.deliveries / society.routed if society.routed else 0.0
    reasons = ", ".join(f"{n} {reason}" for reason, n in progress.rejected.most_common()) or "none"
    table.add_row("dataset", f"{progress.dataset}: {progress.accepted} of {progress.size} samples")
    table.add_row("new samples", str(made))
    table.add_row("rejected", reasons)
    table.add_row("agents", f"{society.born} born of {society.agents}, {society.groups} groups")
    table.add_row("steps", f"{society.steps} ({sum(society.actions.values())} actions)")
    table.add_row("deliveries per action", f"{per:.2f} ({society.implausible} implausible dropped)")
    table.add_row("scenarios", str(society.scenarios))
    table.add_row("model calls", f"{calls} by {progress.model}, {calls / seconds:.1f}/s")
    table.add_row("tokens", f"{prompt} prompt + {completion} completion")
    table.add_row("retries", str(sum(model.retries.values())))
    table.add_row("time", f"{seconds:.0f} s")
    return table
