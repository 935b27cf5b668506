"""Ranks of groups that grow: whoever is within a limit is together no more than it allows."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.events import RankShift
from services.events.ranks import MOST_SHIFTS, shifted, shifts_of

Society = list[tuple[int, int]]
"""Rank and present size of each group, in order of ranks."""


def grown(groups: list[tuple[int, int]]) -> Society:
    """Return groups that were founded one after the other, each with a size and a growth.

    Those founded later take their rank from the last group as it was then: that may have grown
    already, or grow afterwards.
    """
    ranks = itertools.accumulate((size for size, _ in groups), initial=0)
    return [(rank, size + more) for rank, (size, more) in zip(ranks, groups, strict=False)]


societies = st.lists(st.tuples(st.integers(1, 10), st.integers(0, 9)), min_size=1, max_size=40).map(
    grown
)


def within(society: Society, limit: int, shifts: tuple[RankShift, ...]) -> list[int]:
    """Return the sizes of the groups that may be active."""
    return [size for rank, size in society if shifted(rank, shifts) + size <= limit]


@given(societies, st.integers(-1, 800))
def test_those_within_a_limit_are_the_first_ones_that_fit_and_as_many_as_can(
    society: Society, limit: int
) -> None:
    found = within(society, limit, shifts_of(society[::-1]))
    sizes = [size for _, size in society]
    assert found == sizes[: len(found)]
    assert sum(found) <= max(limit, 0)
    assert len(found) == len(sizes) or sum(sizes[: len(found) + 1]) > limit


@given(societies)
def test_a_shifted_rank_is_the_number_of_agents_in_the_groups_before(society: Society) -> None:
    shifts = shifts_of(society)
    before = 0
    for rank, size in society:
        assert shifted(rank, shifts) == before
        before += size


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 10**6))
def test_shifts_that_are_merged_let_in_fewer_and_never_more(some: list[int], limit: int) -> None:
    society = grown([(1 + more % 3, more) for more in some * (4 * MOST_SHIFTS // len(some))])
    shifts = shifts_of(society)
    assert len(shifts) <= MOST_SHIFTS
    before = list(itertools.accumulate((size for _, size in society), initial=0))
    ranks = [shifted(rank, shifts) for rank, _ in society]
    # A part of the shifts at most is counted too early.
    slack = 9 * -(-len(society) // MOST_SHIFTS)
    assert all(0 <= r - b <= slack for r, b in zip(ranks, before, strict=False))
    assert sum(within(society, limit, shifts)) <= limit
    # Nobody within one limit is without under a higher one.
    assert len(within(society, limit, shifts)) <= len(within(society, limit + 1, shifts))


def test_a_society_that_did_not_grow_has_no_shifts() -> None:
    assert shifts_of([]) == ()
    assert shifts_of(grown([(3, 0), (5, 0), (2, 7)])) == ()
    assert shifted(8, ()) == 8
