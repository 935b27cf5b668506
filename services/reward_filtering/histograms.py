"""Two distributions over the same bins, with round edges, that a few far values do not squash."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

BINS = 20
TAIL = 0.005
"""Share of the values at each end that may lie beyond the edges, once there are `TAIL_FROM`."""
TAIL_FROM = 200
_ROUND = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of the accepted and the rejected, bin by bin."""

    edges: tuple[float, ...]
    """Of the bins, ascending; one more than bins, at most `BINS` + 3."""
    accepted: tuple[int, ...]
    rejected: tuple[int, ...]
    medians: tuple[float | None, float | None]
    """Of the accepted, and of the rejected; None without values."""
    beyond: int
    """Values outside of the edges, which are counted in the first or the last bin."""


def histogram(
    accepted: Sequence[float], rejected: Sequence[float], least_step: float = 0.0
) -> Histogram | None:
    """Count values into bins; None when there are none.

    Args:
        accepted: Finite values of the accepted candidates.
        rejected: Finite values of the rejected ones.
        least_step: Width of a bin at least: 1 for whole numbers.
    """
    every = np.asarray([*accepted, *rejected], dtype=np.float64)
    if not every.size:
        return None
    low, high = float(every.min()), float(every.max())
    if every.size >= TAIL_FROM:
        low, high = (float(np.quantile(every, q)) for q in (TAIL, 1 - TAIL))
    edges = _edges(low, high, least_step)
    counts = [
        np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        for values in (accepted, rejected)
    ]
    # Multiples of a step such as 0.1 are not exact.
    slack = 1e-9 * float(edges[1] - edges[0])
    medians = [float(np.median(values)) if len(values) else None for values in (accepted, rejected)]
    return Histogram(
        edges=tuple(edges.tolist()),
        accepted=tuple(counts[0].tolist()),
        rejected=tuple(counts[1].tolist()),
        medians=(medians[0], medians[1]),
        beyond=int(np.count_nonzero((every < edges[0] - slack) | (every > edges[-1] + slack))),
    )


def _edges(
    low: float, high: float, least_step: float
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return multiples of a step 1, 2 or 5 times a power of ten, around `low` and `high`."""
    span, size = high - low, max(abs(low), abs(high), 1.0)
    if span < 1e-6 * size:  # Equal, or as good as that: edges would need too many digits.
        span = 0.1 * size
    power = 10.0 ** floor(log10(span / BINS))
    step = next(unit * power for unit in _ROUND if span / (unit * power) <= BINS)
    step = max(step, least_step)
    first = floor(low / step)
    # The last bin holds its upper edge: of whole numbers it would hold two values.
    last = floor(high / step) + 1 if least_step else ceil(high / step)
    return np.arange(first, max(last, first + 1) + 1, dtype=np.float64) * step
