import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from services.reward_filtering.signal.learnability import (
    group_advantages,
    learnability,
    no_gradient_chance,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
GROUPS = st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=64)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    rollouts = draw(st.integers(0, 200))
    return draw(st.integers(0, rollouts)), rollouts


@given(counts())
def test_learnability_is_the_posterior_mean_of_the_outcome_variance(count: tuple[int, int]) -> None:
    successes, rollouts = count
    posterior = stats.beta(1 + successes, 1 + rollouts - successes)
    mean, variance = posterior.stats(moments="mv")
    # E[p(1 - p)] = E[p] - E[p]^2 - Var[p]
    assert learnability(successes, rollouts) == pytest.approx(float(mean - mean**2 - variance))


@pytest.mark.parametrize(("successes", "rollouts"), [(0, 0), (0, 16), (1, 4), (8, 16), (13, 16)])
def test_learnability_is_the_integral_over_success_rates(successes: int, rollouts: int) -> None:
    a, b = 1 + successes, 1 + rollouts - successes
    integral, error = integrate.quad(lambda p: p * (1 - p) * stats.beta.pdf(p, a, b), 0.0, 1.0)
    assert error < 1e-7
    assert learnability(successes, rollouts) == pytest.approx(integral, abs=1e-7)


@given(counts())
def test_learnability_is_highest_at_half_and_alike_on_both_sides(count: tuple[int, int]) -> None:
    successes, rollouts = count
    value = learnability(successes, rollouts)
    assert 0.0 < value < 0.25
    assert value == learnability(rollouts - successes, rollouts)
    assert value <= learnability(rollouts // 2, rollouts)


def test_without_rollouts_the_prior_speaks() -> None:
    assert learnability(0, 0) == pytest.approx(1 / 6)


@pytest.mark.parametrize(("successes", "rollouts"), [(-1, 4), (5, 4), (0, -1)])
def test_impossible_counts_are_refused(successes: int, rollouts: int) -> None:
    with pytest.raises(ValueError, match="successes of"):
        learnability(successes, rollouts)


@given(st.floats(min_value=0, max_value=1), st.integers(1, 128))
def test_chance_of_no_gradient_is_that_of_all_or_none(p: float, group: int) -> None:
    right = Fraction(p)
    ends = right**group + (1 - right) ** group
    assert no_gradient_chance(p, group) == pytest.approx(float(ends), abs=1e-12)


def test_a_group_has_no_gradient_for_sure_when_the_outcome_is() -> None:
    assert no_gradient_chance(0.0, 8) == no_gradient_chance(1.0, 8) == 1.0
    assert no_gradient_chance(0.5, 2) == 0.5


@pytest.mark.parametrize(("p", "group"), [(-0.1, 4), (1.1, 4), (math.nan, 4), (0.5, 0)])
def test_chances_without_meaning_are_refused(p: float, group: int) -> None:
    with pytest.raises(ValueError, match=r"not in \[0, 1\]|at least 1"):
        no_gradient_chance(p, group)


@given(GROUPS)
def test_advantages_are_standard_scores(rewards: list[float]) -> None:
    values = np.array(rewards)
    expected = (values - values.mean()) / (values.std() + 1e-6)
    found = group_advantages(rewards)
    # numpy's rounding of the mean counts when the rewards hardly differ.
    noise = 1e-9 + 1e-15 * len(rewards) * float(np.abs(values).max()) / (float(values.std()) + 1e-6)
    assert found == pytest.approx(expected.tolist(), rel=1e-6, abs=noise)


@given(FINITE, st.integers(1, 64))
def test_a_group_of_equal_rewards_has_no_advantage(reward: float, group: int) -> None:
    assert group_advantages([reward] * group) == [0.0] * group


@given(st.lists(FINITE, max_size=30), st.floats(min_value=1e-12, max_value=1.0))
def test_advantages_are_finite_and_ordered_as_the_rewards(rewards: list[float], eps: float) -> None:
    found = group_advantages(rewards, eps)
    assert all(map(math.isfinite, found))
    by_reward = sorted(range(len(rewards)), key=rewards.__getitem__)
    ordered = [found[index] for index in by_reward]
    assert ordered == sorted(ordered)


def test_eps_is_added_to_the_deviation() -> None:
    assert group_advantages([0.0, 2.0], eps=1.0) == [-0.5, 0.5]


def test_the_largest_rewards_do_not_overflow() -> None:
    largest = sys.float_info.max
    assert group_advantages([largest, -largest, -largest, largest]) == pytest.approx([1, -1, -1, 1])


def test_an_empty_group_has_no_advantages() -> None:
    assert group_advantages([]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rewards_that_are_not_finite_have_no_advantage(bad: float) -> None:
    with pytest.raises(ValueError, match="reward 1 of the group is"):
        group_advantages([1.0, bad])


@pytest.mark.parametrize("eps", [0.0, -1e-6, math.nan, math.inf])
def test_eps_has_to_be_positive(eps: float) -> None:
    with pytest.raises(ValueError, match="eps"):
        group_advantages([1.0, 2.0], eps)
