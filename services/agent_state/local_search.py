"""Local search on bounded spherical clusters: move one point, or swap two, while that helps.

Lloyd's iterations stop early when clusters are small, because each point is a large part of its own
centre; exact gains (Hartigan's method: Telgarsky & Vattani, "Hartigan's method: k-means clustering
without Voronoi", 2010) do not have that flaw.
"""

import numpy as np
from numpy.typing import NDArray

MAX_ROUNDS = 200
NEAREST = 8
"""A point is offered in exchange to the clusters of so many nearest points."""
SMALLEST_GAIN = 1e-5
"""Below it a gain is rounding noise of float32."""
BLOCK = 512


def improve(
    similarity: NDArray[np.float32],
    labels: NDArray[np.intp],
    k: int,
    min_size: int,
    max_size: int,
    swaps: bool = True,
) -> NDArray[np.intp]:
    """Return labels that no move of one point, and hardly any swap of two, can better.

    Raises the sum over clusters of the norm of the sum of their points. Rounds take the best
    changes that touch different clusters, so that each gain stays exact.

    Args:
        similarity: Cosine of each pair of points (n x n): the search needs nothing else of them.
        labels: Cluster 0..k-1 of each point, within the bounds.
        k: Number of clusters.
        min_size: Least points of a cluster.
        max_size: Most points of a cluster.
        swaps: Whether to try swaps, which matter when the bounds are tight.
    """
    if k == 1:  # nowhere to go
        return labels.copy()
    search = _Search(similarity, labels.copy(), k, min_size, max_size)
    for _ in range(MAX_ROUNDS):
        if not search.move() and not (swaps and search.swap()):
            break
    return search.labels


class _Search:
    def __init__(
        self,
        similarity: NDArray[np.float32],
        labels: NDArray[np.intp],
        k: int,
        min_size: int,
        max_size: int,
    ) -> None:
        n = len(labels)
        self.similarity, self.labels = similarity, labels
        self.min_size, self.max_size = min_size, max_size
        self.rows = np.arange(n)
        self.sizes = np.bincount(labels, minlength=k)
        self.members = np.full((k, min(max_size, n)), -1, dtype=np.intp)
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(k))
        self.dots = np.add.reduceat(similarity[order], starts, axis=0)  # cluster sum . point
        self.norms = np.empty(k, dtype=np.float32)  # |cluster sum|
        self.joins = np.empty((k, n), dtype=np.float32)  # gain of joining
        self.nearest: NDArray[np.intp] | None = None
        self._refresh(np.arange(k))

    def move(self) -> int:
        """Move points to the cluster where they gain most; returns how many moved."""
        target = self.joins.argmax(axis=0)
        gain = self.joins[target, self.rows] - self._losses()
        gain[self.sizes[self.labels] <= self.min_size] = -np.inf
        better = np.flatnonzero(gain > SMALLEST_GAIN)
        return self._apply(better, target[better], None, gain[better])

    def swap(self) -> int:
        """Exchange pairs of points between clusters; returns how many pairs."""
        if self.nearest is None:
            self.nearest = _nearest(self.similarity)
        found = []
        for begin in range(0, len(self.rows), BLOCK):
            rows = self.rows[begin : begin + BLOCK]
            theirs = self.labels[self.nearest[rows]]  # (rows x near)
            partner = self.members[theirs]  # (rows x near x max_size)
            own = self.labels[rows][:, None, None]
            ok = (partner >= 0) & (theirs[:, :, None] != own)
            i, near, slot = np.nonzero(ok)
            one, two = rows[i], partner[i, near, slot]
            a, b = self.labels[one], theirs[i, near]
            cross = 2.0 - 2.0 * self.similarity[one, two]
            after_a = self.norms[a] ** 2 + cross + 2 * (self.dots[a, two] - self.dots[a, one])
            after_b = self.norms[b] ** 2 + cross + 2 * (self.dots[b, one] - self.dots[b, two])
            gain = np.sqrt(np.maximum(after_a, 0)) + np.sqrt(np.maximum(after_b, 0))
            gain -= self.norms[a] + self.norms[b]
            good = gain > SMALLEST_GAIN
            found.append((one[good], b[good], two[good], gain[good]))
        one, b, two, gain = (np.concatenate(column) for column in zip(*found, strict=True))
        return self._apply(one, b, two, gain)

    def _losses(self) -> NDArray[np.float32]:
        norms = self.norms[self.labels]
        left = norms**2 - 2 * self.dots[self.labels, self.rows] + 1
        lost: NDArray[np.float32] = norms - np.sqrt(np.maximum(left, 0))
        return lost

    def _apply(
        self,
        one: NDArray[np.intp],
        target: NDArray[np.intp],
        two: NDArray[np.intp] | None,
        gain: NDArray[np.float32],
    ) -> int:
        """Carry out the best changes that touch different clusters; returns how many."""
        touched: set[int] = set()
        chosen: list[int] = []
        source = self.labels[one]
        for c in np.argsort(-gain, kind="stable").tolist():
            a, b = int(source[c]), int(target[c])
            if a not in touched and b not in touched:
                touched.update((a, b))
                chosen.append(c)
        if not chosen:
            return 0
        one, source, target = one[chosen], source[chosen], target[chosen]
        self._shift(one, source, target)
        if two is not None:
            self._shift(two[chosen], target, source)
        self._refresh(np.array(sorted(touched)))
        return len(chosen)

    def _shift(
        self, moved: NDArray[np.intp], source: NDArray[np.intp], target: NDArray[np.intp]
    ) -> None:
        """Move points, each between two clusters that no other one touches."""
        self.dots[source] -= self.similarity[moved]
        self.dots[target] += self.similarity[moved]
        self.sizes[source] -= 1
        self.sizes[target] += 1
        self.labels[moved] = target

    def _refresh(self, clusters: NDArray[np.intp]) -> None:
        """Bring up to date what follows from the labels and sums of clusters."""
        changed = np.zeros(len(self.sizes), dtype=bool)
        changed[clusters] = True
        inside = np.flatnonzero(changed[self.labels])
        inside = inside[np.argsort(self.labels[inside], kind="stable")]
        owner = self.labels[inside]
        sizes = self.sizes[clusters]
        starts = np.cumsum(sizes) - sizes
        self.members[clusters] = -1
        self.members[owner, np.arange(len(inside)) - np.repeat(starts, sizes)] = inside
        squared = np.add.reduceat(self.dots[owner, inside], starts)
        self.norms[clusters] = np.sqrt(np.maximum(squared, 0))
        joins = 2 * self.dots[clusters]
        joins += (squared + 1)[:, None]
        np.maximum(joins, 0, out=joins)
        np.sqrt(joins, out=joins)
        joins -= self.norms[clusters][:, None]
        joins[sizes >= self.max_size] = -np.inf
        joins[np.repeat(np.arange(len(clusters)), sizes), inside] = -np.inf
        self.joins[clusters] = joins


def _nearest(similarity: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the points most similar to each point, itself among them (n x near)."""
    n = len(similarity)
    take = min(NEAREST + 1, n)
    blocks = range(0, n, BLOCK)
    return np.concatenate(
        [
            np.argpartition(similarity[b : b + BLOCK], n - take, axis=1)[:, n - take :]
            for b in blocks
        ]
    )
