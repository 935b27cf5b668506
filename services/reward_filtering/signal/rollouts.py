"""Rollouts of a verifiable prompt in two stages: a screen, then the rest if it may still pass.

Mind the defaults: 4 to 12 successes of 16 are inside, so a screen of 4 rules nothing out, not even
with 0 or 4 successes. What it says is in `SuccessBand.chance_inside`.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Decided = Literal["inside", "below", "above", "open"]


def _exact(rate: float | Fraction) -> Fraction:
    # 0.2 means 1/5 and not the binary fraction nearest to it, which 1 success of 5 would miss.
    return rate if isinstance(rate, Fraction) else Fraction(repr(float(rate)))


@dataclass(frozen=True, slots=True)
class SuccessBand:
    """The success rates at which a prompt teaches the student: not too hard, not too easy.

    The band is closed: a rate of exactly `low` or `high` is inside. Rates are compared exactly,
    as fractions; a float stands for the shortest decimal that is written for it (0.2 is 1/5).

    Raises:
        ValueError: Not 0 <= low <= high <= 1, not 1 <= screen <= total, or no number of
            successes of `total` has a rate in the band.
    """

    low: float | Fraction = 0.2
    """Least success rate."""
    high: float | Fraction = 0.8
    """Greatest success rate."""
    screen: int = 4
    """Rollouts of the first stage."""
    total: int = 16
    """Rollouts of both stages; the success rate is of these."""

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(f"band [{self.low}, {self.high}] is not within [0, 1]")
        if not 1 <= self.screen <= self.total:
            raise ValueError(f"screen of {self.screen}: give 1 to {self.total}, the total")
        if self.fewest > self.most:
            raise ValueError(
                f"no success rate of {self.total} rollouts is in [{self.low}, {self.high}]: "
                "widen the band or roll out more"
            )

    @property
    def fewest(self) -> int:
        """Least number of successes of `total` that is inside."""
        return math.ceil(_exact(self.low) * self.total)

    @property
    def most(self) -> int:
        """Greatest number of successes of `total` that is inside."""
        return math.floor(_exact(self.high) * self.total)

    def _check(self, successes: int, tried: int) -> None:
        if not 0 <= successes <= tried <= self.total:
            raise ValueError(
                f"{successes} successes of {tried} rollouts: give 0 <= successes <= rollouts <= "
                f"{self.total}"
            )

    def decided(self, successes: int, tried: int) -> Decided:
        """Return where the prompt's success rate is, or `open` while it may still end inside.

        `above` once there are more successes, and `below` once there are more failures, than a
        prompt inside can have. `inside` only when all rollouts are done, even if it is certain
        earlier: the sample's record and its learnability are of all of them.

        Args:
            successes: Rollouts that were right.
            tried: Rollouts done so far, at most `total`.

        Raises:
            ValueError: The numbers do not fit each other or the band.
        """
        self._check(successes, tried)
        if successes > self.most:
            return "above"
        if tried - successes > self.total - self.fewest:
            return "below"
        return "inside" if tried == self.total else "open"

    def next_rollouts(self, successes: int, tried: int) -> int:
        """Return how many more rollouts to ask for now; 0 when it is decided.

        What lacks of the screen first, then all the rest at once.

        Args:
            successes: Rollouts that were right.
            tried: Rollouts done so far, at most `total`.

        Raises:
            ValueError: The numbers do not fit each other or the band.
        """
        if self.decided(successes, tried) != "open":
            return 0
        return (self.screen if tried < self.screen else self.total) - tried

    def chance_inside(self, successes: int, tried: int) -> float:
        """Return the chance that the prompt ends inside after all `total` rollouts.

        Posterior predictive under a uniform prior of the success rate (beta-binomial): of n
        further rollouts k succeed with chance C(s+k, k) C(f+n-k, n-k) / C(s+f+n+1, n), after s
        successes and f failures.

        Args:
            successes: Rollouts that were right.
            tried: Rollouts done so far, at most `total`.

        Raises:
            ValueError: The numbers do not fit each other or the band.
        """
        self._check(successes, tried)
        failures, left = tried - successes, self.total - tried
        ways = sum(
            math.comb(successes + k, k) * math.comb(failures + left - k, left - k)
            for k in range(max(0, self.fewest - successes), min(left, self.most - successes) + 1)
        )
        return ways / math.comb(self.total + 1, left)
