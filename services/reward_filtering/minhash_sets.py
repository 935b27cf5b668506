"""Sets of hashed terms, and the one among them that is most like another (MinHash).

A MinHash signature holds the least value of each of several hash functions over a set; two sets
agree in a value with a probability of their Jaccard similarity (A. Broder, "On the resemblance and
containment of documents", 1997). The functions are the upper half of a h + b in 64 bits (M.
Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer arithmetic
without primes", 1996), which is all that is needed of a library that brings scientific ones along:
41 MB of memory, and half a second at each start.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from services.reward_filtering.growing_matrix import Rows

PERMUTATIONS = 64
"""Hash values of a signature: its estimate of a similarity J is off by sqrt(J (1 - J) / 64)."""

MARGIN = 0.2
"""Texts whose estimate is this much below the best one are not compared exactly (3 to 4 sd)."""

COMPARED = 16
"""Texts that are compared exactly, those with the best estimates: any two texts share some words,
so that hundreds stand within the margin of an unlike best one."""

_HALF = np.uint64(32)
"""Bits of a hash value, and of what stands below it in the word that it is taken from."""

T = TypeVar("T", bound=np.generic)

UInt32s = npt.NDArray[np.uint32]


def term_hashes(terms: Iterable[str]) -> UInt32s:
    """Return the 32-bit hashes (CRC-32) of terms, sorted and distinct."""
    return np.array(sorted({zlib.crc32(term.encode()) for term in terms}), dtype=np.uint32)


def jaccards(one: UInt32s, others: Sequence[UInt32s]) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of a set to each of others; sets are sorted and not empty.

    All at once: a call of NumPy costs more than the comparison of two small sets.
    """
    sizes = np.array([other.size for other in others])
    joined = np.concatenate(others)
    places = np.minimum(np.searchsorted(one, joined), one.size - 1)
    starts = np.concatenate(([0], sizes.cumsum()[:-1]))
    common = np.add.reduceat((one[places] == joined).astype(np.int64), starts)
    shared: npt.NDArray[np.float64] = common / (one.size + sizes - common)
    return shared


@dataclass(slots=True)
class Search(Generic[T]):
    """A set of hashes with its signature, and what is found so far of the sets most like it."""

    hashes: UInt32s
    signature: npt.NDArray[T]
    looked_at: int = 0
    """Sets that were there at the last look: the next one goes on behind them."""
    likely: list[tuple[int, int]] = field(default_factory=list)
    """Best first: how many values of the signature differ, and the place of the set."""
    exact: dict[int, float] = field(default_factory=dict)
    """Jaccard similarity to the likely ones, by place."""


class MinHashSets(Generic[T]):
    """Sets of hashes under their ids, and their MinHash signatures of `PERMUTATIONS` values."""

    def __init__(self, seed: int, dtype: type[T]) -> None:
        """Prepare for sets; only the low bits of a signature's values that `dtype` holds are kept.

        A value that differs is then taken for equal once in 256 for a type of 8 bits.
        """
        random = np.random.default_rng(seed)
        self._factors, self._shifts = random.integers(0, 1 << 64, (2, PERMUTATIONS), np.uint64)
        self._dtype = dtype
        self._sets: list[tuple[str, UInt32s]] = []
        self._signatures = Rows(PERMUTATIONS, dtype, order="F")

    def search(self, hashes: UInt32s) -> Search[T]:
        """Return the search for a set, which holds its signature; an empty one has none."""
        if not hashes.size:
            return Search(hashes, np.empty(0, self._dtype))
        values = np.multiply.outer(hashes.astype(np.uint64), self._factors) + self._shifts
        least = values.min(axis=0) >> _HALF
        return Search(hashes, least.astype(self._dtype))

    def add(self, sample_id: str, of: Search[T]) -> None:
        """Remember a set; an empty one is like no other and is not kept."""
        if of.hashes.size:
            self._sets.append((sample_id, of.hashes))
            self._signatures.append(of.signature)

    def most_similar(self, to: Search[T]) -> tuple[float, str]:
        """Return the Jaccard similarity of the most alike set, the first of equals, and its id.

        A search that is asked again looks at what was added since, and answers as a new one would.
        """
        if to.hashes.size and to.looked_at < len(self._sets):
            self._look(to)
        if not to.exact:
            return 0.0, ""
        best = min(to.exact, key=lambda place: (-to.exact[place], place))
        return (to.exact[best], self._sets[best][0]) if to.exact[best] else (0.0, "")

    def _look(self, to: Search[T]) -> None:
        """Take the sets that were added since the last look into a search."""
        first, to.looked_at = to.looked_at, len(self._sets)
        unequal = self._signatures.filled[first:] != to.signature
        # As bytes, up to `PERMUTATIONS` of them: a sum of booleans converts each one.
        differing = np.add.reduce(unequal.view(np.uint8), axis=1, dtype=np.uint8)
        best = min([int(differing.min()), *(found for found, _ in to.likely[:1])])
        most = min(int(best + MARGIN * PERMUTATIONS), PERMUTATIONS - 1)
        # Of equally likely ones the first stay.
        room = to.likely[-1][0] - 1 if len(to.likely) == COMPARED else most
        fresh = np.flatnonzero(differing <= min(most, room))
        if len(fresh) > COMPARED:
            fresh = fresh[np.argsort(differing[fresh], kind="stable")[:COMPARED]]
        if not fresh.size:
            return
        found = zip(differing[fresh].tolist(), (fresh + first).tolist(), strict=True)
        ranked = sorted([*to.likely, *found])[:COMPARED]
        to.likely = [each for each in ranked if each[0] <= most]
        places = [place for _, place in to.likely]
        new = [place for place in places if place >= first]
        if new:
            similar = jaccards(to.hashes, [self._sets[place][1] for place in new])
            to.exact |= zip(new, similar.tolist(), strict=True)
        to.exact = {place: to.exact[place] for place in places}
