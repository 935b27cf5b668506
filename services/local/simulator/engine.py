"""The calls of one simulated server: admitted in order, counted, disturbed, logged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.local.simulator.faults import Fault, Faults
from services.local.simulator.refusals import engine_failure, overloaded
from services.local.simulator.settings import SimulatorSettings


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call that was answered."""

    path: str
    model: str
    prompts: tuple[str, ...]
    """What was asked: the turns of a chat joined by line ends, or each text of the call."""
    answers: tuple[str, ...]
    """The text of each choice; nothing for embeddings."""


class Engine:
    """Slots, queue and faults; holds nothing of what is asked or answered."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.in_flight = 0
        """Calls being worked on or waiting."""
        self.completed = 0
        """Calls that were answered in full, well or as garbage; refused ones do not count."""
        self._settings = settings
        self._faults = Faults(settings)
        self._slots = asyncio.Semaphore(settings.slots)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let hanging calls end."""
        self._stopping.set()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Fault | None]:
        """Hold a slot; gives the fault that remains to be shown, garbage or truncated.

        Raises:
            Refusal: the queue is full, or the call's fault is an error.
        """
        waiting = self._settings.waiting
        if waiting is not None and self.in_flight >= self._settings.slots + waiting:
            raise overloaded()
        self.in_flight += 1
        try:
            async with self._slots:
                fault = self._faults.next()
                if fault is Fault.HANG:
                    await self._stopping.wait()
                if fault in (Fault.ERROR_503, Fault.HANG):
                    raise overloaded()
                if fault is Fault.ERROR_500:
                    raise engine_failure()
                yield fault
                self.completed += 1
        finally:
            self.in_flight -= 1

    async def spend(self, tokens: int) -> None:
        """Take the time that a call with `tokens` tokens of answer takes."""
        seconds = self._settings.seconds_per_call + tokens * self._settings.seconds_per_token
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def pause(self) -> None:
        """Take the time that one streamed token takes."""
        if self._settings.seconds_per_token > 0:
            await asyncio.sleep(self._settings.seconds_per_token)
