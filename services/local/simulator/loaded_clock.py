"""A clock that runs slower the more a server has to do: decoding time under load.

An engine step takes longer the more sequences are in its batch. What takes `s` seconds on an idle
server takes the `s` of this clock, which runs at 1 / (1 + factor * load) of the event loop's time.
As all sequences slow down alike, one number (the clock's time) says how far each of them has come,
whatever the load was in between: processor sharing as in fluid queues (Parekh and Gallager 1993).
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

_EARLY = 1e-9
"""Seconds by which a timer may be early, from rounding."""


class Timer:
    """A callback that will be made unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make it no more."""
        self.callback = None


class LoadedClock:
    """Time and timers of the running event loop, slowed down by a load from 0 to 1."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._rate = 1.0
        self._time = 0.0
        """What it showed when the rate changed last."""
        self._since: float | None = None
        """When that was, in time of the event loop; None before anything has happened."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        """When it rings, in time of this clock."""

    def time(self) -> float:
        """Return the seconds that it has run."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        return self._time + (now - self._since) * self._rate

    def set_load(self, load: float) -> None:
        """Run at the speed of `load`, from 0 for an idle server to 1 for a full one."""
        rate = 1.0 / (1.0 + self._factor * load)
        if rate == self._rate:
            return
        self._time = self.time()
        self._since = asyncio.get_running_loop().time()
        faster, self._rate = rate > self._rate, rate
        # An alarm that has become too early finds nothing to do, and is set again.
        if faster and self._alarm is not None:
            self._set_alarm(self._alarm_at)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `seconds` of this clock."""
        timer = Timer(callback)
        when = self.time() + seconds
        heappush(self._timers, (when, next(self._order), timer))
        if self._alarm is None or when < self._alarm_at:
            self._set_alarm(when)
        return timer

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = max(0.0, when - self.time()) / self._rate
        self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)
        self._alarm_at = when

    def _ring(self) -> None:
        self._alarm = None
        now = self.time() + _EARLY
        while self._timers and (self._timers[0][0] <= now or not self._timers[0][2].callback):
            callback = heappop(self._timers)[2].callback
            if callback is not None:
                callback()
        if self._timers and (self._alarm is None or self._timers[0][0] < self._alarm_at):
            self._set_alarm(self._timers[0][0])
