"""Contamination: does an instruction repeat an item of a benchmark?

Two rules, over words in their normal form (`static_filters.words`), either of which suffices.

*Shared 8-gram.* Eight words of an item stand in the text, in order and with nothing between them.
Items of 5 to 7 words must stand there whole, shorter ones must be the text. An n-gram that more
than `MAX_SHARING` items hold is the benchmark's own phrase ("which of the following is the most")
and names no item: it does not count (T. Brown et al., arXiv 2005.14165, appendix C, takes 10).

*Shared information.* In a window of the text about as long as the item stand words that carry
`MIN_SHARE` of the item's information, in any order: the sum of their inverse document frequencies
log(1 + N / n), N items of which n hold the word. It finds copies with words exchanged or replaced,
which leave no 8-gram of a short item, and is blind to the words that a template's fillings share.
Candidates come from an exact prefix filter (R. Bayardo et al., "Scaling up all pairs similarity
search", 2007): an item is listed under its rarest words only, of which a text that reaches
`MIN_SHARE` must hold one.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.reward_filtering.benchmark_files import BenchmarkItem, read_benchmark
from services.reward_filtering.ngrams import NgramTable, run_starts, word_hash
from services.reward_filtering.static_filters import words
from services.runtime.errors import Rejected

MIN_SHARE = 0.8
"""Share of an item's information that makes a text a copy of it. Measured on planted copies and on
the items' templates with other content: from 0.75 down such templates pass for copies, at 0.85
copies with one word in ten replaced are missed."""

INFORMED_FROM = 6
"""Words from which an item is looked for by its information."""

WINDOW = 1.25
"""Words of the window for each word of the item."""

MAX_WORDS = 10_000_000
"""Words of an index, repeated ones included: a quarter of a million items of 40 words each. They
take 0.15 GB, and 1.2 GB while the index is built."""

_Ints = npt.NDArray[np.int64]
_UInt64s = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a text has in common with the benchmark item that it repeats."""

    share: float
    """Share of the item's information that stands in one window of the text, in [0, 1]; 0 when the
    text repeats no item, and low where it holds an 8-gram of a long item."""
    item: str
    """The item, as `file:line`; empty when the text repeats none."""


class ContaminationIndex:
    """Benchmark items, to hold texts against. Equal items in equal order give equal answers.

    An item of 40 words takes 0.6 to 0.8 KB, and 5 KB while the index is built.
    """

    def __init__(self, items: Iterable[BenchmarkItem]) -> None:
        """Index the items; those that are equal in normal form count once.

        Raises:
            Rejected: they are more than `MAX_WORDS` words together.
        """
        hash_of: dict[str, int] = {}
        seen: set[tuple[int, int]] = set()
        flat, sizes, files, lines = array("Q"), array("I"), array("I"), array("I")
        names: dict[str, int] = {}
        for item in items:
            found = words(item.text)
            hashes = array("Q")
            for word in found:
                if word not in hash_of:
                    hash_of[word] = word_hash(word)
                hashes.append(hash_of[word])
            if not hashes:
                continue
            whole = (len(hashes), hash(hashes.tobytes()))
            if whole in seen:
                continue
            seen.add(whole)
            flat.extend(hashes)
            sizes.append(len(hashes))
            files.append(names.setdefault(item.file, len(names)))
            lines.append(item.line)
            if len(flat) > MAX_WORDS:
                raise Rejected(
                    f"benchmark items of more than {MAX_WORDS:,} words (at {item.file}:"
                    f"{item.line}): list fewer or shorter files"
                )
        self._names = list(names)
        self._files = np.frombuffer(files, dtype=np.uint32) if files else np.empty(0, np.uint32)
        self._lines = np.frombuffer(lines, dtype=np.uint32) if lines else np.empty(0, np.uint32)
        self._sizes = np.frombuffer(sizes, dtype=np.uint32) if sizes else np.empty(0, np.uint32)
        words_of_all = np.frombuffer(flat, dtype=np.uint64) if flat else np.empty(0, np.uint64)
        self._ngrams = NgramTable(words_of_all, self._sizes)
        self._index_words(words_of_all)

    @classmethod
    def from_files(cls, paths: Sequence[Path]) -> "ContaminationIndex":
        """Index the items of benchmark files.

        Raises:
            Rejected: as `read_benchmark` does, or they are too many.
        """
        return cls(item for path in paths for item in read_benchmark(path))

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def nbytes(self) -> int:
        """Bytes that the index takes."""
        own = sum(each.nbytes for each in vars(self).values() if isinstance(each, np.ndarray))
        return own + self._ngrams.nbytes

    def _index_words(self, flat: _UInt64s) -> None:
        self._vocabulary, place = np.unique(flat, return_inverse=True)
        owner = np.repeat(np.arange(len(self), dtype=np.int64), self._sizes)
        pairs = np.unique((owner << 32) | place)
        owner, word = pairs >> 32, pairs & 0xFFFFFFFF
        held = np.bincount(word, minlength=len(self._vocabulary))
        self._weights = np.log1p(len(self) / np.maximum(held, 1)).astype(np.float32)
        weight = self._weights[word]
        order = np.lexsort((-weight, owner))
        owner, word, weight = owner[order], word[order], weight[order].astype(np.float64)
        self._item_words = word.astype(np.uint32)
        self._item_starts = run_starts(np.bincount(owner, minlength=len(self)))
        running = np.concatenate([[0.0], np.cumsum(weight)])
        self._totals = (running[self._item_starts[1:]] - running[self._item_starts[:-1]]).astype(
            np.float32
        )
        before = running[:-1] - running[self._item_starts[owner]]
        # All of the words before it missing, the rest can still reach MIN_SHARE.
        listed = before <= (1 - MIN_SHARE) * self._totals[owner] + 1e-3
        listed &= self._sizes[owner] >= INFORMED_FROM
        owner, word = owner[listed], word[listed]
        order = np.argsort(word, kind="stable")
        self._listed = owner[order].astype(np.uint32)
        self._listed_starts = run_starts(np.bincount(word, minlength=len(self._vocabulary)))

    def overlap(self, text: str) -> Overlap:
        """Return the item that the text repeats most of, if it repeats one."""
        hashes = np.array([word_hash(word) for word in words(text)], dtype=np.uint64)
        if not len(hashes) or not len(self):
            return Overlap(0.0, "")
        at = np.searchsorted(self._vocabulary, hashes)
        at[at == len(self._vocabulary)] = 0
        places = np.where(self._vocabulary[at] == hashes, at, -1)
        quoted = self._ngrams.items(hashes)
        informed = self._informed(places[places >= 0])
        best = Overlap(0.0, "")
        for item in sorted(quoted | informed):
            share = self._share(places, item)
            if (share > best.share or not best.item) and (item in quoted or share >= MIN_SHARE):
                best = Overlap(share, f"{self._names[self._files[item]]}:{self._lines[item]}")
        return best

    def is_contaminated(self, text: str) -> bool:
        """Tell whether the text repeats an item."""
        return bool(self.overlap(text).item)

    def _informed(self, present: _Ints) -> set[int]:
        """Return items of which `MIN_SHARE` stands somewhere in a text of these words."""
        if not len(present):
            return set()
        distinct = np.unique(present)
        lists = [
            self._listed[self._listed_starts[word] : self._listed_starts[word + 1]]
            for word in distinct
        ]
        items = np.unique(np.concatenate(lists))
        if not len(items):
            return set()
        held = np.zeros(len(self._vocabulary), dtype=np.float32)
        held[distinct] = self._weights[distinct]
        sizes = self._item_starts[items + np.uint32(1)] - self._item_starts[items]
        begins = run_starts(sizes)[:-1]
        offsets = np.arange(int(sizes.sum())) + np.repeat(self._item_starts[items] - begins, sizes)
        shares = np.add.reduceat(held[self._item_words[offsets]], begins) / self._totals[items]
        return set(items[shares >= MIN_SHARE].tolist())

    def _share(self, places: _Ints, item: int) -> float:
        """Return how much of an item's information stands in the best window of a text."""
        begin, end = self._item_starts[item], self._item_starts[item + 1]
        weight = dict(
            zip(
                self._item_words[begin:end].tolist(),
                self._weights[self._item_words[begin:end]].tolist(),
                strict=True,
            )
        )
        width = int(WINDOW * self._sizes[item]) + 1
        hits = [(at, word) for at, word in enumerate(places.tolist()) if word in weight]
        inside: Counter[int] = Counter()
        first = 0
        held = best_held = 0.0
        for at, word in hits:
            held += weight[word] if not inside[word] else 0.0
            inside[word] += 1
            while hits[first][0] <= at - width:
                gone = hits[first][1]
                inside[gone] -= 1
                held -= weight[gone] if not inside[gone] else 0.0
                first += 1
            best_held = max(best_held, held)
        return min(1.0, best_held / float(self._totals[item]))


def benchmark_index(paths: Iterable[str | Path]) -> ContaminationIndex | None:
    """Return the index of benchmark files; None when none is named.

    Raises:
        Rejected: a file cannot be read as one; the message names it, and the line.
    """
    files = [Path(str(path).strip()) for path in paths if str(path).strip()]
    return ContaminationIndex.from_files(files) if files else None
