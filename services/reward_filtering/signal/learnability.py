"""How much a prompt with a verifiable answer can teach: learnability and group advantages."""

import math
import statistics
from collections.abc import Sequence


def learnability(successes: int, rollouts: int) -> float:
    """Return the posterior mean of p(1 - p), where p is the student's success rate on a prompt.

    The variance of one more rollout's outcome, averaged over what is not known of p: under a
    uniform prior p is Beta(a, b) with a = 1 + successes and b = 1 + failures, and the mean of
    p(1 - p) is ab / ((a + b)(a + b + 1)). Highest at half successes; it approaches 1/4 there, and
    0 at none or all, as rollouts are added.

    Args:
        successes: Rollouts that were right.
        rollouts: All rollouts; with 0 the prior speaks, and says 1/6.

    Returns:
        A number in (0, 1/4).

    Raises:
        ValueError: Not 0 <= successes <= rollouts.
    """
    if not 0 <= successes <= rollouts:
        raise ValueError(f"{successes} successes of {rollouts} rollouts: count both from the same")
    a, b = 1 + successes, 1 + rollouts - successes
    return a * b / ((a + b) * (a + b + 1))


def no_gradient_chance(p: float, group: int) -> float:
    """Return the chance that all rewards of a group are equal, and GRPO has no gradient.

    p^G + (1 - p)^G for right-or-wrong rewards and G independent rollouts (GRPO: arXiv 2402.03300;
    groups without a gradient: DAPO, arXiv 2503.14476).

    Args:
        p: Success rate, in [0, 1].
        group: Rollouts in the group, at least 1.

    Raises:
        ValueError: `p` or `group` is out of range.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"success rate {p} is not in [0, 1]")
    if group < 1:
        raise ValueError(f"a group of {group} rollouts: give at least 1")
    return float(p**group + (1.0 - p) ** group)


def group_advantages(rewards: Sequence[float], eps: float = 1e-6) -> list[float]:
    """Return the advantage of each rollout over its group, (r - mean) / (std + eps).

    GRPO (arXiv 2402.03300) with the population's standard deviation. A group of equal rewards
    has advantages of exactly 0.

    Args:
        rewards: Rewards of one prompt's rollouts, in any unit; may be empty.
        eps: Keeps the quotient finite when rewards hardly differ; in the rewards' unit.

    Returns:
        Advantages in the order of the rewards, finite, in standard deviations.

    Raises:
        ValueError: A reward is not finite, or `eps` is not a positive finite number.
    """
    if not 0.0 < eps < math.inf:
        raise ValueError(f"eps {eps} is not a positive finite number")
    for index, reward in enumerate(rewards):
        if not math.isfinite(reward):
            raise ValueError(f"reward {index} of the group is {reward}: leave the rollout out")
    if not rewards:
        return []
    # `statistics` rounds once, at the end: the mean of equal rewards is that reward, and their
    # deviation 0. The halves keep the largest floats from overflowing in the difference.
    mean = statistics.mean(map(float, rewards)) / 2
    deviation = statistics.pstdev(map(float, rewards)) / 2 + eps / 2
    return [(reward / 2 - mean) / deviation for reward in rewards]
