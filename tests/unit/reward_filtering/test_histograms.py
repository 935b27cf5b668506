"""Two distributions over the same round bins."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.histograms import BINS, TAIL_FROM, histogram

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=40)


@given(VALUES, VALUES)
def test_every_value_is_counted_once(accepted: list[float], rejected: list[float]) -> None:
    made = histogram(accepted, rejected)
    if made is None:
        assert not accepted
        assert not rejected
        return
    assert (sum(made.accepted), sum(made.rejected)) == (len(accepted), len(rejected))
    assert len(made.edges) == len(made.accepted) + 1 <= BINS + 3
    assert all(low < high for low, high in pairwise(made.edges))
    assert made.beyond == 0


def test_edges_are_round_and_bins_of_whole_numbers_are_whole() -> None:
    made = histogram([0.13, 0.5], [1.77])
    assert made is not None
    assert made.edges[0] == pytest.approx(0.1)
    assert made.edges[1] - made.edges[0] == pytest.approx(0.1)
    assert made.medians == pytest.approx((0.315, 1.77))
    lengths = histogram([40.0, 41.0, 41.0], [43.0], least_step=1.0)
    assert lengths is not None
    assert lengths.edges == (40.0, 41.0, 42.0, 43.0, 44.0)
    assert lengths.accepted == (1, 2, 0, 0)
    assert lengths.rejected == (0, 0, 0, 1)


def test_equal_values_have_a_bin() -> None:
    made = histogram([3.0, 3.0], [])
    assert made is not None
    assert sum(made.accepted) == 2
    assert made.medians == (3.0, None)


def test_a_few_far_values_are_told_of_and_do_not_squash_the_others() -> None:
    usual = [index / TAIL_FROM for index in range(2 * TAIL_FROM)]
    made = histogram(usual, [-90.0])
    assert made is not None
    assert made.edges[0] >= 0.0
    assert made.beyond == 1
    assert made.rejected[0] == 1
