"""The live view of a run: a panel on a terminal, else a line now and then."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from rich.console import RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from services.cli.console import console, note
from services.cli.wording import clock, counted, duration, malformed, tally
from services.local.progress import Progress

_TICK_SECONDS = 0.25
_LINE_SECONDS = 10.0
"""Pause between two lines where there is no terminal."""
_RATE_TICKS = 60
"""Ticks that rates are averaged over."""
_WIDTH = 96


@dataclass(frozen=True, slots=True)
class _Tick:
    """Counts at a moment."""

    at: float
    accepted: int
    calls: int
    tokens: int


class RunView:
    """Draws a run's progress until cancelled."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._ticks: deque[_Tick] = deque(maxlen=_RATE_TICKS)
        self._paced: _Tick | None = None
        """When the first samples of this run were there: the pace is measured from then on."""

    async def show(self) -> None:
        """Draw until cancelled."""
        if console.is_terminal:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                while True:
                    self.tick(time.monotonic())
                    live.update(self.panel(), refresh=True)
                    await asyncio.sleep(_TICK_SECONDS)
        told = self._progress.started
        while True:
            self.tick(time.monotonic())
            if self._ticks[-1].at - told >= _LINE_SECONDS:
                told = self._ticks[-1].at
                note(self.line())
            await asyncio.sleep(_TICK_SECONDS)

    def tick(self, now: float) -> None:
        """Take note of the moment, for rates and the time left."""
        p, model = self._progress, self._progress.metrics.model
        tokens = model.prompt_tokens.total() + model.completion_tokens.total()
        tick = _Tick(now, p.accepted, model.calls.total(), tokens)
        if self._paced is None and tick.accepted > p.accepted_before:
            self._paced = tick
        self._ticks.append(tick)

    def _rates(self) -> tuple[float, float]:
        """Return model calls and tokens (prompt and completion) per second, lately."""
        first, last = self._ticks[0], self._ticks[-1]
        span = last.at - first.at
        if span <= 0:
            return 0.0, 0.0
        return (last.calls - first.calls) / span, (last.tokens - first.tokens) / span

    def _left(self) -> str:
        """Return how long it still takes; empty while that cannot be told."""
        now, paced = self._ticks[-1], self._paced
        if paced is None or now.accepted == paced.accepted:
            return ""
        pace = (now.accepted - paced.accepted) / (now.at - paced.at)
        return f"{duration((self._progress.size - now.accepted) / pace)} left"

    def line(self) -> str:
        """Return the moment in a line: the society until there are samples, then these."""
        p = self._progress
        society, model = p.metrics.society, p.metrics.model
        if p.phase != "working":
            parts = [p.phase]
        elif not p.judged:
            born = f"{society.born}/{society.agents} agents born"
            parts = [born, f"{p.active:,} of {society.agents:,} agents active"]
            parts += [counted(p.steps, "step"), counted(p.scenarios, "scenario")]
        else:
            parts = [f"{p.accepted}/{p.size} samples", f"{p.rejected.total()} rejected"]
        in_flight = counted(p.in_flight(), "call")
        parts += [f"{in_flight} in flight", f"{self._rates()[1]:,.0f} tokens/s"]
        if model.retries:
            parts.append(f"{model.retries.total()} retried")
        if model.refused:
            parts.append(f"{model.refused.total()} refused")
        if model.malformed:
            parts.append(f"{model.malformed.total()} malformed")
        if left := self._left():
            parts.append(left)
        return f"{clock(self._ticks[-1].at - p.started)} {', '.join(parts)}"

    def panel(self) -> RenderableType:
        """Return the moment as a panel."""
        p = self._progress
        society, model = p.metrics.society, p.metrics.model
        now, (calls, tokens) = self._ticks[-1], self._rates()
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(ratio=1)
        if p.size:
            left = f"about {self._left()}" if self._left() else "time left not known yet"
            table.add_row("samples", ProgressBar(total=p.size, completed=p.accepted))
            table.add_row("", f"{p.accepted:,} of {p.size:,} accepted, {left}")
            table.add_row("rejected", tally(p.rejected) or "none")
            table.add_row("candidates", f"{p.claimed:,}, {p.claimed - p.judged:,} of them in work")
            table.add_row("scenarios", f"{p.scenarios:,} from {counted(p.steps, 'step')}")
            born = f"{society.born:,} of {society.agents:,} born"
            acting = f"{p.active:,} of {society.agents:,} agents active"
            if society.target is not None:
                acting += f", as the model server allows {society.target:,}"
            active = society.groups - p.resting - p.parked
            groups = f"{active:,} active, {p.resting:,} resting, {p.parked:,} parked"
            table.add_row("agents", f"{born}; {counted(society.groups, 'group')}: {groups}")
            per = society.deliveries / society.routed if society.routed else 0.0
            actions = tally(society.actions) or "none"
            table.add_row("", acting)
            table.add_row("actions", f"{actions}; {per:.2f} deliveries per action")
        table.add_row("model", Text(p.model or "none yet"))
        pace = f"{calls:.1f}/s, {tokens:,.0f} tokens/s"
        table.add_row("", f"{now.calls:,} calls, {pace}, {p.in_flight()} in flight")
        table.add_row("retries", tally(model.retries) or "none")
        table.add_row("refused", tally(model.refused) or "none")
        table.add_row("malformed", malformed(model.malformed))
        passed = clock(now.at - p.started)
        title = Text(f"matrix run · {p.dataset} · {p.phase} · {passed}")
        return Panel(table, title=title, width=_WIDTH)
