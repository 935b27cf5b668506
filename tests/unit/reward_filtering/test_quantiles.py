import bisect
import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.quantiles import CENTROIDS, LARGEST, RunningQuantiles

REWARDS = st.floats(min_value=-1e6, max_value=1e6)


def running(values: list[float]) -> RunningQuantiles:
    quantiles = RunningQuantiles()
    for value in values:
        quantiles.add(value)
    return quantiles


def test_before_the_first_value() -> None:
    quantiles = RunningQuantiles()
    assert quantiles.count == 0
    assert quantiles.quantile(0.25) is None
    assert quantiles.rank(3.0) == 0.5


@given(st.lists(REWARDS, min_size=1, max_size=60), st.floats(min_value=0, max_value=1))
def test_few_values_give_exact_quantiles(values: list[float], q: float) -> None:
    estimate = running(values).quantile(q)
    # A quantile that lies exactly on a value may be interpolated from the other side.
    scale = max(1.0, max(map(abs, values)))
    assert estimate == pytest.approx(float(np.quantile(values, q)), abs=1e-9 * scale)


@pytest.mark.parametrize("shape", ["normal", "exponential", "rising", "falling", "drifting"])
def test_ranks_of_estimates_are_within_a_hundredth(shape: str) -> None:
    rng = random.Random(11)
    count = 5000
    values = {
        "normal": [rng.gauss(0, 1) for _ in range(count)],
        "exponential": [rng.expovariate(1) for _ in range(count)],
        "rising": [float(i) for i in range(count)],
        "falling": [-float(i) for i in range(count)],
        "drifting": [rng.gauss(5 * i / count, 1) for i in range(count)],
    }[shape]
    quantiles = running(values)
    ordered = sorted(values)
    worst = 0.0
    for q in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        estimate = quantiles.quantile(q)
        assert estimate is not None
        worst = max(worst, abs(bisect.bisect(ordered, estimate) / count - q))
        assert quantiles.rank(ordered[int(q * count)]) == pytest.approx(q, abs=0.01)
    print(f"quantiles of {shape} values: rank off by {worst:.4f} at most")
    assert worst <= 0.01
    assert quantiles.count == count
    assert len(quantiles.to_bytes()) < 20 * CENTROIDS


@given(st.lists(REWARDS, min_size=1, max_size=300))
def test_quantiles_rise_and_ranks_are_shares(values: list[float]) -> None:
    quantiles = running(values)
    estimates = [quantiles.quantile(q / 20) for q in range(21)]
    found = [value for value in estimates if value is not None]
    assert len(found) == 21
    scale = max(1.0, max(map(abs, values)))
    assert all(b >= a - 1e-9 * scale for a, b in itertools.pairwise(found))
    assert found[0] == pytest.approx(min(values))
    assert found[-1] == pytest.approx(max(values))
    assert all(0.0 <= quantiles.rank(value) <= 1.0 for value in values)
    assert quantiles.rank(min(values) - 1) == 0.0
    assert quantiles.rank(max(values) + 1) == 1.0


def test_reading_and_restoring_change_nothing() -> None:
    rng = random.Random(4)
    plain, read = RunningQuantiles(), RunningQuantiles()
    for index in range(3000):
        value = rng.gauss(0, 1)
        plain.add(value)
        read.add(value)
        if index % 7 == 0:
            read.quantile(0.3)
            read.rank(0.1)
        if index % 41 == 0:
            read = RunningQuantiles.from_bytes(read.to_bytes())
    assert plain.to_bytes() == read.to_bytes()
    assert plain.count == read.count == 3000


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2 * LARGEST])
def test_values_without_a_place_are_refused(bad: float) -> None:
    quantiles = running([1.0, 2.0])
    with pytest.raises(ValueError, match="finite reward"):
        quantiles.add(bad)
    assert quantiles.count == 2


def test_questions_without_an_answer_are_refused() -> None:
    quantiles = running([1.0])
    for q in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
            quantiles.quantile(q)
    with pytest.raises(ValueError, match="NaN"):
        quantiles.rank(math.nan)
    with pytest.raises(ValueError, match="fastDigest"):
        RunningQuantiles.from_bytes(b"something else")
