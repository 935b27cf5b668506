"""Spherical k-means under exact bounds on cluster sizes, from a handful of points to millions.

The objective is the mean cosine of a point to the centre of its cluster, which for unit vectors is
`sum over clusters of |sum of its points| / n` (Dhillon & Modha, "Concept decompositions for large
sparse text data", 2001). Up to `LEAF_POINTS` points are clustered together: k-means++ seeds (Arthur
& Vassilvitskii, 2007), an assignment within the bounds, then exact local search (`local_search`).
More points are first divided into coarse clusters, each of which gets its share of the k clusters;
clusters that the borders of that division cut are mended by regrouping. Memory stays linear in the
number of points.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.agent_state.bounded_assignment import assign_within_bounds
from services.agent_state.local_search import improve

Vectors = NDArray[np.float32]
Labels = NDArray[np.intp]

LEAF_POINTS = 5000
"""At most so many points are clustered together: work grows with points x clusters, and the local
search holds a points x points matrix (100 MB)."""
SPLIT_POINTS = 2000
"""Points that a coarse cluster should hold when there are more than `LEAF_POINTS`."""
MAX_BRANCHES = 64
"""Coarse clusters of one division; more points are divided again."""
REGROUPINGS = 2
"""Each closes about half of the gap between the divided and the undivided objective."""
LLOYD_ITERATIONS = 8
"""Of the coarse centres; on leaves they gain nothing over the local search."""
SAMPLE_PER_CENTRE = 256
"""Points per coarse centre that are enough to place it."""
BLOCK_POINTS = 8192


def bounded_clusters(
    points: Vectors, k: int, min_size: int, max_size: int, rng: np.random.Generator
) -> Labels:
    """Cluster unit vectors so that every cluster has `min_size` to `max_size` of them.

    Args:
        points: (n x d), L2-normalised rows.
        k: Number of clusters, with `min_size * k <= n <= max_size * k`.
        min_size: At least 1.
        max_size: At least `min_size`.
        rng: Source of the seeds; equal generators give equal clusters.

    Returns:
        The cluster, 0..k-1, of each point.
    """
    if len(points) <= LEAF_POINTS or k == 1:
        return _leaf(points, k, min_size, max_size, rng, swaps=True)
    labels = _divided(points, k, min_size, max_size, rng)
    for _ in range(REGROUPINGS):
        labels = _regrouped(points, labels, k, min_size, max_size, rng)
    return labels


def spherical_kmeans(points: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """Return k unit centres (k x d) of unit vectors, trained on a sample when there are many."""
    if len(points) > k * SAMPLE_PER_CENTRE:
        points = points[rng.choice(len(points), k * SAMPLE_PER_CENTRE, replace=False)]
    centres = points[seed_rows(lambda row: points @ points[row], len(points), k, rng)]
    for _ in range(LLOYD_ITERATIONS):
        centres = unit_centres(points, (points @ centres.T).argmax(axis=1), centres)
    return centres


def balanced_parts(points: Vectors, parts: int, most: float, rng: np.random.Generator) -> Labels:
    """Return the part of each point: none is empty, none has over `most` times the even share."""
    centres = spherical_kmeans(points, parts, rng)
    lower = np.ones(parts, dtype=np.intp)
    upper = np.full(parts, math.ceil(most * len(points) / parts), dtype=np.intp)
    return assign_within_bounds(points @ centres.T, lower, upper)


def seed_rows(
    similar_to: Callable[[int], Vectors], rows: int, k: int, rng: np.random.Generator
) -> Labels:
    """Return k different rows, drawn by k-means++ with distance 1 - cosine.

    Args:
        similar_to: The cosine of each row to the one of that number.
        rows: That there are.
        k: At most `rows`.
        rng: What draws.
    """
    chosen = np.empty(k, dtype=np.intp)
    chosen[0] = rng.integers(rows)
    distance = np.full(rows, np.inf)
    free = np.ones(rows, dtype=bool)
    for i in range(1, k):
        free[chosen[i - 1]] = False
        np.minimum(distance, 1.0 - similar_to(int(chosen[i - 1])), out=distance)
        # Below float32 rounding a distance is a duplicate, not a place for a centre.
        weight = np.cumsum(np.where(free & (distance > 1e-6), distance, 0.0))
        if weight[-1] <= 0.0:
            chosen[i:] = np.flatnonzero(free)[: k - i]
            break
        chosen[i] = np.searchsorted(weight, rng.random() * weight[-1], side="right")
    return chosen


def sums_of(points: Vectors, labels: Labels, k: int) -> Vectors:
    """Return the sum of the points of each cluster (k x d); zero where a cluster is empty."""
    sums = np.zeros((k, points.shape[1]), dtype=np.float32)
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    for begin in range(0, len(present), BLOCK_POINTS):
        stop = begin + BLOCK_POINTS
        end = starts[stop] if stop < len(present) else len(labels)
        rows = order[starts[begin] : end]
        offsets = starts[begin:stop] - starts[begin]
        sums[present[begin:stop]] = np.add.reduceat(points[rows], offsets, axis=0)
    return sums


def unit_centres(points: Vectors, labels: Labels, fallback: Vectors) -> Vectors:
    """Return the unit vector of each cluster's sum, or its row of `fallback` if that is zero."""
    sums = sums_of(points, labels, len(fallback))
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(norms > 1e-6, sums / np.maximum(norms, 1e-6), fallback).astype(np.float32)


def side_by_side(work: Callable[..., Labels], *arguments: Sequence[Any]) -> Iterator[Labels]:
    """Return what `work` gives for each of `arguments`, in order; the processors share them."""
    with ThreadPoolExecutor(os.cpu_count() or 1, "clustering") as pool:
        yield from pool.map(work, *arguments)


def _leaf(
    points: Vectors, k: int, min_size: int, max_size: int, rng: np.random.Generator, swaps: bool
) -> Labels:
    if k == 1:
        return np.zeros(len(points), dtype=np.intp)
    similarity = points @ points.T
    seeds = seed_rows(lambda row: similarity[row], len(points), k, rng)
    bounds = (np.full(k, size, dtype=np.intp) for size in (min_size, max_size))
    labels = assign_within_bounds(similarity[:, seeds], *bounds)
    return improve(similarity, labels, k, min_size, max_size, swaps)


def _divided(
    points: Vectors, k: int, min_size: int, max_size: int, rng: np.random.Generator
) -> Labels:
    """Cluster inside coarse clusters; swaps are left to the regrouping."""
    leaves = _leaves(points, np.arange(len(points)), k, min_size, max_size, rng)

    def clustered(leaf: tuple[Labels, int], own: np.random.Generator) -> Labels:
        rows, share = leaf
        return _leaf(points[rows], share, min_size, max_size, own, swaps=False)

    labels = np.empty(len(points), dtype=np.intp)
    first = 0
    for (rows, share), found in zip(
        leaves, side_by_side(clustered, leaves, rng.spawn(len(leaves))), strict=True
    ):
        labels[rows] = first + found
        first += share
    return labels


def _leaves(
    points: Vectors, rows: Labels, k: int, min_size: int, max_size: int, rng: np.random.Generator
) -> list[tuple[Labels, int]]:
    """Return the parts of `rows` that are clustered together, and how many clusters each gets."""
    if len(rows) <= LEAF_POINTS or k == 1:
        return [(rows, k)]
    coarse, shares = _divide(points[rows], k, min_size, max_size, rng)
    order = np.argsort(coarse, kind="stable")
    branches = np.split(rows[order], np.cumsum(np.bincount(coarse, minlength=len(shares)))[:-1])
    return [
        leaf
        for branch, share in zip(branches, shares.tolist(), strict=True)
        for leaf in _leaves(points, branch, share, min_size, max_size, rng)
    ]


def _regrouped(
    points: Vectors,
    labels: Labels,
    k: int,
    min_size: int,
    max_size: int,
    rng: np.random.Generator,
) -> Labels:
    """Search on among clusters with similar centres, wherever they came from."""
    centres = unit_centres(points, labels, np.zeros((k, points.shape[1]), dtype=np.float32))
    parts = min(k, math.ceil(len(points) / SPLIT_POINTS))
    part_of = balanced_parts(centres, parts, 1.5, rng)
    place = np.empty(k, dtype=np.intp)
    """Of each cluster in its part."""
    clusters_of = []
    for part in range(parts):
        clusters_of.append(np.flatnonzero(part_of == part))
        place[clusters_of[-1]] = np.arange(len(clusters_of[-1]))
    part_of_row = part_of[labels]
    order = np.argsort(part_of_row, kind="stable")
    rows_of = np.split(order, np.searchsorted(part_of_row[order], np.arange(1, parts)))

    def searched(rows: Labels, clusters: Labels) -> Labels:
        found = labels[rows]
        if len(clusters) > 1 and len(rows) <= 2 * LEAF_POINTS:
            similarity = points[rows] @ points[rows].T
            own = improve(similarity, place[found], len(clusters), min_size, max_size, swaps=True)
            found = clusters[own]
        return found

    better = np.empty_like(labels)
    for rows, found in zip(rows_of, side_by_side(searched, rows_of, clusters_of), strict=True):
        better[rows] = found
    return better


def _divide(
    points: Vectors, k: int, min_size: int, max_size: int, rng: np.random.Generator
) -> tuple[Labels, Labels]:
    """Return the coarse cluster of each point, and how many of the k clusters each one gets."""
    n = len(points)
    branches = min(MAX_BRANCHES, math.ceil(n / SPLIT_POINTS), k)
    centres = spherical_kmeans(points, branches, rng)
    similarity = points @ centres.T
    natural = np.bincount(similarity.argmax(axis=1), minlength=branches)
    # At most twice the even share: every division then makes progress, on equal points too.
    shares = apportion(natural, k, most=math.ceil(2 * k / branches))
    even = shares * (n / k)
    lower = np.maximum(min_size * shares, np.floor(0.75 * even).astype(np.intp))
    upper = np.minimum(max_size * shares, np.ceil(1.25 * even).astype(np.intp))
    return assign_within_bounds(similarity, lower, upper), shares


def apportion(weights: Labels, total: int, most: int) -> Labels:
    """Share `total` out in proportion to `weights`, 1 to `most` each (largest remainders).

    Needs `len(weights) <= total <= most * len(weights)`.
    """
    quota = weights * (total / weights.sum())
    shares: Labels = np.clip(np.floor(quota), 1, most).astype(np.intp)
    while (left := total - int(shares.sum())) != 0:
        step = 1 if left > 0 else -1
        open_ = np.flatnonzero(shares < most) if left > 0 else np.flatnonzero(shares > 1)
        order = open_[np.argsort(-step * (quota - shares)[open_], kind="stable")]
        shares[order[: abs(left)]] += step
    return shares
