"""Clusters under exact bounds: assignment, local search, seeds, parts, and the whole."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.agent_state.bounded_assignment import assign_within_bounds
from services.agent_state.clustering import (
    LEAF_POINTS,
    SAMPLE_PER_CENTRE,
    Labels,
    Vectors,
    apportion,
    balanced_parts,
    bounded_clusters,
    seed_rows,
    spherical_kmeans,
    sums_of,
    unit_centres,
)
from services.agent_state.local_search import improve

SEEDS = st.integers(0, 2**32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scattered(n: int, dimensions: int, seed: int) -> Vectors:
    rows = rng(seed).normal(size=(n, dimensions)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def around_axes(each: int, axes: int = 3, noise: float = 0.05) -> Vectors:
    """Points around each coordinate axis, axis by axis."""
    rows = np.repeat(np.eye(axes), each, axis=0)
    rows = rows + noise * rng(1).normal(size=rows.shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def filled(columns: int, value: int) -> Labels:
    return np.full(columns, value, dtype=np.intp)


def seeds(points: Vectors, k: int, generator: np.random.Generator) -> Labels:
    return seed_rows(lambda row: points @ points[row], len(points), k, generator)


def objective(points: Vectors, labels: Labels, k: int) -> float:
    return sum(float(np.linalg.norm(points[labels == c].sum(axis=0))) for c in range(k))


# Assignment within bounds


@st.composite
def markets(draw: st.DrawFn) -> tuple[NDArray[np.float32], Labels, Labels]:
    columns = draw(st.integers(1, 5))
    bounds = [sorted(draw(st.tuples(st.integers(0, 4), st.integers(1, 6)))) for _ in range(columns)]
    lower, upper = np.array(bounds, dtype=np.intp).T
    upper = np.maximum(upper, 1)
    rows = draw(st.integers(int(lower.sum()), int(upper.sum())))
    # Few different values: ties are where an assignment goes wrong.
    similarity = rng(draw(SEEDS)).integers(-3, draw(st.integers(-2, 60)), size=(rows, columns))
    return similarity.astype(np.float32), lower, upper


@given(markets())
def test_every_row_gets_a_column_and_every_column_what_it_takes(
    market: tuple[NDArray[np.float32], Labels, Labels],
) -> None:
    similarity, lower, upper = market
    labels = assign_within_bounds(similarity, lower, upper)
    assert labels.shape == (len(similarity),)
    counts = np.bincount(labels, minlength=len(lower))
    assert len(counts) == len(lower)
    assert np.all(lower <= counts)
    assert np.all(counts <= upper)


@given(markets())
def test_no_row_and_column_would_rather_have_each_other(
    market: tuple[NDArray[np.float32], Labels, Labels],
) -> None:
    similarity, lower, upper = market
    labels = assign_within_bounds(similarity, np.zeros_like(lower), upper)
    for row, column in enumerate(labels):
        for better in np.flatnonzero(similarity[row] > similarity[row, column]):
            holders = np.flatnonzero(labels == better)
            assert len(holders) == upper[better]
            assert similarity[holders, better].min() >= similarity[row, better]


def test_columns_below_their_bound_draw_the_most_similar_rows_that_can_be_spared() -> None:
    similarity = np.array([[9, 1, 3], [9, 1, 8], [9, 1, 7], [9, 1, 2], [1, 9, 8]], dtype=np.float32)
    labels = assign_within_bounds(similarity, np.array([1, 1, 2]), np.array([5, 5, 5]))
    # Row 4 is as similar to the last column as row 1, but its own column would be empty.
    assert labels.tolist() == [0, 2, 2, 0, 1]


@pytest.mark.parametrize("kind", ["all alike", "one order for all"])
def test_long_chains_of_refusals_end_with_everyone_placed(kind: str) -> None:
    size = 120
    same = np.ones((size, size), dtype=np.float32)
    ranked = np.add.outer(rng().random(size), np.arange(size)).astype(np.float32)
    similarity = same if kind == "all alike" else ranked
    labels = assign_within_bounds(similarity, filled(size, 0), filled(size, 1))
    assert sorted(labels) == list(range(size))


# Local search


@given(SEEDS, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_search_ends_where_no_move_and_no_swap_helps(
    seed: int, k: int, min_size: int, more: int, swaps: bool
) -> None:
    max_size = min_size + more
    # Up to 9 points each is among the nearest of each other, so that every swap is tried.
    n = int(rng(seed).integers(k * min_size, k * max_size + 1))
    points = scattered(n, 3, seed)
    start = assign_within_bounds(points @ points[:k].T, filled(k, min_size), filled(k, max_size))
    before = start.copy()
    labels = improve(points @ points.T, start, k, min_size, max_size, swaps)
    assert np.array_equal(start, before)
    counts = np.bincount(labels, minlength=k)
    assert len(counts) == k
    assert min_size <= counts.min()
    assert counts.max() <= max_size
    reached = objective(points, labels, k)
    assert reached >= objective(points, start, k) - 1e-4
    for point in range(n):
        for target in range(k):
            moved = labels.copy()
            moved[point] = target
            if counts[labels[point]] > min_size and counts[target] < max_size:
                assert objective(points, moved, k) <= reached + 1e-4
    if swaps and n <= 9:
        for one, two in combinations(range(n), 2):
            moved = labels.copy()
            moved[[one, two]] = labels[[two, one]]
            assert objective(points, moved, k) <= reached + 1e-4


def test_swaps_repair_what_tight_bounds_keep_moves_from() -> None:
    points = around_axes(4, noise=0.1)
    similarity, mixed = points @ points.T, np.arange(12) % 3
    assert np.array_equal(improve(similarity, mixed, 3, 4, 4, swaps=False), mixed)
    repaired = improve(similarity, mixed, 3, 4, 4).reshape(3, 4)
    assert all(len(set(axis)) == 1 for axis in repaired.tolist())
    assert len(set(repaired[:, 0].tolist())) == 3


# Seeds, centres, parts


def test_seeds_are_different_rows_even_of_equal_points() -> None:
    points = np.repeat(scattered(4, 5, seed=0), 10, axis=0)
    for k in (1, 3, 20, 40):
        assert len(set(seeds(points, k, rng()).tolist())) == k


@given(SEEDS)
def test_no_seed_repeats_a_point_while_others_have_none(seed: int) -> None:
    points = np.repeat(np.eye(6, dtype=np.float32), 7, axis=0)
    assert sorted(seeds(points, 6, rng(seed)) // 7) == list(range(6))


@pytest.mark.parametrize("each", [30, SAMPLE_PER_CENTRE + 100])
def test_centres_are_unit_vectors_amid_their_points(each: int) -> None:
    centres = spherical_kmeans(around_axes(each, noise=0.2), 3, rng())
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1.0, atol=1e-5)
    nearest = centres.argmax(axis=1)
    assert sorted(nearest) == [0, 1, 2]
    assert centres[np.arange(3), nearest].min() > 0.99


@given(SEEDS, st.integers(1, 80), st.integers(1, 12), st.sampled_from([1.0, 1.5, 4.0]))
def test_no_part_is_empty_and_none_has_too_much(seed: int, n: int, parts: int, most: float) -> None:
    parts = min(n, parts)
    points = scattered(n, 3, seed)
    for data in (points, np.repeat(points[:1], n, axis=0)):
        counts = np.bincount(balanced_parts(data, parts, most, rng(seed)), minlength=parts)
        assert len(counts) == parts
        assert counts.min() >= 1
        assert counts.max() <= np.ceil(most * n / parts)


@pytest.mark.parametrize("k", [5, 20_000])
def test_sums_are_those_of_each_cluster_and_zero_for_none(k: int) -> None:
    points = scattered(3 * k, 3, seed=0)
    labels = rng().integers(k // 2, k - 1, size=3 * k)
    expected = np.zeros((k, 3))
    np.add.at(expected, labels, points)
    np.testing.assert_allclose(sums_of(points, labels, k), expected, atol=1e-4)


def test_a_cluster_without_a_direction_takes_its_fallback() -> None:
    points = np.array([[1, 0], [-1, 0], [0, 1], [0, 1]], dtype=np.float32)
    fallback = np.array([[0.6, 0.8], [1, 0], [-1, 0]], dtype=np.float32)
    centres = unit_centres(points, np.array([0, 0, 1, 1]), fallback)
    np.testing.assert_allclose(centres, [[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]], atol=1e-6)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any), st.data())
def test_shares_sum_to_the_total_and_follow_the_weights(
    weights: list[int], data: st.DataObject
) -> None:
    most = data.draw(st.integers(1, 50))
    total = data.draw(st.integers(len(weights), most * len(weights)))
    shares = apportion(np.array(weights), total, most)
    assert shares.sum() == total
    assert shares.min() >= 1
    assert shares.max() <= most
    order = np.argsort(weights, kind="stable")
    assert np.all(np.diff(shares[order])[np.diff(np.sort(weights)) > 0] >= 0)
    quota = np.array(weights) * (total / sum(weights))
    if quota.min() >= 1 and quota.max() <= most:
        assert np.abs(shares - quota).max() < 1


# The whole


@given(SEEDS, st.integers(1, 10), st.integers(1, 4), st.integers(0, 4), st.booleans())
def test_bounds_hold_when_they_leave_no_choice(
    seed: int, k: int, min_size: int, more: int, alike: bool
) -> None:
    max_size = min_size + more
    for n in (k * min_size, k * max_size):
        points = scattered(n, 4, seed)
        points = np.repeat(points[:1], n, axis=0) if alike else points
        labels = bounded_clusters(points, k, min_size, max_size, rng(seed))
        assert np.bincount(labels).tolist() == [n // k] * k


@pytest.mark.parametrize("seed", range(5))
def test_kinds_that_fit_the_bounds_are_found(seed: int) -> None:
    points = around_axes(6, axes=8)
    labels = bounded_clusters(points, 8, 4, 8, rng(seed)).reshape(8, 6)
    assert all(len(set(kind)) == 1 for kind in labels.tolist())
    assert len(set(labels[:, 0].tolist())) == 8


def test_equal_generators_give_equal_clusters() -> None:
    points = scattered(200, 6, seed=3)
    first, second = (bounded_clusters(points, 40, 1, 10, rng(9)) for _ in range(2))
    assert np.array_equal(first, second)


def test_divided_points_are_within_the_bounds_and_well_together_whatever_thread_took_them() -> None:
    kinds = LEAF_POINTS // 5 + 20
    centres = np.repeat(scattered(kinds, 16, seed=1), 5, axis=0)
    points = centres + 0.05 * rng(2).normal(size=centres.shape).astype(np.float32)
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    points = rng(3).permutation(points)
    first, second = (bounded_clusters(points, kinds, 2, 8, rng(9)) for _ in range(2))
    assert np.array_equal(first, second)
    counts = np.bincount(first, minlength=kinds)
    assert counts.min() >= 2
    assert counts.max() <= 8
    assert objective(points, first, kinds) > 0.9 * len(points)


def test_clusters_that_are_too_large_to_compare_in_pairs_stay_as_they_were_divided() -> None:
    points = around_axes(LEAF_POINTS, axes=3)
    labels = bounded_clusters(points, 3, 1, len(points), rng(0))
    assert len(set(labels[::LEAF_POINTS].tolist())) == 3
    assert np.bincount(labels).min() > 0.7 * LEAF_POINTS
