"""Which rollouts of a group to train on: those that make the rewards vary most.

PODS, policy optimisation with down-sampling (arXiv 2504.13818): the subset of m rewards with the
greatest variance is the k lowest and the m - k highest, for some k.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate


def max_variance_subset(rewards: Sequence[float], m: int) -> list[int]:
    """Return the indices of the `m` rewards of n that maximise variance, in ascending order.

    Exact, in O(n log n): variances are compared as integers, so that rounding decides nothing.
    Of equally good k the smallest, which keeps more of the high rewards; of equal rewards those
    of the lowest index. The answer depends on nothing but the rewards and their order.

    Args:
        rewards: Rewards of one prompt's rollouts, in any unit.
        m: Rollouts to keep.

    Raises:
        ValueError: Not 1 <= m <= n, or a reward is not finite.
    """
    n = len(rewards)
    if not 1 <= m <= n:
        raise ValueError(f"cannot keep {m} rollouts of {n}: give 1 to {n}")
    for index, reward in enumerate(rewards):
        if not math.isfinite(reward):
            raise ValueError(f"reward {index} of the group is {reward}: leave the rollout out")
    ordered = sorted(float(reward) for reward in rewards)
    ratios = [reward.as_integer_ratio() for reward in ordered]
    # The denominators of floats are powers of two, so the greatest is a multiple of the others.
    unit = max(denominator for _, denominator in ratios)
    exact = [numerator * (unit // denominator) for numerator, denominator in ratios]
    sums = list(accumulate(exact, initial=0))
    squares = list(accumulate((x * x for x in exact), initial=0))

    def variance(k: int) -> int:
        """Of the k lowest and m - k highest, times (m * unit)^2."""
        high = n - m + k
        total = sums[k] + sums[n] - sums[high]
        return m * (squares[k] + squares[n] - squares[high]) - total * total

    best = max(range(m + 1), key=variance)
    wanted = Counter(ordered[:best] + ordered[n - m + best :])
    kept = []
    for index, reward in enumerate(rewards):
        if wanted[float(reward)] > 0:
            wanted[float(reward)] -= 1
            kept.append(index)
    return kept
