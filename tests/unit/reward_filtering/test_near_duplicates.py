import math
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.reward_filtering.minhash_sets import jaccards
from services.reward_filtering.near_duplicates import (
    FARTHEST,
    NearDuplicates,
    is_duplicate,
    shingles,
)

VOCABULARY = [f"{first}{second}" for first in "abcdefghij" for second in "klmnopqrstuvwxyz"]


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    a, b = set(first.tolist()), set(second.tolist())
    return len(a & b) / len(a | b)


def sentence(rng: random.Random, length: int) -> list[str]:
    return [rng.choice(VOCABULARY) for _ in range(length)]


def unit(rng: np.random.Generator, dimensions: int = 32) -> np.ndarray:
    vector = rng.normal(size=dimensions)
    return vector / np.linalg.norm(vector)


def test_case_punctuation_and_compatibility_forms_do_not_hide_a_copy() -> None:
    accepted = NearDuplicates()
    accepted.add("a", "How do I keep my sourdough starter alive in winter?")
    for copy in (
        "HOW DO I KEEP MY SOURDOUGH STARTER ALIVE IN WINTER",
        "How do I keep - my sourdough 'starter' alive, in winter?!",
        "\uff28ow do I keep my  sourdough\nstarter alive in winter\uff1f",
    ):
        near = accepted.nearest(copy)
        assert (near.jaccard, near.jaccard_id) == (1.0, "a")
        assert is_duplicate(near)


def test_planted_word_swaps_are_found_and_nothing_else_is() -> None:
    rng = random.Random(5)
    accepted = NearDuplicates()
    texts = [sentence(rng, rng.randint(20, 60)) for _ in range(400)]
    for index, text in enumerate(texts):
        accepted.add(str(index), " ".join(text))
    found = planted = false = 0
    for index, text in enumerate(texts):
        changed = list(text)
        for _ in range(rng.randint(0, 3)):
            changed[rng.randrange(len(changed))] = rng.choice(VOCABULARY)
        copy = " ".join(changed).title() + "!"
        truth = jaccard(shingles(copy), shingles(" ".join(text))) >= 0.7
        near = accepted.nearest(copy)
        said = is_duplicate(near)
        planted += truth
        found += said and truth and near.jaccard_id == str(index)
        false += said and not truth
    fresh = [accepted.nearest(" ".join(sentence(rng, 30))) for _ in range(200)]
    false += sum(map(is_duplicate, fresh))
    print(f"near duplicates: {planted} planted, recall {found / planted:.3f}, {false} false")
    assert 100 < planted < 400
    assert found / planted >= 0.98
    assert false == 0


@given(st.lists(st.sampled_from(VOCABULARY[:12]), min_size=0, max_size=12))
def test_a_text_is_most_similar_to_itself(text: list[str]) -> None:
    accepted = NearDuplicates()
    accepted.add("other", "quite another text about bread")
    accepted.add("same", " ".join(text))
    near = accepted.nearest(" ".join(text))
    assert near.jaccard == (1.0 if text else 0.0)
    assert near.jaccard_id == ("same" if text else "")


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1, max_size=9))
def test_similarities_to_many_are_the_shares_of_common_shingles(one: str, many: list[str]) -> None:
    others = [found for text in many if (found := shingles(text)).size]
    assume(shingles(one).size and others)
    expected = [jaccard(shingles(one), other) for other in others]
    assert jaccards(shingles(one), others).tolist() == expected


def test_short_texts_are_compared_as_a_whole() -> None:
    accepted = NearDuplicates()
    accepted.add("a", "Bake bread")
    assert accepted.nearest("bake bread!").jaccard == 1.0
    assert accepted.nearest("bake cake").jaccard == 0.0


def test_the_distance_is_one_minus_cosine_to_the_nearest() -> None:
    rng = np.random.default_rng(3)
    vectors = [unit(rng) for _ in range(50)]
    accepted = NearDuplicates()
    for index, vector in enumerate(vectors):
        accepted.add(str(index), f"text number {index} of these", (vector * 7).tolist())
    for _ in range(20):
        query = unit(rng)
        distances = [1 - float(query @ vector) for vector in vectors]
        near = accepted.nearest("nothing alike", query.tolist())
        assert near.distance == pytest.approx(min(distances), abs=1e-3)
        assert near.distance_id == str(int(np.argmin(distances)))


def test_the_bounds_belong_to_the_duplicates() -> None:
    rng = np.random.default_rng(4)
    vector = unit(rng)
    accepted = NearDuplicates()
    accepted.add("a", "some accepted text with words", vector.tolist())
    close = vector + 0.25 * unit(rng)
    near = accepted.nearest("entirely different content here today", close.tolist())
    assert 0.0 < near.distance < FARTHEST
    assert is_duplicate(near, max_jaccard=0.7, min_distance=near.distance)
    assert not is_duplicate(near, max_jaccard=0.7, min_distance=math.nextafter(near.distance, 0))
    assert is_duplicate(near, max_jaccard=near.jaccard, min_distance=0.0)


def test_nothing_is_near_when_nothing_was_added() -> None:
    near = NearDuplicates().nearest("any text", [1.0, 0.0])
    assert (near.jaccard, near.jaccard_id) == (0.0, "")
    assert (near.distance, near.distance_id) == (FARTHEST, "")
    assert not is_duplicate(near)


def test_entries_without_embeddings_are_compared_by_words_only() -> None:
    accepted = NearDuplicates()
    accepted.add("words", "one two three four")
    accepted.add("both", "five six seven eight", [0.0, 1.0])
    near = accepted.nearest("one two three four", [0.0, 1.0])
    assert (near.jaccard_id, near.distance_id) == ("words", "both")


def test_a_repeat_changes_nothing() -> None:
    accepted = NearDuplicates()
    for _ in range(2):
        accepted.add("a", "one two three four", [1.0, 0.0])
    assert len(accepted) == 1
    assert accepted.nearest("one two three four", [1.0, 0.0]).distance_id == "a"


def test_equal_sequences_give_equal_answers_and_the_first_of_equals() -> None:
    rng = random.Random(1)
    texts = [" ".join(sentence(rng, 12)) for _ in range(60)]
    one, two = NearDuplicates(), NearDuplicates()
    for store in (one, two):
        for index, text in enumerate(texts + texts):
            store.add(str(index), text, [1.0, float(index % 60)])
    for index, text in enumerate(texts):
        near = one.nearest(text, [1.0, float(index)])
        assert near == two.nearest(text, [1.0, float(index)])
        assert near.jaccard_id == str(index)


@pytest.mark.parametrize("bad", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0], [1.0, 2.0, 3.0]])
def test_embeddings_that_cannot_be_compared_are_refused(bad: list[float]) -> None:
    accepted = NearDuplicates()
    accepted.add("a", "one two three", [1.0, 0.0])
    with pytest.raises(ValueError, match="embedding of 'b'"):
        accepted.add("b", "four five six", bad)
    assert len(accepted) == 1
    with pytest.raises(ValueError, match="embedding of 'asked for'"):
        accepted.nearest("four five six", bad)


def test_memory_of_an_entry() -> None:
    rng = random.Random(2)
    generator = np.random.default_rng(2)
    count = 2400
    entries = [
        (str(index), " ".join(sentence(rng, 40)), generator.normal(size=384).tolist())
        for index in range(count)
    ]
    tracemalloc.start()
    accepted = NearDuplicates()
    for entry in entries:
        accepted.add(*entry)
    used = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    print(f"near duplicates: {used:.0f} bytes an entry")
    assert used < 2000
