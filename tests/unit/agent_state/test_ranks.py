"""Ranks: in which order groups come in as the population grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.domain import newborn
from services.agent_state.importing import ranks_of
from services.events import Newcomer

societies = st.lists(st.tuples(st.integers(1, 10), st.integers(0, 5)), max_size=40)
"""Size and region of each group."""
seeds = st.integers(0, 2**32)


def ranks(society: list[tuple[int, int]], seed: int) -> list[int]:
    return ranks_of([size for size, _ in society], [region for _, region in society], seed)


@given(societies, seeds)
def test_ranks_are_the_partial_sums_of_the_sizes_in_some_order(
    society: list[tuple[int, int]], seed: int
) -> None:
    sizes = [size for size, _ in society]
    before = 0
    for rank, size in sorted(zip(ranks(society, seed), sizes, strict=True)):
        assert rank == before
        before += size
    assert before == sum(sizes)


@given(societies, seeds)
def test_ranks_follow_from_the_seed(society: list[tuple[int, int]], seed: int) -> None:
    assert ranks(society, seed) == ranks(society, seed)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), seeds)
def test_of_any_first_groups_every_region_has_its_share(regions: list[int], seed: int) -> None:
    found = ranks([(1, region) for region in regions], seed)
    order = [region for _, region in sorted(zip(found, regions, strict=True))]
    for count in range(1, len(order) + 1):
        for region in set(regions):
            share = regions.count(region) * count / len(regions)
            assert abs(order[:count].count(region) - share) <= len(set(regions))
    assert set(order[: len(set(regions))]) == set(regions)


def test_the_order_of_ranks_is_not_that_of_the_groups_and_another_seed_has_another_one() -> None:
    orders = [tuple(ranks([(1, 0)] * 40, seed)) for seed in range(20)]
    assert len(set(orders)) == len(orders)
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert tuple(range(40)) not in orders


@pytest.mark.parametrize("sizes", [[], [5]])
def test_the_smallest_societies_have_ranks_too(sizes: list[int]) -> None:
    assert ranks([(size, 0) for size in sizes], 0) == [0] * len(sizes)


def test_a_newcomer_becomes_an_agent_who_is_not_born_and_keeps_all_that_is_known_of_it() -> None:
    agent = newborn(Newcomer("a1", "Anna", "Baker", "Anna bakes bread.", ("Bought rye.",)))
    assert (agent.agent_id, agent.name, agent.headline) == ("a1", "Anna", "Baker")
    assert (agent.description, agent.past_actions) == ("Anna bakes bread.", ("Bought rye.",))
    assert not agent.born
    assert (agent.plan, agent.memories, agent.goal) == ((), (), "")
