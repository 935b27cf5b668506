"""Which groups a limit of the population leaves room for."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.importing import ranks_of
from services.message_modulation.domain import within_limit

societies = st.tuples(st.lists(st.integers(1, 10), max_size=40), st.integers(0, 2**32)).map(
    lambda drawn: sorted(
        zip(ranks_of(drawn[0], [0] * len(drawn[0]), drawn[1]), drawn[0], strict=True)
    )
)
"""Rank and size of each group, in the order of ranks."""


def chosen(society: list[tuple[int, int]], limit: int | None) -> list[bool]:
    return [within_limit(rank, size, limit) for rank, size in society]


@given(societies, st.integers(-1, 500))
def test_the_groups_within_a_limit_are_the_first_ones_that_fit_and_as_many_as_can(
    society: list[tuple[int, int]], limit: int
) -> None:
    within = chosen(society, limit)
    count = sum(within)
    assert within == [True] * count + [False] * (len(society) - count)
    sums = list(itertools.accumulate((size for _, size in society), initial=0))
    assert sums[count] <= max(limit, 0)
    assert count == len(society) or sums[count + 1] > limit


@given(societies, st.integers(0, 500), st.integers(0, 500))
def test_a_higher_limit_sends_nobody_away(
    society: list[tuple[int, int]], one: int, other: int
) -> None:
    low, high = sorted((one, other))
    pairs = zip(chosen(society, low), chosen(society, high), strict=True)
    assert all(after or not before for before, after in pairs)


@given(societies)
def test_no_limit_is_room_for_all_and_a_limit_of_0_for_none(society: list[tuple[int, int]]) -> None:
    assert all(chosen(society, None))
    assert not any(chosen(society, 0))
    total = sum(size for _, size in society)
    assert all(chosen(society, total))
    assert sum(chosen(society, total - 1)) == max(0, len(society) - 1)
