"""N-grams of words that stand in several items: a table of 64-bit hashes.

An item of eight words or more is known by each of its 8-grams, a shorter one as a whole.
"""

import hashlib

import numpy as np
import numpy.typing as npt

GRAM = 8
"""Words of an n-gram."""

WHOLE_FROM = 5
"""Words from which an item shorter than `GRAM` is looked for inside of texts; a shorter one must be
the text. Of 30 everyday phrases as items ("What should I do"), those of 4 words stand in 160 of
2,027 texts that repeat nothing, those of 5 in none."""

MAX_SHARING = 3
"""Items that may share an n-gram; one that more share is a phrase of theirs and tells nothing."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd multiplier of the polynomial hash of n-grams (2^64 over the golden ratio)."""

_Ints = npt.NDArray[np.int64]
_UInt32s = npt.NDArray[np.uint32]
_UInt64s = npt.NDArray[np.uint64]


def word_hash(word: str) -> int:
    """Return the 64-bit hash of a word."""
    # A text out of JSON may hold lone surrogates.
    encoded = word.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")


def run_starts(sizes: npt.NDArray[np.integer]) -> _Ints:
    """Return where each of several runs starts in their concatenation, and where the last ends."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _ngrams(hashes: _UInt64s, length: int) -> _UInt64s:
    """Return the hashes of all n-grams of a length, by the place of their first word."""
    count = max(0, len(hashes) - length + 1)
    # The length goes in: an item of five words is no part of one of eight.
    grams = np.full(count, length, dtype=np.uint64)
    for offset in range(length):
        grams = grams * _FACTOR + hashes[offset : offset + count]
    return grams


class NgramTable:
    """The n-grams of items that few of them share, each with the first item that holds it."""

    def __init__(self, flat: _UInt64s, sizes: _UInt32s) -> None:
        """Index the items.

        Args:
            flat: `word_hash` of the words of all items, one item behind the other.
            sizes: How many words each item has, at least one.
        """
        owner = np.repeat(np.arange(len(sizes)), sizes)
        starts = run_starts(sizes)
        lengths = np.minimum(sizes, GRAM).astype(np.int64)
        self._lengths = [int(length) for length in np.unique(lengths)]
        grams, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for length in self._lengths:
            of_length = _ngrams(flat, length)
            place = np.arange(len(of_length))
            owned = owner[: len(of_length)]
            inside = (lengths[owned] == length) & (place + length <= starts[owned + 1])
            grams.append(of_length[inside])
            owners.append(owned[inside])
        gram, item = np.concatenate(grams), np.concatenate(owners)
        order = np.lexsort((item, gram))
        gram, item = gram[order], item[order]
        first = np.ones(len(gram), dtype=bool)
        first[1:] = (gram[1:] != gram[:-1]) | (item[1:] != item[:-1])
        distinct, place, sharing = np.unique(gram[first], return_index=True, return_counts=True)
        kept = sharing <= MAX_SHARING
        self._grams = distinct[kept]
        self._items = item[first][place][kept].astype(np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes that the table takes."""
        return self._grams.nbytes + self._items.nbytes

    def items(self, hashes: _UInt64s) -> set[int]:
        """Return items of which an n-gram stands in a text of these words."""
        found: set[int] = set()
        if not len(self._grams):
            return found
        for length in self._lengths:
            if length < WHOLE_FROM and length != len(hashes):
                continue
            grams = _ngrams(hashes, length)
            at = np.searchsorted(self._grams, grams)
            at[at == len(self._grams)] = 0
            found.update(self._items[at[self._grams[at] == grams]].tolist())
        return found
