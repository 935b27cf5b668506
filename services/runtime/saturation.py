"""How many calls to have under way at a model server: just so many that it never runs dry.

Calls are counted as the server counts them, by the sequences that it generates: `n` for one that
asks for so many answers.

A server that batches (vLLM) has so many requests in work. Further ones wait in its queue, where
they gain nothing, and where a later, more urgent call has to wait behind them. So the number grows
until the queue begins to build, and holds there: doubling while nothing waits, as TCP's slow start
does, and by a tenth where the limit was seen before. With a queue it changes in proportion to what
is missing or too much, so that several clients of one server, each by itself, keep their shares.
"""

from services.runtime.model_load import ServerLoad

QUEUE = 0.10
"""Share of the running requests that may wait; more is too many calls under way."""
AIM = 0.05
"""Share that is to wait: while fewer do, the server may run dry."""
GROWTH = 1.1
"""Factor of a step up when nothing waits, with the limit known and not far."""
SHRINK = 0.7
"""Factor after calls were refused because the server's queue is bounded, and full, or because it is
away behind a gateway that says so."""
FIRST = 64
"""Calls at first."""
MOST = 4096
"""Calls at most, unless told otherwise."""


class Concurrency:
    """The number of calls to have under way, revised as often as the server tells its load."""

    def __init__(self, most: int = MOST, first: int = FIRST) -> None:
        """Begin with `first` calls, which is also the most for a server that never tells its load.

        Args:
            most: Never more than this.
            first: At first.
        """
        self._most = most
        self._first = min(first, most)
        self._slots = float(self._first)
        self._full: float | None = None
        """Requests that the server had in work when it had enough of them; None: not seen yet."""
        self._queued_before = True

    @property
    def settled(self) -> bool:
        """Whether the server's limit was reached once."""
        return self._full is not None

    @property
    def growing(self) -> bool:
        """Whether the limit is still to be found, and may be found further up."""
        return not self.settled and self.slots < self._most

    @property
    def slots(self) -> int:
        """Calls to have under way."""
        return max(1, min(self._most, round(self._slots)))

    def revise(self, load: ServerLoad | None, in_flight: int, held: int, refused: bool) -> int:
        """Return how many calls to have under way from now on.

        Args:
            load: Of the server; None when it does not tell.
            in_flight: Our calls under way.
            held: Our calls that wait for one of them to end.
            refused: Whether calls were refused, since the last time, because it is too busy.
        """
        queued = load is not None and load.waiting > QUEUE * load.running
        if refused:
            self._full = max(self._full or 0.0, load.running if load is not None else in_flight)
            # Not as few as are under way now: all may wait for their next attempt.
            self._slots = max(1.0, max(min(self._slots, in_flight), self._slots / 2) * SHRINK)
        elif load is None:
            # Back to where it began, bit by bit; further up there is nothing to go by.
            if held and self._slots < self._first:
                self._slots = min(self._slots + 1, self._first)
        elif queued and (self._queued_before or not self.settled):
            # Twice in a row: a burst that the next moment works off is no reason to shrink.
            self._full = load.running
            # By what is under way: while there is more than may be, the last change still shows.
            self._slots = max(1.0, min(self._slots, max(in_flight, 1) * _towards_aim(load)))
        elif held and not load.waiting:
            self._slots = self._wider(load)
        elif held and load.waiting < AIM * load.running:
            self._slots *= _towards_aim(load)
        self._queued_before = queued
        self._slots = min(self._slots, float(self._most))
        return self.slots

    def _wider(self, load: ServerLoad) -> float:
        """Return the next number while nothing waits at the server."""
        if self._full is None:
            return self._slots * 2
        # As many as were enough before, at once: what is free beyond that are slots of calls that
        # are on their way, and more of those would all stand in its queue a moment later.
        known = self._slots * min(2.0, self._full / max(1.0, load.running))
        known = min(known, (1 + AIM) * self._full)
        return max(known, self._slots * GROWTH, self._slots + 1)


def _towards_aim(load: ServerLoad) -> float:
    """Return the factor by which all requests together would make the queue what it is to be."""
    return max(0.5, (1 + AIM) * load.running / (load.running + load.waiting))
