"""Who lives with whom: agents with similar profiles form a group (homophily), groups form regions.

The paper (arXiv 2410.14251) embeds profiles and clusters them by constrained k-means: 1,000 agents,
K = 200, 1 to 10 agents a group.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.agent_state.clustering import (
    balanced_parts,
    bounded_clusters,
    side_by_side,
    unit_centres,
)
from services.runtime.errors import Rejected

Vectors = NDArray[np.float32]

MAX_GROUP_SIZE = 10
"""Most agents of a group, also when more join (paper)."""
NORM_TOLERANCE = 1e-3
"""How far from 1 the length of an embedding may be: 16-bit floats round that much."""
REGION_SHARE = 1.5
"""No region has more than this times the even share of groups."""
EXACT_NEIGHBOURS = 40_000
"""Up to so many groups every pair is compared; above, only groups in cells close by."""
PROBED_CELLS = 32
"""Of 70 cells they find 94 to 96 % of the neighbours of real texts."""
BLOCK_ROWS = 256


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Where each agent lives. Agents and groups are known by their index."""

    members: tuple[tuple[int, ...], ...]
    """Agents of each group, ascending; every agent is in exactly one group."""
    regions: tuple[int, ...]
    """Region 0..R-1 of each group; every region has at least one."""
    neighbours: tuple[tuple[int, ...], ...]
    """For each group its most similar other groups by cosine of centroids, nearest first."""
    centroids: Vectors = field(compare=False)
    """(groups x d), the L2-normalised sum of each group's embeddings."""


def group_agents(
    embeddings: Vectors,
    seed: int,
    mean_size: int = 5,
    min_size: int = 1,
    max_size: int = MAX_GROUP_SIZE,
    max_regions: int = 16,
    max_neighbours: int = 8,
) -> GroupPlan:
    """Group agents by similarity of their profiles, within exact bounds on group sizes.

    Equal embeddings and seeds give equal plans on the same machine.

    Args:
        embeddings: (agents x d), L2-normalised rows.
        seed: Of the random starts, at least 0.
        mean_size: Aims at ceil(agents / mean_size) groups, or the nearest number the bounds allow.
        min_size: Least agents of a group.
        max_size: Most agents of a group.
        max_regions: Most regions; fewer when there are fewer groups.
        max_neighbours: Most neighbours reported for a group.

    Raises:
        Rejected: embeddings are empty, not finite or not normalised, or no number of groups fits
            the bounds.
    """
    embeddings = _unit_rows(embeddings)
    if max_regions < 1 or max_neighbours < 0:
        raise Rejected(
            f"max_regions is {max_regions} and max_neighbours {max_neighbours}: "
            "give at least 1 and at least 0"
        )
    k = count_groups(len(embeddings), mean_size, min_size, max_size)
    rng = np.random.default_rng(seed)
    labels = bounded_clusters(embeddings, k, min_size, max_size, rng)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(k + 1))
    # Members that cancel out have no mean direction: the first one then stands for the group.
    centroids = unit_centres(embeddings, labels, fallback=embeddings[order[starts[:-1]]])
    agents = order.tolist()
    return GroupPlan(
        members=tuple(tuple(agents[starts[g] : starts[g + 1]]) for g in range(k)),
        regions=tuple(balanced_parts(centroids, min(max_regions, k), REGION_SHARE, rng).tolist()),
        neighbours=nearest_groups(centroids, max_neighbours, rng),
        centroids=centroids,
    )


def count_groups(agents: int, mean_size: int, min_size: int, max_size: int) -> int:
    """Return the number of groups nearest to ceil(agents / mean_size) that the bounds allow.

    Raises:
        Rejected: not 1 <= min_size <= mean_size <= max_size, or no number of groups fits.
    """
    if not 1 <= min_size <= mean_size <= max_size:
        raise Rejected(
            f"min_size {min_size}, mean_size {mean_size}, max_size {max_size}: "
            "group sizes must satisfy 1 <= min_size <= mean_size <= max_size"
        )
    fewest, most = math.ceil(agents / max_size), agents // min_size
    if fewest > most:
        raise Rejected(
            f"{agents} agents do not divide into groups of {min_size} to {max_size}: {most} groups "
            f"hold at most {most * max_size}, {most + 1} need at least {(most + 1) * min_size}; "
            "change min_size, max_size or the number of agents"
        )
    return min(max(math.ceil(agents / mean_size), fewest), most)


def nearest_groups(
    centroids: Vectors, most: int, rng: np.random.Generator
) -> tuple[tuple[int, ...], ...]:
    """Return for each group its `most` nearest others by centroid cosine, nearest first.

    Compares blocks of rows, never groups x groups at once. Above `EXACT_NEIGHBOURS` groups it
    compares a group with those in the `PROBED_CELLS` nearest of sqrt(groups) cells (an inverted
    file: Jegou et al., "Product quantization for nearest neighbor search", 2011); may miss some.

    Args:
        centroids: (groups x d), L2-normalised rows.
        most: At most all other groups are returned.
        rng: Source of the cells' seeds.
    """
    groups = len(centroids)
    take = min(most, groups - 1)
    nearest = np.empty((groups, take), dtype=np.intp)
    everyone = np.arange(groups)
    blocks: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    """Rows, and what each of them is compared with."""
    if groups <= EXACT_NEIGHBOURS:
        blocks += [(rows, everyone) for rows in _blocks(everyone)]
    else:
        cells = math.isqrt(groups)
        cell_of = balanced_parts(centroids, cells, 4.0, rng)
        order = np.argsort(cell_of, kind="stable")
        inside = np.split(order, np.searchsorted(cell_of[order], np.arange(1, cells)))
        centres = unit_centres(centroids, cell_of, centroids[:cells])
        # No cell is empty, so these cells hold enough groups.
        probed = min(max(PROBED_CELLS, take + 1), cells)
        closest = np.argsort(-(centres @ centres.T), axis=1, kind="stable")[:, :probed]
        for cell in range(cells):
            near = np.union1d(inside[cell], np.concatenate([inside[c] for c in closest[cell]]))
            blocks += [(rows, near) for rows in _blocks(inside[cell])]
    found = side_by_side(
        lambda rows, near: _top(centroids, rows, near, take), *zip(*blocks, strict=True)
    )
    for (rows, _), best in zip(blocks, found, strict=True):
        nearest[rows] = best
    return tuple(map(tuple, nearest.tolist()))


def nearest_group(
    centroids: Vectors, sizes: NDArray[np.intp], embedding: Vectors, max_size: int
) -> int | None:
    """Return the most similar group that has room for one more agent, or None if none has.

    Args:
        centroids: (groups x d) of the plan.
        sizes: Present number of agents of each group.
        embedding: (d), L2-normalised.
        max_size: Most agents of a group.

    Raises:
        Rejected: the embedding is not finite, not normalised or of another length.
    """
    _unit_rows(embedding[np.newaxis])
    if embedding.shape[0] != centroids.shape[1]:
        raise Rejected(
            f"the embedding has {embedding.shape[0]} dimensions, the groups' centroids have "
            f"{centroids.shape[1]}: embed with the model that the plan was made with"
        )
    full = np.asarray(sizes) >= max_size
    if full.all():
        return None
    similarity = centroids @ embedding
    similarity[full] = -np.inf
    return int(similarity.argmax())


def _blocks(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[begin : begin + BLOCK_ROWS] for begin in range(0, len(rows), BLOCK_ROWS)]


def _top(
    centroids: Vectors, rows: NDArray[np.intp], candidates: NDArray[np.intp], take: int
) -> NDArray[np.intp]:
    """Return the `take` nearest candidates of each row (rows x take); candidates are ascending."""
    similarity = centroids[rows] @ centroids[candidates].T
    similarity[np.arange(len(rows)), np.searchsorted(candidates, rows)] = -np.inf
    if take < len(candidates) - 1:
        least = len(candidates) - max(take, 1)
        best = np.argpartition(similarity, least, axis=1)[:, least:]
    else:
        best = np.tile(np.arange(len(candidates)), (len(rows), 1))
    order = np.argsort(-np.take_along_axis(similarity, best, axis=1), axis=1, kind="stable")
    return candidates[np.take_along_axis(best, order, axis=1)[:, :take]]


def _unit_rows(embeddings: Vectors) -> Vectors:
    """Return the rows at length 1 but for float32 rounding, which the local search relies on."""
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise Rejected(
            f"embeddings have the shape {embeddings.shape}: give (agents x dimensions), none of 0"
        )
    norms = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(norms - 1.0) <= NORM_TOLERANCE))
    if len(wrong):
        raise Rejected(
            f"row {wrong[0]} of the embeddings has the length {norms[wrong[0]]:.6g} instead of 1 "
            f"({len(wrong)} such rows): L2-normalise the embeddings and remove what is not finite"
        )
    return np.ascontiguousarray(embeddings / norms.astype(np.float32)[:, np.newaxis], np.float32)
