"""How long a member of a group may trust its membership: from the last heartbeat that was answered.

A process that was frozen finds answers of before its sleep in its sockets when it wakes. What
counts is therefore when the heartbeat was sent, not when its answer was read.

While a group rebalances there are no heartbeats, and a dead member makes that long. Nobody is given
the partitions of one whose request to join waits at the broker; so the lease is carried on by one
who was awake all the time, for as long as a rebalance may take.
"""

import asyncio
import time
from collections.abc import Callable

_SHARE = 0.75
"""Of the session: the rest is for clocks that go apart, and for what is done after the look."""
_LOOK_SECONDS = 0.02


class Lease:
    """Whether the group counts us among its members for sure."""

    def __init__(self, session_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = _SHARE * session_seconds
        self._rebalance_seconds = 2 * session_seconds
        self._clock = clock
        self._answered = self._confirmed = float("-inf")

    def confirm(self, sent: float) -> None:
        """Note that a heartbeat sent at that (monotonic) time was answered."""
        self._answered = max(self._answered, sent)
        self._confirmed = max(self._confirmed, sent)

    def carry_on(self) -> None:
        """Note that the process is awake while the group rebalances; called often.

        A lease that has run out, as that of one who slept, is not renewed by it.
        """
        now = self._clock()
        if self.holds and now - self._answered < self._rebalance_seconds:
            self._confirmed = now

    @property
    def holds(self) -> bool:
        """Whether nobody else can have been given our partitions yet."""
        return self._clock() - self._confirmed < self._seconds

    async def held(self) -> None:
        """Wait until it holds."""
        while not self.holds:  # noqa: ASYNC110 - time changes it
            await asyncio.sleep(_LOOK_SECONDS)
