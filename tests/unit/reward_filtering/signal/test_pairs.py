import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.quantiles import LARGEST
from services.reward_filtering.signal.pairs import Pair, PairQuantiles, PairRanks


def pair(rejected: float = 1.0, length: int = 100, gap: float = 0.5) -> Pair:
    return Pair(rejected + gap, rejected, length, length)


def stratum(pairs: list[Pair]) -> PairQuantiles:
    seen = PairQuantiles()
    for one in pairs:
        seen.add(one)
    return seen


def test_before_the_first_pair_nothing_speaks_for_or_against_one() -> None:
    assert PairQuantiles().count == 0
    assert PairQuantiles().ranks(pair()) == PairRanks(0.5, 0.5, 0.5)


def test_ranks_are_of_rejected_reward_rejected_length_and_gap() -> None:
    seen = stratum([pair(float(i), 10 * (20 - i), 1.0) for i in range(21)])
    ranks = seen.ranks(Pair(17.5, 15.2, 3, 54))
    assert ranks.rejected_reward == pytest.approx(0.76, abs=0.03)
    assert ranks.rejected_length == pytest.approx(0.27, abs=0.03)
    assert ranks.gap == 1.0
    assert seen.count == 21


@given(
    st.floats(min_value=-1e3, max_value=1e3),
    st.floats(min_value=-1e3, max_value=1e3),
    st.integers(0, 500),
    st.integers(1, 400),
)
def test_equal_pairs_all_stand_in_the_middle(
    reward: float, chosen: float, length: int, count: int
) -> None:
    same = Pair(chosen, reward, length, length)
    assert stratum([same] * count).ranks(same) == PairRanks(0.5, 0.5, 0.5)


def test_the_mean_of_many_equal_rewards_moves_no_rank() -> None:
    # The digest's means of many 0.1 differ from 0.1 in the last digit.
    same = pair(0.1, 7, 0.3)
    seen = stratum([same] * 3000)
    assert seen.ranks(same) == PairRanks(0.5, 0.5, 0.5)
    assert seen.ranks(pair(0.1001, 8, 0.3001)) == PairRanks(1.0, 1.0, 1.0)
    assert seen.ranks(pair(0.0999, 6, 0.2999)) == PairRanks(0.0, 0.0, 0.0)


def test_ranks_of_many_pairs_are_within_a_hundredth() -> None:
    rng = random.Random(8)
    pairs = [
        pair(rng.gauss(0, 1), rng.randrange(1, 10_000), rng.expovariate(1)) for _ in range(4000)
    ]
    seen = stratum(pairs)
    worst = 0.0
    for probe in pairs[:50]:
        ranks = seen.ranks(probe)
        below = [
            sum(p.rejected_reward < probe.rejected_reward for p in pairs) / 4000,
            sum(p.rejected_length < probe.rejected_length for p in pairs) / 4000,
            sum(p.gap < probe.gap for p in pairs) / 4000,
        ]
        found = [ranks.rejected_reward, ranks.rejected_length, ranks.gap]
        worst = max(worst, *(abs(a - b) for a, b in zip(below, found, strict=True)))
    print(f"ranks of pairs: off by {worst:.4f} at most")
    assert worst <= 0.01


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.inf, 1.0),
        (1.0, -math.inf),
        (math.inf, math.inf),
        (0.9 * LARGEST, -0.9 * LARGEST),
    ],
)
def test_a_pair_without_a_gap_is_not_taken_in(chosen: float, rejected: float) -> None:
    bad = Pair(chosen, rejected, 10, 10)
    assert not bad.measured
    seen = stratum([pair()])
    with pytest.raises(ValueError, match="measured pairs only"):
        seen.add(bad)
    counts = {seen.rejected_reward.count, seen.rejected_length.count, seen.gap.count}
    assert counts == {1}


def test_lengths_are_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Pair(1.0, 0.0, -1, 5)
    with pytest.raises(ValueError, match="negative"):
        Pair(1.0, 0.0, 5, -1)
