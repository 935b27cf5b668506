"""Groups of similar agents: bounds, similarity, neighbours, regions, and where a newcomer goes."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.grouping import (
    EXACT_NEIGHBOURS,
    GroupPlan,
    Vectors,
    count_groups,
    group_agents,
    nearest_group,
    nearest_groups,
)
from services.runtime.errors import Rejected


def unit(rows: Any) -> Vectors:
    array = np.asarray(rows, dtype=np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=-1, keepdims=True), dtype=np.float32)


def scattered(n: int, dimensions: int, seed: int) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(n, dimensions)))


def clustered(topics: int, each: int, dimensions: int = 24, noise: float = 0.08) -> Vectors:
    """Shuffled agents of `topics` kinds, `each` of a kind."""
    rng = np.random.default_rng(topics * 1000 + each)
    centres = np.repeat(scattered(topics, dimensions, seed=1), each, axis=0)
    return rng.permutation(unit(centres + noise * rng.normal(size=centres.shape)))


def sizes(plan: GroupPlan) -> list[int]:
    return [len(members) for members in plan.members]


def cohesion(embeddings: Vectors, parts: list[list[int]]) -> float:
    """Mean cosine of an agent to the centre of its part."""
    return sum(float(np.linalg.norm(embeddings[p].sum(axis=0))) for p in parts) / len(embeddings)


def cohesion_by_chance(embeddings: Vectors, part_sizes: list[int]) -> float:
    order = np.random.default_rng(5).permutation(len(embeddings))
    return cohesion(embeddings, [p.tolist() for p in np.split(order, np.cumsum(part_sizes)[:-1])])


def regions(plan: GroupPlan) -> list[list[int]]:
    return [
        [group for group, of in enumerate(plan.regions) if of == region]
        for region in range(max(plan.regions) + 1)
    ]


def assert_sound(plan: GroupPlan, n: int, min_size: int, max_size: int) -> None:
    assert sorted(agent for members in plan.members for agent in members) == list(range(n))
    assert all(list(members) == sorted(members) for members in plan.members)
    assert min_size <= min(sizes(plan))
    assert max(sizes(plan)) <= max_size
    groups = len(plan.members)
    assert len(plan.regions) == len(plan.neighbours) == len(plan.centroids) == groups
    np.testing.assert_allclose(np.linalg.norm(plan.centroids, axis=1), 1.0, atol=1e-5)


def assert_nearest(centroids: Vectors, neighbours: tuple[tuple[int, ...], ...], most: int) -> None:
    """By brute force; neighbours that are equally near may stand in for each other."""
    similarity = (centroids @ centroids.T).astype(np.float64)
    np.fill_diagonal(similarity, -np.inf)
    take = min(most, len(centroids) - 1)
    for group, near in enumerate(neighbours):
        assert len(near) == len(set(near)) == take
        assert group not in near
        best = np.sort(similarity[group])[::-1][:take]
        np.testing.assert_allclose(similarity[group, list(near)], best, atol=1e-5)


@given(st.data())
def test_every_agent_is_in_one_group_and_every_size_is_within_the_bounds(
    data: st.DataObject,
) -> None:
    min_size = data.draw(st.integers(1, 5))
    mean_size = data.draw(st.integers(min_size, 8))
    max_size = data.draw(st.integers(mean_size, 12))
    some = data.draw(st.integers(1, 12))
    n = data.draw(st.integers(some * min_size, some * max_size))
    seed = data.draw(st.integers(0, 2**32))
    profiles = scattered(data.draw(st.integers(1, n)), data.draw(st.integers(1, 8)), seed)
    embeddings = profiles[np.random.default_rng(seed).integers(len(profiles), size=n)]
    plan = group_agents(embeddings, seed, mean_size, min_size, max_size, 4, 3)
    assert_sound(plan, n, min_size, max_size)
    groups = count_groups(n, mean_size, min_size, max_size)
    assert len(plan.members) == groups
    assert_nearest(plan.centroids, plan.neighbours, 3)
    counts = np.bincount(plan.regions)
    assert len(counts) == min(4, groups)
    assert counts.min() >= 1
    assert counts.max() <= math.ceil(1.5 * groups / len(counts))


@given(st.integers(1, 300), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_the_number_of_groups_is_the_nearest_that_the_bounds_allow(
    n: int, min_size: int, more: int, most: int
) -> None:
    mean_size, max_size = min_size + more, min_size + more + most
    possible = [k for k in range(1, n + 1) if k * min_size <= n <= k * max_size]
    if possible:
        aim = math.ceil(n / mean_size)
        best = min(possible, key=lambda k: abs(k - aim))
        assert count_groups(n, mean_size, min_size, max_size) == best
    else:
        with pytest.raises(Rejected, match=rf"{n} agents .* groups of {min_size} to {max_size}"):
            count_groups(n, mean_size, min_size, max_size)


def test_the_papers_society_has_200_groups_of_1_to_10() -> None:
    plan = group_agents(scattered(1000, 16, seed=0), seed=0)
    assert len(plan.members) == 200
    assert_sound(plan, 1000, 1, 10)
    assert len(set(plan.regions)) == 16
    assert_nearest(plan.centroids, plan.neighbours, 8)


def test_one_agent_is_a_group_without_neighbours() -> None:
    plan = group_agents(unit([[3, 4]]), seed=0)
    assert plan.members == ((0,),)
    assert plan.regions == (0,)
    assert plan.neighbours == ((),)
    np.testing.assert_allclose(plan.centroids, [[0.6, 0.8]], atol=1e-6)


def test_two_agents_live_together_or_side_by_side() -> None:
    pair = unit([[1, 0], [0, 1]])
    assert group_agents(pair, seed=0).members == ((0, 1),)
    apart = group_agents(pair, seed=0, mean_size=1)
    assert sorted(apart.members) == [(0,), (1,)]
    assert apart.neighbours == ((1,), (0,))
    assert sorted(apart.regions) == [0, 1]


def test_opposite_agents_are_represented_by_the_first() -> None:
    plan = group_agents(unit([[0.6, 0.8], [-0.6, -0.8]]), seed=0)
    assert plan.members == ((0, 1),)
    np.testing.assert_allclose(plan.centroids, [[0.6, 0.8]], atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_as_many_groups_as_agents_puts_each_alone(n: int) -> None:
    plan = group_agents(scattered(n, 8, seed=n), seed=3, mean_size=1)
    assert sorted(plan.members) == [(agent,) for agent in range(n)]


@pytest.mark.parametrize("n", [2, 37, 700])
def test_identical_agents_are_divided_within_the_bounds(n: int) -> None:
    plan = group_agents(np.repeat(unit([[1, 2, 3]]), n, axis=0), seed=0, max_neighbours=4)
    assert_sound(plan, n, 1, 10)
    assert_nearest(plan.centroids, plan.neighbours, 4)


def test_equal_seeds_give_equal_plans_whatever_the_array_looks_like() -> None:
    embeddings = scattered(300, 16, seed=2)
    given_as = embeddings.copy()
    plan = group_agents(given_as, seed=7)
    assert np.array_equal(given_as, embeddings)
    for same in (embeddings, embeddings.astype(np.float64), np.asfortranarray(embeddings)):
        again = group_agents(same, seed=7)  # type: ignore[arg-type]
        assert again == plan
        assert np.array_equal(again.centroids, plan.centroids)


@pytest.mark.parametrize("mean_size", [1, 2, 5])
def test_lengths_that_were_rounded_do_not_change_the_groups(mean_size: int) -> None:
    embeddings = scattered(60, 16, seed=4)
    rounded = embeddings * np.float32(0.9993)
    assert group_agents(rounded, 1, mean_size) == group_agents(embeddings, 1, mean_size)


def test_a_bound_far_above_the_number_of_agents_costs_nothing() -> None:
    assert_sound(group_agents(scattered(40, 4, seed=0), seed=0, max_size=10**12), 40, 1, 40)


@pytest.mark.parametrize("bounds", [(5, 1, 10), (5, 4, 6), (5, 5, 5)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_similar_agents_live_together(bounds: tuple[int, int, int], seed: int) -> None:
    embeddings = clustered(topics=40, each=5)
    plan = group_agents(embeddings, seed, *bounds)
    together = cohesion(embeddings, [list(members) for members in plan.members])
    assert cohesion_by_chance(embeddings, sizes(plan)) < 0.6
    assert together > 0.9


def test_similar_groups_share_a_region() -> None:
    embeddings = clustered(topics=6, each=60, noise=0.15)
    plan = group_agents(embeddings, seed=0, max_regions=6)
    shares = [len(region) for region in regions(plan)]
    assert cohesion(plan.centroids, regions(plan)) > 0.75
    assert cohesion_by_chance(plan.centroids, shares) < 0.6


@pytest.mark.parametrize(("min_size", "max_size"), [(5, 6), (4, 5)])
def test_more_agents_than_are_clustered_at_once(min_size: int, max_size: int) -> None:
    n = 5400
    embeddings = clustered(topics=n // 5, each=5, dimensions=4, noise=0.15)
    plan = group_agents(embeddings, 0, 5, min_size, max_size)
    assert_sound(plan, n, 5, 5)  # either bound leaves no choice
    together = cohesion(embeddings, [list(members) for members in plan.members])
    # Without a look across the borders of the division it would be 0.98.
    assert together > 0.99 > 0.7 > cohesion_by_chance(embeddings, sizes(plan))


@pytest.mark.parametrize("groups", [1, 2])
def test_groups_larger_than_what_is_clustered_at_once(groups: int) -> None:
    plan = group_agents(scattered(5500 * groups, 3, seed=0), 0, 5500, 1, max_size=6000)
    assert len(plan.members) == groups
    assert_sound(plan, 5500 * groups, 1, 6000)


def test_too_many_groups_to_compare_every_pair_still_find_nearly_all_neighbours() -> None:
    groups = EXACT_NEIGHBOURS + 1
    centroids = scattered(groups, 4, seed=0)
    neighbours = nearest_groups(centroids, 5, np.random.default_rng(0))
    assert len(neighbours) == groups
    found = 0
    for group in range(0, groups, 100):
        near = neighbours[group]
        assert len(set(near)) == 5
        assert group not in near
        similarity = centroids @ centroids[group]
        assert np.all(np.diff(similarity[list(near)]) <= 1e-6)
        similarity[group] = -np.inf
        found += len(set(near) & set(np.argsort(-similarity)[:5].tolist()))
    assert found / (5 * len(range(0, groups, 100))) > 0.95


def test_a_newcomer_joins_the_most_similar_group_with_room() -> None:
    centroids = unit([[1, 0], [1, 1], [0, 1]])
    newcomer = unit([1, 0.2])
    expected = {(0, 0, 0): 0, (9, 9, 9): 0, (10, 9, 9): 1, (10, 10, 0): 2, (10, 11, 10): None}
    for present, group in expected.items():
        assert nearest_group(centroids, np.array(present), newcomer, max_size=10) == group


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 5))
def test_no_group_with_room_is_more_similar_than_the_one_chosen(
    seed: int, groups: int, max_size: int
) -> None:
    rng = np.random.default_rng(seed)
    centroids, newcomer = scattered(groups, 4, seed), unit(rng.normal(size=4))
    present = rng.integers(max_size + 1, size=groups)
    chosen = nearest_group(centroids, present, newcomer, max_size)
    room = np.flatnonzero(present < max_size)
    if chosen is None:
        assert len(room) == 0
    else:
        assert chosen in room
        assert centroids[chosen] @ newcomer >= (centroids[room] @ newcomer).max() - 1e-6


SQUARE = unit([[1, 0], [0, 1], [-1, 0], [0, -1]])


@pytest.mark.parametrize(
    ("embeddings", "options", "named"),
    [
        (np.empty((0, 4)), {}, "shape (0, 4)"),
        (np.empty((4, 0)), {}, "shape (4, 0)"),
        (SQUARE[0], {}, "shape (2,)"),
        (SQUARE * [[1], [1], [2.5], [1]], {}, "row 2 of the embeddings has the length 2.5"),
        (SQUARE * [[1], [0], [1], [0]], {}, "row 1 of the embeddings has the length 0"),
        (SQUARE * [[1], [1], [1], [np.nan]], {}, "row 3 of the embeddings has the length nan"),
        (np.full((1, 2), np.inf), {}, "row 0 of the embeddings has the length inf"),
        (SQUARE, {"max_regions": 0}, "max_regions is 0"),
        (SQUARE, {"max_neighbours": -1}, "max_neighbours -1"),
        (SQUARE, {"min_size": 0}, "min_size 0"),
        (SQUARE, {"min_size": 6}, "min_size 6, mean_size 5"),
        (SQUARE, {"max_size": 4}, "mean_size 5, max_size 4"),
        (SQUARE, {"min_size": 5}, "4 agents do not divide into groups of 5 to 10"),
        (SQUARE, {"min_size": 3, "mean_size": 3, "max_size": 3}, "4 agents do not divide"),
    ],
)
def test_what_cannot_be_grouped_is_refused_by_its_value(
    embeddings: Any, options: dict[str, int], named: str
) -> None:
    with pytest.raises(Rejected, match=re.escape(named)):
        group_agents(embeddings, 0, **options)


@pytest.mark.parametrize(
    ("newcomer", "named"),
    [
        ([1.0, 0.0, 0.0], "3 dimensions, the groups' centroids have 2"),
        ([0.5, 0.5], "the length 0.707107"),
        ([math.nan, 1.0], "the length nan"),
        ([], "shape (1, 0)"),
    ],
)
def test_a_newcomer_that_cannot_be_compared_is_refused_by_its_value(
    newcomer: list[float], named: str
) -> None:
    with pytest.raises(Rejected, match=re.escape(named)):
        nearest_group(SQUARE, np.zeros(4, dtype=np.intp), np.array(newcomer, np.float32), 10)
