"""Admission to a model server: a bounded number of calls at once, the latest stage first."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from types import TracebackType


class Gate:
    """Lets `slots` callers in at once; among those who wait, the lowest priority number first."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.in_flight = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def slots(self) -> int:
        """Callers that may be inside at once."""
        return self._slots

    @slots.setter
    def slots(self, slots: int) -> None:
        """Let more in from now on, or fewer: who is inside stays."""
        self._slots = slots
        while self.in_flight < slots and self._admit():
            self.in_flight += 1

    @property
    def waiting(self) -> int:
        """Callers that wait."""
        return sum(not future.done() for _, _, future in self._waiting)

    def at(self, priority: int) -> "_Passage":
        """Return a context manager that enters at a priority."""
        return _Passage(self, priority)

    async def _enter(self, priority: int) -> None:
        if self.in_flight < self._slots:
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (priority, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        # The slot passes to the first who still waits, so that nobody slips in between.
        if self.in_flight > self._slots or not self._admit():
            self.in_flight -= 1

    def _admit(self) -> bool:
        """Let the first in of those who wait; False when nobody does."""
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return True
        return False


class _Passage:
    def __init__(self, gate: Gate, priority: int) -> None:
        self._gate = gate
        self._priority = priority

    async def __aenter__(self) -> None:
        await self._gate._enter(self._priority)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate._leave()
