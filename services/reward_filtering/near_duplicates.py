"""Near duplicates of accepted instructions: by their words (MinHash), and by their meaning.

Texts are compared as sets of word 3-grams. A MinHash signature per text (A. Broder, "On the
resemblance and containment of documents", 1997) finds the few that may be alike, and their exact
Jaccard similarity is computed from stored shingles. Signatures are scanned, not hashed into bands:
that finds the nearest text at any similarity, which is recorded for later filtering with other
thresholds, and it costs less memory than the tables of an LSH index (4.9 KB an entry). The scan
of embeddings beside it is linear anyway.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from datasketch import MinHash

from services.reward_filtering.static_filters import words

SHINGLE = 3
"""Words of a shingle; a shorter text is one shingle."""

PERMUTATIONS = 64
"""Hash values of a signature: its estimate of a similarity J is off by sqrt(J (1 - J) / 64)."""

MARGIN = 0.2
"""Texts whose estimate is this much below the best one are not compared exactly (3 to 4 sd)."""

FARTHEST = 2.0
"""Distance when there is nothing to compare with: that of opposite vectors."""

_BLOCK = 4096
"""Embeddings that are widened to 32 bits at a time."""

T = TypeVar("T", bound=np.generic)

_UInt32s = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near the nearest accepted instructions are."""

    jaccard: float
    """Jaccard similarity of the most alike one, in [0, 1]; 0 when none shares a shingle."""
    jaccard_id: str
    """Its sample id, or empty."""
    distance: float
    """1 - cosine to the nearest embedding, in [0, 2]; `FARTHEST` when there is none."""
    distance_id: str
    """Its sample id, or empty."""


def is_duplicate(nearness: Nearness, max_jaccard: float = 0.7, min_distance: float = 0.08) -> bool:
    """Tell whether a text is too near: Jaccard at or above, or distance at or below, its bound."""
    return nearness.jaccard >= max_jaccard or nearness.distance <= min_distance


def shingles(text: str) -> _UInt32s:
    """Return the 32-bit hashes of a text's shingles, sorted and distinct."""
    found = words(text)
    count = max(1, len(found) - SHINGLE + 1) if found else 0
    grams = (" ".join(found[start : start + SHINGLE]) for start in range(count))
    hashes = (hashlib.blake2b(gram.encode(), digest_size=4).digest() for gram in grams)
    return np.unique(np.frombuffer(b"".join(hashes), dtype="<u4").astype(np.uint32))


def jaccard(first: _UInt32s, second: _UInt32s) -> float:
    """Return the Jaccard similarity of two sets of shingles; 0 when both are empty."""
    common = np.intersect1d(first, second, assume_unique=True).size
    union = first.size + second.size - common
    return common / union if union else 0.0


class _Rows(Generic[T]):
    """A matrix that grows by rows, its room by a quarter at a time."""

    def __init__(self, width: int, dtype: type[T]) -> None:
        self._room: npt.NDArray[T] = np.empty((8, width), dtype=dtype)
        self._size = 0

    @property
    def filled(self) -> npt.NDArray[T]:
        return self._room[: self._size]

    def append(self, row: npt.NDArray[T]) -> None:
        if self._size == len(self._room):
            spare = np.empty_like(self._room[: max(8, self._size // 4)])
            self._room = np.concatenate([self._room, spare])
        self._room[self._size] = row
        self._size += 1


class NearDuplicates:
    """Accepted instructions, to hold new ones against.

    An entry takes 1.5 to 1.8 KB: 256 bytes of signature, 768 of a 384-dimensional embedding in half
    precision (which moves a distance by less than 0.001), 4 for each word, its id, and room to
    grow. Equal sequences of `add` give equal answers; of equally near entries the first one added
    is named.
    """

    def __init__(self, seed: int = 1) -> None:
        self._blank = MinHash(num_perm=PERMUTATIONS, seed=seed, hashfunc=int)
        self._ids: dict[str, None] = {}
        self._shingled: list[tuple[str, _UInt32s]] = []
        self._signatures = _Rows(PERMUTATIONS, np.uint32)
        self._embedded: list[str] = []
        self._embeddings: _Rows[np.float16] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, sample_id: str, text: str, embedding: Sequence[float] | None = None) -> None:
        """Remember an accepted instruction; one that is remembered already changes nothing.

        Args:
            sample_id: Names it in answers.
            text: The instruction.
            embedding: Its embedding, of any norm but 0; None: it is compared by its words only.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        if sample_id in self._ids:
            return
        unit = None if embedding is None else self._unit(embedding, sample_id)
        self._ids[sample_id] = None
        hashes = shingles(text)
        if hashes.size:
            self._shingled.append((sample_id, hashes))
            self._signatures.append(self._signature(hashes))
        if unit is not None:
            if self._embeddings is None:
                self._embeddings = _Rows(len(unit), np.float16)
            self._embedded.append(sample_id)
            self._embeddings.append(unit.astype(np.float16))

    def nearest(self, text: str, embedding: Sequence[float] | None = None) -> Nearness:
        """Return how near a text is to what was added.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        similarity, similar_id = self._most_similar(shingles(text))
        distance, distance_id = FARTHEST, ""
        if embedding is not None:
            distance, distance_id = self._closest(self._unit(embedding, "asked for"))
        return Nearness(similarity, similar_id, distance, distance_id)

    def _signature(self, hashes: _UInt32s) -> _UInt32s:
        sketch = self._blank.copy()
        sketch.update_batch(hashes.tolist())
        signature: _UInt32s = sketch.digest()
        return signature

    def _most_similar(self, hashes: _UInt32s) -> tuple[float, str]:
        if not hashes.size or not self._shingled:
            return 0.0, ""
        equal = np.count_nonzero(self._signatures.filled == self._signature(hashes), axis=1)
        least = max(1.0, float(equal.max()) - MARGIN * PERMUTATIONS)
        best, best_id = 0.0, ""
        for index in np.flatnonzero(equal >= least):
            sample_id, other = self._shingled[index]
            exact = jaccard(hashes, other)
            if exact > best:
                best, best_id = exact, sample_id
        return best, best_id

    def _unit(self, embedding: Sequence[float], whose: str) -> npt.NDArray[np.float32]:
        vector = np.asarray(embedding, dtype=np.float32)
        norm = float(np.linalg.norm(vector))
        if not (np.isfinite(norm) and norm > 0):
            raise ValueError(f"embedding of {whose!r} has norm {norm}: give a vector that is not 0")
        width = None if self._embeddings is None else self._embeddings.filled.shape[1]
        if width not in (None, len(vector)):
            raise ValueError(
                f"embedding of {whose!r} has {len(vector)} dimensions, the others {width}: "
                "one dataset keeps to one embedding model"
            )
        return vector / np.float32(norm)

    def _closest(self, unit: npt.NDArray[np.float32]) -> tuple[float, str]:
        if self._embeddings is None:
            return FARTHEST, ""
        matrix = self._embeddings.filled
        cosines = np.concatenate(
            [
                matrix[start : start + _BLOCK].astype(np.float32) @ unit
                for start in range(0, len(matrix), _BLOCK)
            ]
        )
        index = int(cosines.argmax())
        return float(np.clip(1.0 - cosines[index], 0.0, FARTHEST)), self._embedded[index]
