"""What a measurement gives: values of several runs, what they compare with, and the goal."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Values are medians of runs; none is asserted anywhere."""

    name: str
    """What was measured, as a user would say it."""
    unit: str
    values: tuple[float, ...]
    """One per run, in order."""
    goal: str = ""
    """In words, as "at least 90 % of the bare client"; empty when there is none."""
    met: Callable[[float], bool] | None = None
    """Whether a median meets the goal."""
    baseline: str = ""
    """What it compares with, measured in the same run."""
    baseline_values: tuple[float, ...] = ()
    note: str = ""
    """What a reader must know to judge it: settings, where the rest went."""

    @property
    def median(self) -> float:
        """The value that counts."""
        return median(self.values)

    @property
    def baseline_median(self) -> float | None:
        """That of the baseline; None without one."""
        return median(self.baseline_values) if self.baseline_values else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.met is None else self.met(self.median)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "values": list(self.values),
            "goal": self.goal,
            "reached": self.reached,
            "baseline": self.baseline,
            "baseline_median": self.baseline_median,
            "baseline_values": list(self.baseline_values),
            "note": self.note,
        }


def at_least(bound: float) -> Callable[[float], bool]:
    """Return whether a value is no less than `bound`."""
    return lambda value: value >= bound


def at_most(bound: float) -> Callable[[float], bool]:
    """Return whether a value is no more than `bound`."""
    return lambda value: value <= bound
