"""Sets of hashed terms, and the one among them that is most like another (MinHash).

A MinHash signature holds the least value of each of several hash functions over a set; two sets
agree in a value with a probability of their Jaccard similarity (A. Broder, "On the resemblance and
containment of documents", 1997). The functions are (a h + b) mod p, which is all that is needed of
a library that brings scientific ones along: 41 MB of memory, and half a second at each start.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 64
"""Hash values of a signature: its estimate of a similarity J is off by sqrt(J (1 - J) / 64)."""

MARGIN = 0.2
"""Texts whose estimate is this much below the best one are not compared exactly (3 to 4 sd)."""

COMPARED = 16
"""Texts that are compared exactly, those with the best estimates: any two texts share some words,
so that hundreds stand within the margin of an unlike best one."""

_PRIME = np.uint64((1 << 61) - 1)
_LOW_BITS = np.uint64((1 << 32) - 1)

T = TypeVar("T", bound=np.generic)

UInt32s = npt.NDArray[np.uint32]


def term_hashes(terms: Iterable[str]) -> UInt32s:
    """Return the 32-bit hashes of terms, sorted and distinct."""
    hashes = (hashlib.blake2b(term.encode(), digest_size=4).digest() for term in terms)
    return np.unique(np.frombuffer(b"".join(hashes), dtype="<u4").astype(np.uint32))


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


class Rows(Generic[T]):
    """A matrix that grows by rows, its room by a quarter at a time."""

    def __init__(self, width: int, dtype: type[T]) -> None:
        self._room: npt.NDArray[T] = np.empty((8, width), dtype=dtype)
        self._size = 0

    @property
    def filled(self) -> npt.NDArray[T]:
        """The rows that were added, in order."""
        return self._room[: self._size]

    def append(self, row: npt.NDArray[T]) -> None:
        """Add a row."""
        if self._size == len(self._room):
            spare = np.empty_like(self._room[: max(8, self._size // 4)])
            self._room = np.concatenate([self._room, spare])
        self._room[self._size] = row
        self._size += 1


@dataclass(frozen=True, slots=True)
class Signed(Generic[T]):
    """A set of hashes, and its signature."""

    hashes: UInt32s
    signature: npt.NDArray[T]


class MinHashSets(Generic[T]):
    """Sets of hashes under their ids, and their MinHash signatures of `PERMUTATIONS` values."""

    def __init__(self, seed: int, dtype: type[T]) -> None:
        """Prepare for sets; only the low bits of a signature's values that `dtype` holds are kept.

        A value that differs is then taken for equal once in 256 for a type of 8 bits.
        """
        random = np.random.default_rng(seed)
        # Below 2^31 and 2^61: products and sums with a hash of 32 bits stay below 2^64.
        self._factors = random.integers(1, 1 << 31, PERMUTATIONS, dtype=np.uint64)
        self._shifts = random.integers(0, (1 << 61) - 1, PERMUTATIONS, dtype=np.uint64)
        self._dtype = dtype
        self._sets: list[tuple[str, UInt32s]] = []
        self._signatures = Rows(PERMUTATIONS, dtype)

    def signed(self, hashes: UInt32s) -> Signed[T]:
        """Return a set with its signature, which an empty one has none of."""
        if not hashes.size:
            return Signed(hashes, np.empty(0, self._dtype))
        values = np.multiply.outer(hashes.astype(np.uint64), self._factors) + self._shifts
        least = (values % _PRIME & _LOW_BITS).min(axis=0)
        return Signed(hashes, least.astype(self._dtype))

    def add(self, sample_id: str, of: Signed[T]) -> None:
        """Remember a set; an empty one is like no other and is not kept."""
        if of.hashes.size:
            self._sets.append((sample_id, of.hashes))
            self._signatures.append(of.signature)

    def most_similar(self, of: Signed[T]) -> tuple[float, str]:
        """Return the Jaccard similarity of the most alike set, the first of equals, and its id."""
        if not of.hashes.size or not self._sets:
            return 0.0, ""
        equal = np.count_nonzero(self._signatures.filled == of.signature, axis=1)
        least = max(1.0, float(equal.max()) - MARGIN * PERMUTATIONS)
        likely = np.flatnonzero(equal >= least)
        if len(likely) > COMPARED:
            likely = np.sort(likely[np.argsort(-equal[likely], kind="stable")[:COMPARED]])
        if not likely.size:
            return 0.0, ""
        exact = jaccards(of.hashes, [self._sets[index][1] for index in likely])
        best = int(exact.argmax())
        if not exact[best]:
            return 0.0, ""
        return float(exact[best]), self._sets[likely[best]][0]
