"""Near duplicates of accepted instructions: by their words (MinHash), and by their meaning.

Texts are compared as sets of word 3-grams. A MinHash signature per text (A. Broder, "On the
resemblance and containment of documents", 1997) finds the few that may be alike, and their exact
Jaccard similarity is computed from stored shingles. Signatures are scanned, not hashed into bands:
that finds the nearest text at any similarity, which is recorded for later filtering with other
thresholds, and it costs less memory than the tables of an LSH index (4.9 KB an entry). The scan
of embeddings beside it is linear anyway.

One word replaced costs three shingles and two words exchanged cost six: a copy of a short text with
a few such changes keeps few of them. So texts are compared as sets of words as well, whose
signatures need a byte a hash value only (P. Li, A. Koenig, "b-bit minwise hashing",
arXiv 0910.3349).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.reward_filtering.minhash_sets import (
    MinHashSets,
    Rows,
    Signed,
    UInt32s,
    term_hashes,
)
from services.reward_filtering.static_filters import words

__all__ = [
    "FARTHEST",
    "MAX_WORDS",
    "NearDuplicates",
    "Nearness",
    "is_duplicate",
    "shingles",
]

SHINGLE = 3
"""Words of a shingle; a shorter text is one shingle."""

MAX_WORDS = 0.75
"""Jaccard similarity of sets of words from which a text is a copy with words moved or replaced. Of
planted copies it misses 1 in 60; the same template with other content stays below when a third of
the words differ."""

FARTHEST = 2.0
"""Distance when there is nothing to compare with: that of opposite vectors."""

_RECENT = 256
"""Texts whose signatures are at hand: as many as are between two looks."""

_BLOCK = 1024
"""Embeddings that are widened to floating point at a time."""

_SCALE = np.float32(32767)
"""Of the components of unit vectors, which are kept as 16-bit integers: widening them is ten times
as fast as with half precision, and they are more precise."""


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
    words: float
    """Jaccard similarity of sets of words to the most alike one, in [0, 1]."""
    words_id: str
    """Its sample id, or empty."""


def is_duplicate(
    nearness: Nearness,
    max_jaccard: float = 0.7,
    min_distance: float = 0.08,
    max_words: float | None = None,
) -> bool:
    """Tell whether a text is too near: Jaccard at or above, or distance at or below, its bound.

    Args:
        nearness: How near it is.
        max_jaccard: Bound for shingles.
        min_distance: Bound for embeddings.
        max_words: Bound for sets of words, `MAX_WORDS` for example; None: they do not count.
    """
    return (
        nearness.jaccard >= max_jaccard
        or nearness.distance <= min_distance
        or (max_words is not None and nearness.words >= max_words)
    )


def shingles(text: str) -> UInt32s:
    """Return the 32-bit hashes of a text's shingles, sorted and distinct."""
    return _shingles(words(text))


def _shingles(found: Sequence[str]) -> UInt32s:
    count = max(1, len(found) - SHINGLE + 1) if found else 0
    return term_hashes(" ".join(found[start : start + SHINGLE]) for start in range(count))


class NearDuplicates:
    """Accepted instructions, to hold new ones against.

    An entry takes 1.9 to 2.2 KB: 320 bytes of signatures, 768 of a 384-dimensional embedding in
    16 bits a component (which moves a distance by less than 0.001), 8 for each word, its id, and
    room to grow; the signatures of the last `_RECENT` texts asked for are kept beside. Equal
    sequences of `add` give equal answers; of equally near entries the first one added is named.
    """

    def __init__(self, seed: int = 1) -> None:
        self._ids: dict[str, None] = {}
        self._shingles = MinHashSets(seed, np.uint32)
        self._words = MinHashSets(seed, np.uint8)
        # A candidate is looked at before and after its answers, and then added: signed once.
        self._signed = lru_cache(_RECENT)(self._signatures)
        self._embedded: list[str] = []
        self._embeddings: Rows[np.int16] | None = None

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
        by_shingles, by_words = self._signed(text)
        self._shingles.add(sample_id, by_shingles)
        self._words.add(sample_id, by_words)
        if unit is not None:
            if self._embeddings is None:
                self._embeddings = Rows(len(unit), np.int16)
            self._embedded.append(sample_id)
            self._embeddings.append(np.rint(unit * _SCALE).astype(np.int16))

    def nearest(self, text: str, embedding: Sequence[float] | None = None) -> Nearness:
        """Return how near a text is to what was added.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        by_shingles, by_words = self._signed(text)
        distance, distance_id = FARTHEST, ""
        if embedding is not None:
            distance, distance_id = self._closest(self._unit(embedding, "asked for"))
        return Nearness(
            *self._shingles.most_similar(by_shingles),
            distance,
            distance_id,
            *self._words.most_similar(by_words),
        )

    def _signatures(self, text: str) -> tuple[Signed[np.uint32], Signed[np.uint8]]:
        found = words(text)
        return self._shingles.signed(_shingles(found)), self._words.signed(term_hashes(found))

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
        matrix, scaled = self._embeddings.filled, unit / _SCALE
        cosines = np.concatenate(
            [
                matrix[start : start + _BLOCK].astype(np.float32) @ scaled
                for start in range(0, len(matrix), _BLOCK)
            ]
        )
        index = int(cosines.argmax())
        return float(np.clip(1.0 - cosines[index], 0.0, FARTHEST)), self._embedded[index]
