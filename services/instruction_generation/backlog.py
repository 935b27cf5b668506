"""Claims that wait for a hand, and those in work."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

from services.instruction_generation.domain import Claim
from services.instruction_generation.revocable import Revocable
from services.runtime.errors import Retryable

_log = structlog.get_logger(__name__)
_ATTEMPTS = 3
"""Of a supervised backlog at a claim at which the work crashes."""
_LONGEST_PAUSE = 30.0

WorkOff = Callable[[Claim], Coroutine[Any, Any, None]]


class Backlog:
    """Every claim is here once, whether it waits or is in work.

    A `supervised` one works on whatever happens, as a service does: what may succeed later is
    tried until it does, from `pause_seconds` on at growing intervals, and a claim at which the
    work crashes time and again is given up. One that is not ends with the error.
    """

    def __init__(
        self,
        work_off: WorkOff,
        give_up: WorkOff,
        supervised: bool = False,
        pause_seconds: float = 1.0,
    ) -> None:
        self._work_off = work_off
        self._give_up = give_up
        self._supervised = supervised
        self._pause = pause_seconds
        self._queue: asyncio.Queue[Claim] = asyncio.Queue()
        self._here: dict[str, Claim] = {}
        self._in_work = Revocable()

    def __len__(self) -> int:
        """Return how many claims wait or are in work."""
        return len(self._here)

    @property
    def in_work(self) -> int:
        """Claims that a hand is at."""
        return len(self._in_work)

    def add(self, claims: Iterable[Claim]) -> None:
        """Let claims wait for a hand; those that are here already are passed over."""
        for claim in claims:
            if claim.candidate_id not in self._here:
                self._here[claim.candidate_id] = claim
                self._queue.put_nowait(claim)

    def revoke(self, gone: Callable[[str], bool]) -> None:
        """Forget the claims of strata that are gone; those in work do nothing from now on."""
        self._here = {name: claim for name, claim in self._here.items() if not gone(claim.key)}
        waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for claim in waiting:
            if not gone(claim.key):
                self._queue.put_nowait(claim)
        self._in_work.revoke(gone)

    async def work(self, hands: int) -> None:
        """Work claims off with so many at once, until cancelled; raises what that raises."""
        await asyncio.gather(*(self._work_forever() for _ in range(hands)))

    async def _work_forever(self) -> None:
        while True:
            await self._work(await self._queue.get())

    async def step(self) -> bool:
        """Work one claim off, alone; False when there is none (deterministic runs)."""
        if self._queue.empty():
            return False
        await self._work(self._queue.get_nowait())
        return True

    async def _work(self, claim: Claim) -> None:
        try:
            await self._in_work.run(claim.key, self._try(claim))
        finally:
            # Revoked and adopted again, it may be here anew.
            if self._here.get(claim.candidate_id) is claim:
                del self._here[claim.candidate_id]

    async def _try(self, claim: Claim) -> None:
        crashes, pause = 0, self._pause
        while True:
            try:
                return await self._work_off(claim)
            except Retryable as error:
                if not self._supervised:
                    raise
                _log.warning("tried again", candidate=claim.candidate_id, reason=str(error))
            except Exception:
                if not self._supervised:
                    raise
                crashes += 1
                _log.exception("claim crashed", candidate=claim.candidate_id, attempt=crashes)
                if crashes == _ATTEMPTS:
                    return await self._give_up(claim)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, _LONGEST_PAUSE)
