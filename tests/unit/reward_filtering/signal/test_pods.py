import itertools
import math
import random
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.signal.pods import max_variance_subset

REWARDS = (
    st.floats(min_value=-1e3, max_value=1e3)
    | st.sampled_from([0.0, 0.1, 0.5, 1.0])
    | st.floats(allow_nan=False, allow_infinity=False)
)


@st.composite
def groups(draw: st.DrawFn, most: int = 9) -> tuple[list[float], int]:
    rewards = draw(st.lists(REWARDS, min_size=1, max_size=most))
    return rewards, draw(st.integers(1, len(rewards)))


def variance(rewards: list[float]) -> Fraction:
    exact = [Fraction(reward) for reward in rewards]
    mean = sum(exact, Fraction(0)) / len(exact)
    return sum(((x - mean) * (x - mean) for x in exact), Fraction(0)) / len(exact)


@given(groups())
def test_no_subset_varies_more(group: tuple[list[float], int]) -> None:
    rewards, m = group
    kept = max_variance_subset(rewards, m)
    assert len(set(kept)) == m
    assert kept == sorted(kept)
    best = max(variance(list(subset)) for subset in itertools.combinations(rewards, m))
    assert variance([rewards[index] for index in kept]) == best


@given(groups(most=40))
def test_the_subset_is_some_lowest_and_some_highest(group: tuple[list[float], int]) -> None:
    rewards, m = group
    kept = sorted(rewards[index] for index in max_variance_subset(rewards, m))
    ordered = sorted(rewards)
    assert any(kept == ordered[:k] + ordered[len(rewards) - m + k :] for k in range(m + 1))


@given(groups(most=40))
def test_of_equal_rewards_the_first_are_kept(group: tuple[list[float], int]) -> None:
    rewards, m = group
    kept = set(max_variance_subset(rewards, m))
    for index in kept:
        assert all(other in kept for other in range(index) if rewards[other] == rewards[index])


@given(groups(most=40), st.randoms(use_true_random=False))
def test_the_kept_rewards_do_not_depend_on_the_order(
    group: tuple[list[float], int], rng: random.Random
) -> None:
    rewards, m = group
    shuffled = rng.sample(rewards, len(rewards))
    kept = sorted(rewards[index] for index in max_variance_subset(rewards, m))
    assert kept == sorted(shuffled[index] for index in max_variance_subset(shuffled, m))


def test_right_and_wrong_are_balanced_as_far_as_there_are_both() -> None:
    rewards = [0.0] * 10 + [1.0] * 6
    assert max_variance_subset(rewards, 4) == [0, 1, 10, 11]
    assert max_variance_subset(rewards, 14) == [*range(8), *range(10, 16)]
    # An odd one goes to the high rewards.
    assert max_variance_subset(rewards, 3) == [0, 10, 11]


def test_of_equal_rewards_throughout_the_first_are_kept() -> None:
    assert max_variance_subset([0.1] * 8, 3) == [0, 1, 2]


def test_rounding_decides_nothing() -> None:
    # In floats all variances here are 0, or overflow.
    assert max_variance_subset([1e16, 1e16, 1e16 + 2, 1e16], 2) == [0, 2]
    largest = sys.float_info.max
    assert max_variance_subset([largest, 0.0, -largest, 5e-324], 2) == [0, 2]


def test_whole_numbers_that_no_float_holds_are_kept_too() -> None:
    assert max_variance_subset([2**53 + 1, 0, 2**53 + 1], 2) == [0, 1]


def test_sixteen_of_sixty_four_and_of_very_many() -> None:
    rng = random.Random(3)
    assert len(max_variance_subset([rng.gauss(0, 1) for _ in range(64)], 16)) == 16
    rewards = [rng.gauss(0, 1) for _ in range(20_000)]
    began = time.perf_counter()
    kept = max_variance_subset(rewards, 10_000)
    print(f"10,000 of 20,000 rewards: {time.perf_counter() - began:.3f} s")
    chosen = sorted(rewards[index] for index in kept)
    ordered = sorted(rewards)
    # A symmetrical distribution is cut in the middle.
    low = sum(reward < ordered[10_000] for reward in chosen)
    assert low == pytest.approx(5_000, abs=200)


@pytest.mark.parametrize("m", [-1, 0, 4])
def test_a_subset_has_to_fit(m: int) -> None:
    with pytest.raises(ValueError, match=f"cannot keep {m} rollouts of 3"):
        max_variance_subset([1.0, 2.0, 3.0], m)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rewards_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="reward 1 of the group is"):
        max_variance_subset([1.0, bad], 1)
