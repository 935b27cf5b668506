"""What the controller of the population knows, may do, and decides."""

import math
from dataclasses import dataclass
from typing import Literal

LEAST = 10
"""Agents without which no group might be active at all."""

Reason = Literal["backlog too long", "slots are free", "no backlog", "limits"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The model server at a moment."""

    at: float
    """Seconds of a monotonic clock."""
    running: float
    """Calls that it works on."""
    backlog: float
    """Calls that wait, at the server or for leave to be sent there."""
    late: float = 0.0
    """Seconds by which this process came late to it."""

    @property
    def calls(self) -> float:
        """All that exist."""
        return self.running + self.backlog


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a target may be."""

    usable: int
    """Agents in the regions that are wanted: more cannot be active."""
    group: float
    """Agents of a group, on average: the target is met in whole groups only."""
    least: int = 0
    most: int | None = None

    def within(self, target: float) -> int:
        """Return the target inside of the bounds; of contradictory ones, `most` counts."""
        wanted = max(round(target), self.least, LEAST)
        return wanted if self.most is None else min(wanted, self.most)

    def active(self, target: int) -> int:
        """Return how many agents a target makes active."""
        return max(1, min(target, self.usable))


@dataclass(frozen=True, slots=True)
class Control:
    """The controller between two readings."""

    target: int
    changed_at: float
    slots: float | None = None
    """Calls that the server runs at once; None while it was never full."""
    readings: tuple[Reading, ...] = ()
    """The latest since the last change has shown."""
    known: bool = False
    """Whether it was ever known how many slots there are."""
    patient_until: float = -math.inf
    """Until then, what moves towards the band is waited for."""
    awaited: float | None = None
    """All calls, once half of what the last change takes away has shown; None after a growth."""
    filled: float = 0.0
    """Slots that there once were too many agents for."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A new target."""

    target: int
    reason: Reason
    patience: float = 0.0
    """Seconds to wait for what moves in the right direction."""
    awaited: float | None = None
    """See `Control.awaited`."""
