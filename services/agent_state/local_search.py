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
    points: NDArray[np.float32],
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
        points: (n x d), L2-normalised rows.
        labels: Cluster 0..k-1 of each point, within the bounds.
        k: Number of clusters.
        min_size: Least points of a cluster.
        max_size: Most points of a cluster.
        swaps: Whether to try swaps, which matter when the bounds are tight.
    """
    if k == 1:  # nowhere to go, and perhaps too many points to compare all pairs
        return labels.copy()
    search = _Search(points, labels.copy(), k, min_size, max_size)
    for _ in range(MAX_ROUNDS):
        if not search.move() and not (swaps and search.swap()):
            break
    return search.labels


class _Search:
    def __init__(
        self,
        points: NDArray[np.float32],
        labels: NDArray[np.intp],
        k: int,
        min_size: int,
        max_size: int,
    ) -> None:
        self.points, self.labels = points, labels
        self.min_size, self.max_size = min_size, max_size
        self.rows = np.arange(len(points))
        self.sizes = np.bincount(labels, minlength=k)
        self.members = np.full((k, min(max_size, len(points))), -1, dtype=np.intp)
        self.dots = np.empty((k, len(points)), dtype=np.float32)  # cluster sum . point
        self.norms = np.empty(k, dtype=np.float32)  # |cluster sum|
        self.joins = np.empty((k, len(points)), dtype=np.float32)  # gain of joining
        self.similarity: NDArray[np.float32] | None = None
        self.nearest = np.empty((len(points), 0), dtype=np.intp)
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
        if self.similarity is None:
            self._find_nearest()
        assert self.similarity is not None
        found = []
        for begin in range(0, len(self.points), BLOCK):
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
        done = 0
        source = self.labels[one]
        for c in np.argsort(-gain, kind="stable"):
            a, b = int(source[c]), int(target[c])
            if a in touched or b in touched:
                continue
            touched.update((a, b))
            self.labels[one[c]] = b
            if two is None:
                self.sizes[a] -= 1
                self.sizes[b] += 1
            else:
                self.labels[two[c]] = a
            done += 1
        if done:
            self._refresh(np.array(sorted(touched)))
        return done

    def _refresh(self, clusters: NDArray[np.intp]) -> None:
        self.members[clusters] = -1
        position = np.full(len(self.sizes), -1)
        position[clusters] = np.arange(len(clusters))
        inside = np.flatnonzero(position[self.labels] >= 0)
        inside = inside[np.argsort(self.labels[inside], kind="stable")]
        owner = self.labels[inside]
        starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        slot = np.arange(len(inside)) - np.repeat(starts, np.diff(np.r_[starts, len(inside)]))
        self.members[owner, slot] = inside
        sums = np.add.reduceat(self.points[inside], starts, axis=0)
        dots = sums @ self.points.T
        squared = np.einsum("kd,kd->k", sums, sums)
        self.norms[clusters] = np.sqrt(squared)
        self.dots[clusters] = dots
        dots *= 2
        dots += (squared + 1)[:, None]
        np.maximum(dots, 0, out=dots)
        np.sqrt(dots, out=dots)
        dots -= self.norms[clusters][:, None]
        dots[self.sizes[clusters] >= self.max_size] = -np.inf
        dots[position[owner], inside] = -np.inf
        self.joins[clusters] = dots

    def _find_nearest(self) -> None:
        n = len(self.points)
        self.similarity = self.points @ self.points.T
        take = min(NEAREST + 1, n)
        self.nearest = np.concatenate(
            [
                np.argpartition(-self.similarity[b : b + BLOCK], take - 1, axis=1)[:, :take]
                for b in range(0, n, BLOCK)
            ]
        )
