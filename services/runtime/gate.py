"""Admission to a model server: a bounded amount of work at once, the latest stage first."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from types import TracebackType


class Gate:
    """Lets work in up to `slots`; of those who wait, the lowest priority number is the next.

    A caller counts for the sequences that its call makes the server generate: one that asks for
    eight answers takes eight of vLLM's slots. It enters as soon as one is free, so that a large
    one does not wait for ever.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.in_flight = 0
        """Sequences of the callers inside."""
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._crowded = asyncio.Event()

    @property
    def slots(self) -> int:
        """Sequences that may be inside at once, but for the last caller's."""
        return self._slots

    @slots.setter
    def slots(self, slots: int) -> None:
        """Let more in from now on, or fewer: who is inside stays."""
        self._slots = slots
        self._admit()

    @property
    def waiting(self) -> int:
        """Sequences of the callers that wait."""
        return sum(weight for _, _, weight, turn in self._waiting if not turn.done())

    async def crowded(self) -> None:
        """Return when somebody waits, at once if so already."""
        if not self.waiting:
            self._crowded.clear()
            await self._crowded.wait()

    def at(self, priority: int, weight: int = 1) -> "_Passage":
        """Return a context manager that enters at a priority, with so many sequences."""
        return _Passage(self, priority, weight)

    async def _enter(self, priority: int, weight: int) -> None:
        if self.in_flight < self._slots:
            self.in_flight += weight
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (priority, next(self._order), weight, turn))
        self._crowded.set()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(weight)
            raise

    def _leave(self, weight: int) -> None:
        # Who waits is let in at once, so that nobody slips in between.
        self.in_flight -= weight
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < self._slots:
            _, _, weight, turn = heappop(self._waiting)
            if not turn.done():
                self.in_flight += weight
                turn.set_result(None)


class _Passage:
    def __init__(self, gate: Gate, priority: int, weight: int) -> None:
        self._gate = gate
        self._priority = priority
        self._weight = weight

    async def __aenter__(self) -> None:
        await self._gate._enter(self._priority, self._weight)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate._leave(self._weight)
