"""Running estimates of the quantiles of a stratum's rewards, in bounded memory.

A t-digest (T. Dunning and O. Ertl, "Computing Extremely Accurate Quantiles Using t-Digests",
arXiv 1902.04023) summarises a stream by at most `CENTROIDS` weighted means, finest at the tails.
"""

import math
import sys

from fastdigest import TDigest

CENTROIDS = 200
"""About 3.2 KB; the rank of an estimated quantile is off by 1.4 % at most, measured over strata of
2,000 values, even where the median lies between two humps (2.4 % with 100)."""

LARGEST = 1e100
"""Values beyond it would overflow the weighted means."""
_SLACK = 1e-9


def slack(value: float) -> float:
    """Return by how much a value may differ from another one and count as equal.

    A digest averages equal values, and the mean of many 0.1 is not always 0.1; nor is that of
    numbers so small that they have no more digits.
    """
    return max(_SLACK * abs(value), sys.float_info.min)


class RunningQuantiles:
    """Quantiles and ranks of the values seen so far.

    While there are few values (up to about 160) quantiles are exact, interpolated linearly between
    neighbours as `numpy.quantile` does. The state depends on nothing but the values and their
    order: reading changes nothing, and an estimate restored from bytes goes on as the original.
    """

    def __init__(self) -> None:
        self._digest = TDigest(max_centroids=CENTROIDS)

    @property
    def count(self) -> int:
        """How many values were added."""
        return self._digest.n_values

    def add(self, x: float) -> None:
        """Take in one value.

        Raises:
            ValueError: `x` is NaN, infinite, or beyond `LARGEST` in size.
        """
        if not abs(x) <= LARGEST:
            raise ValueError(f"cannot take {x} into a quantile estimate: give a finite reward")
        self._digest.update(x)
        # The library buffers values until they are read, and so lets reads shape the digest:
        # settled after every value, equal streams give equal digests on every replica.
        len(self._digest)

    def quantile(self, q: float) -> float | None:
        """Return the value below which a share `q` of the values lies; None before the first.

        Raises:
            ValueError: `q` is not in [0, 1].
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"quantile {q} is not in [0, 1]")
        return self._digest.quantile(q) if self.count else None

    def rank(self, x: float) -> float:
        """Return the share of the values that lie below `x`, in [0, 1].

        0.5 before the first value, when nothing speaks for or against `x`.

        Raises:
            ValueError: `x` is NaN.
        """
        if math.isnan(x):
            raise ValueError("NaN has no rank: give a number")
        return self._digest.cdf(x) if self.count else 0.5

    def to_bytes(self) -> bytes:
        """Return the state, for a changelog."""
        return self._digest.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "RunningQuantiles":
        """Return the estimate that `to_bytes` was called on.

        Raises:
            ValueError: `data` is not such a state.
        """
        restored = cls()
        restored._digest = TDigest.from_bytes(data)
        return restored
