"""One call of a client to a simulated engine: its sequences, and waiting for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from types import TracebackType
from typing import Protocol, Self

from services.local.simulator.faults import Fault
from services.local.simulator.loaded_clock import LoadedClock
from services.local.simulator.refusals import Refusal
from services.local.simulator.sequences import EngineSequence

_EARLY = 1e-9
"""Seconds by which a token may be early, from rounding."""


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call that was answered."""

    path: str
    model: str
    prompts: tuple[str, ...]
    """What was asked: the turns of a chat joined by line ends, or each text of the call."""
    answers: tuple[str, ...]
    """The text of each choice; nothing for embeddings."""


class Host(Protocol):
    """What works on calls: the engine."""

    clock: LoadedClock

    def opened(self, call: "Call") -> None:
        """Count a call that came in."""

    def enter(self, sequence: EngineSequence, priority: int) -> None:
        """Queue a sequence of a call, to be run as soon as possible."""

    def pace(self, spread: float) -> float:
        """Return the seconds of its clock between two tokens."""

    def closed(self, call: "Call", *, answered: bool) -> None:
        """Count the end of a call, and take back what it still holds."""


class Call:
    """A `with` block that holds what its sequences need; whoever leaves it early gives it back."""

    __slots__ = ("_engine", "_failure", "_news", "choices", "fault", "sequences", "spread")

    def __init__(self, engine: Host, fault: Fault | None, spread: float) -> None:
        self.sequences: Sequence[EngineSequence] = ()
        self.choices = 1
        """How many sequences each prompt has; those of one prompt stand together."""
        self.fault = fault
        """How it goes wrong, where that is not known to the client yet."""
        self.spread = spread
        """How much longer than usual it takes."""
        self._engine = engine
        self._news: asyncio.Future[None] | None = None
        self._failure: Refusal | None = None

    def __enter__(self) -> Self:
        self._engine.opened(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.closed(self, answered=kind is None)

    async def begin(
        self, sequences: Sequence[EngineSequence], *, choices: int = 1, priority: int = 0
    ) -> None:
        """Queue `sequences`, `choices` of each prompt, and return when one of them runs.

        Raises:
            Refusal: the engine died before, or the server stops and the call hangs.
        """
        self.sequences, self.choices = sequences, choices
        for sequence in sequences:
            sequence.spread = self.spread
            sequence.hangs = self.fault is Fault.HANG
            sequence.progressed = self.progressed
            self._engine.enter(sequence, priority)
        while self._failure is not None or all(one.admitted is None for one in sequences):
            await self._more()

    async def end(self) -> None:
        """Return when all of its sequences have come to their end.

        Raises:
            Refusal: the engine died before, or the server stops and the call hangs.
        """
        while self._failure is not None or not all(one.finished for one in self.sequences):
            await self._more()

    async def tokens(self) -> AsyncIterator[tuple[int, int]]:
        """Yield (sequence, token) as the tokens come, by their numbers from 0.

        Raises:
            Refusal: the engine died before, or the server stops and the call hangs.
        """
        clock, pace = self._engine.clock, self._engine.pace(self.spread)
        left = set(range(len(self.sequences)))
        due: list[tuple[float, int, int]] = []
        while left or due:
            for index in sorted(left):
                first = self.sequences[index].first_due
                if first is not None:
                    left.discard(index)
                    heappush(due, (first, index, 0))
            if self._failure is not None or not due:
                await self._more()
                continue
            when, index, place = due[0]
            early = when - clock.time()
            if early > _EARLY:
                await self._more(early)
                continue
            heappop(due)
            yield index, place
            if place + 1 < len(self.sequences[index].output):
                heappush(due, (when + pace, index, place + 1))

    def progressed(self) -> None:
        """Tell that something has happened to one of its sequences."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def fail(self, refusal: Refusal) -> None:
        """End it: whoever waits for it gets `refusal`."""
        self._failure = refusal
        self.progressed()

    async def _more(self, seconds: float | None = None) -> None:
        """Return when something has happened, or after `seconds` of the loaded clock."""
        if self._failure is not None:
            raise self._failure
        self._news = asyncio.get_running_loop().create_future()
        timer = None
        if seconds is not None:
            timer = self._engine.clock.call_later(seconds, self.progressed)
        try:
            await self._news
        finally:
            self._news = None
            if timer is not None:
                timer.cancel()
        if self._failure is not None:
            raise self._failure
