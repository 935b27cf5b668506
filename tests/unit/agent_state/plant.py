"""A society at a model server in simulated time: what the population is controlled for.

Groups act in steps of several phases; in each, all their agents call at once, and the phase ends
with the last answer. A group goes on while the agents of the groups before it and its own are
within the limit; one that is not any more ends its step first. The line's calls go before the
society's.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from random import Random

PHASES = 2
THINK_SECONDS = 0.05
"""Between two phases: what the platform itself takes."""


@dataclass
class Plant:
    """Server, society and line."""

    slots: int
    seconds: float
    """Of a call, on average."""
    sizes: list[int]
    """Agents of each group, in order of rank."""
    spread: float = 0.5
    """Sigma of the lognormal time of a call; 0: all take the same."""
    line: float = 0.0
    """Calls per second of the line, on average."""
    burst: int = 1
    """Calls of the line that come at once."""
    seed: int = 0
    now: float = 0.0
    limit: int = 0
    busy: float = 0.0
    """Slot-seconds so far."""
    waited: float = 0.0
    """Call-seconds in the queue so far."""
    _events: list[tuple[float, int, int]] = field(default_factory=list)
    _queue: deque[int] = field(default_factory=deque)
    _line_queue: int = 0
    _running: int = 0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._count = 0
        self._open = [0] * len(self.sizes)
        """Calls of the phase that are not answered."""
        self._phase = [-1] * len(self.sizes)
        """-1: parked."""
        self._reach: list[int] = []
        before = 0
        for size in self.sizes:
            before += size
            self._reach.append(before)
        self._schedule(0.0, _LINE)

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue) + self._line_queue

    @property
    def running(self) -> int:
        """Calls in slots."""
        return self._running

    @property
    def active(self) -> int:
        """Agents of the groups that are in a step."""
        return sum(n for n, phase in zip(self.sizes, self._phase, strict=True) if phase >= 0)

    def resize(self, slots: int) -> None:
        """Give the server other slots; what it works on is finished."""
        self.slots = slots
        self._fill()

    def set_limit(self, limit: int) -> None:
        """Let the groups go on that so many agents leave room for."""
        self.limit = limit
        for group, reach in enumerate(self._reach):
            if reach > limit:
                break
            if self._phase[group] < 0:
                self._begin(group, 0)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            at, _, what = heapq.heappop(self._events)
            self._pass(at)
            self._happen(what)
        self._pass(until)

    def _pass(self, at: float) -> None:
        self.busy += (at - self.now) * self._running
        self.waited += (at - self.now) * self.waiting
        self.now = at

    def _schedule(self, after: float, what: int) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + after, self._count, what))

    def _happen(self, what: int) -> None:
        if what == _LINE:
            if self.line > 0:
                self._line_queue += self.burst
            rate = self.line / self.burst
            self._schedule(self._random.expovariate(rate) if rate > 0 else 1.0, _LINE)
        elif what >= _THOUGHT:
            group = what - _THOUGHT
            self._begin(group, (self._phase[group] + 1) % PHASES)
        else:
            self._running -= 1
            if what != _LINE_CALL:
                self._open[what] -= 1
                if not self._open[what]:
                    self._schedule(THINK_SECONDS, _THOUGHT + what)
        self._fill()

    def _begin(self, group: int, phase: int) -> None:
        if phase == 0 and self._reach[group] > self.limit:
            self._phase[group] = -1
            return
        self._phase[group], self._open[group] = phase, self.sizes[group]
        self._queue.extend([group] * self.sizes[group])
        self._fill()

    def _fill(self) -> None:
        while self._running < self.slots and self.waiting:
            if self._line_queue:
                self._line_queue -= 1
                what = _LINE_CALL
            else:
                what = self._queue.popleft()
            self._running += 1
            mean = -(self.spread**2) / 2
            self._schedule(self.seconds * math.exp(self._random.gauss(mean, self.spread)), what)


_LINE, _LINE_CALL, _THOUGHT = -2, -1, 1_000_000
