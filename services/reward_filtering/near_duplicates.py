"""Near duplicates of accepted instructions: by their words (MinHash), and by their meaning.

Texts are compared as sets of word 3-grams. A MinHash signature per text (A. Broder, "On the
resemblance and containment of documents", 1997) finds the few that may be alike, and their exact
Jaccard similarity is computed from stored shingles. Signatures are scanned, not hashed into bands:
that finds the nearest text at any similarity, which is recorded for later filtering with other
thresholds, and it costs less memory than the tables of an LSH index (4.9 KB an entry). The scan
of embeddings beside it is linear anyway. The values of signatures keep the 16 bits that tell them
apart (P. Li, A. Koenig, "b-bit minwise hashing", arXiv 0910.3349).

One word replaced costs three shingles and two words exchanged cost six: a copy of a short text with
a few such changes keeps few of them. So texts are compared as sets of words as well, whose
signatures need a byte a hash value only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.reward_filtering.minhash_sets import MinHashSets, UInt32s, term_hashes
from services.reward_filtering.static_filters import words
from services.reward_filtering.unit_vectors import FARTHEST, UnitVectors, VectorSearch

__all__ = [
    "FARTHEST",
    "MAX_WORDS",
    "Comparison",
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


class Comparison:
    """A text that is held against what was accepted, as often as it is asked.

    Each time it looks at what was added since: the answer is that of a comparison made anew.
    """

    def __init__(self, entries: "NearDuplicates", text: str, vector: VectorSearch | None) -> None:
        found = words(text)
        self._entries = entries
        self._shingles = entries.shingles.search(_shingles(found))
        self._words = entries.words.search(term_hashes(found))
        self._vector = vector

    def nearest(self) -> Nearness:
        """Return how near the text is to what was added.

        Raises:
            ValueError: its embedding is not as long as the others.
        """
        vector, entries = self._vector, self._entries
        return Nearness(
            *entries.shingles.most_similar(self._shingles),
            *((FARTHEST, "") if vector is None else entries.vectors.nearest(vector)),
            *entries.words.most_similar(self._words),
        )

    def add_as(self, sample_id: str) -> None:
        """Remember the text as accepted; an id that is remembered already changes nothing.

        Raises:
            ValueError: its embedding is not as long as the others.
        """
        entries = self._entries
        if sample_id in entries.ids:
            return
        if self._vector is not None:
            entries.vectors.add(sample_id, self._vector)
        entries.ids.add(sample_id)
        entries.shingles.add(sample_id, self._shingles)
        entries.words.add(sample_id, self._words)


class NearDuplicates:
    """Accepted instructions, to hold new ones against.

    An entry takes 1.7 to 2.0 KB: 192 bytes of signatures, 768 of a 384-dimensional embedding in
    16 bits a component (which moves a distance by less than 0.001), 8 for each word, its id, and
    room to grow. Equal sequences of `add` give equal answers; of equally near entries the first
    one added is named.
    """

    def __init__(self, seed: int = 1) -> None:
        self.ids: set[str] = set()
        self.shingles = MinHashSets(seed, np.uint16)
        self.words = MinHashSets(seed, np.uint8)
        self.vectors = UnitVectors()

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, sample_id: str, text: str, embedding: Sequence[float] | None = None) -> None:
        """Remember an accepted instruction; one that is remembered already changes nothing.

        Args:
            sample_id: Names it in answers.
            text: The instruction.
            embedding: Its embedding, of any norm but 0; None: it is compared by its words only.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        if sample_id not in self.ids:
            self.compare(text, embedding, sample_id).add_as(sample_id)

    def nearest(self, text: str, embedding: Sequence[float] | None = None) -> Nearness:
        """Return how near a text is to what was added.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        return self.compare(text, embedding).nearest()

    def compare(
        self, text: str, embedding: Sequence[float] | None = None, whose: str = "asked for"
    ) -> Comparison:
        """Return the comparison of a text with what was added, and what is going to be.

        Args:
            text: The instruction.
            embedding: Its embedding, of any norm but 0; None: it is compared by its words only.
            whose: Names the embedding in errors.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        vector = None if embedding is None else self.vectors.search(embedding, whose)
        return Comparison(self, text, vector)
