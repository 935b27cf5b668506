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


SHORT_TEXTS = st.lists(st.sampled_from(VOCABULARY[:8]), max_size=6).map(" ".join)
DIRECTIONS = st.integers(0, 5).map(lambda place: [math.cos(place), math.sin(place), 0.1])


@given(st.data())
def test_a_comparison_asked_again_answers_as_a_new_one_would(data: st.DataObject) -> None:
    accepted = NearDuplicates()
    asked, vector = data.draw(SHORT_TEXTS), data.draw(DIRECTIONS)
    comparison = accepted.compare(asked, vector)
    # More than are compared exactly: later ones push earlier ones out of the likely.
    for batch in data.draw(st.lists(st.integers(0, 30), max_size=4)):
        for _ in range(batch):
            accepted.add(str(len(accepted)), data.draw(SHORT_TEXTS), data.draw(DIRECTIONS))
        assert comparison.nearest() == accepted.nearest(asked, vector)
        assert comparison.nearest() == accepted.nearest(asked, vector)


def test_many_entries_between_two_looks_leave_the_answer_that_of_a_new_comparison() -> None:
    rng, generator = random.Random(8), np.random.default_rng(8)
    accepted = NearDuplicates()
    asked, vector = " ".join(sentence(rng, 20) + VOCABULARY[:10]), unit(generator, 384).tolist()
    comparison = accepted.compare(asked, vector)
    for index in range(1500):
        text = " ".join(sentence(rng, 20) + VOCABULARY[: index % 12])
        accepted.add(str(index), text, unit(generator, 384).tolist())
        if index % 400 == 7:
            assert comparison.nearest() == accepted.nearest(asked, vector)
    assert comparison.nearest() == accepted.nearest(asked, vector)


def test_a_comparison_is_added_as_its_text_would_be() -> None:
    one, two = NearDuplicates(), NearDuplicates()
    for index, text in enumerate(["one two three four", "five six seven", "one two three five"]):
        one.add(str(index), text, [1.0, float(index)])
        comparison = two.compare(text, [1.0, float(index)])
        comparison.nearest()
        for _ in range(2):
            comparison.add_as(str(index))
    assert len(one) == len(two) == 3
    assert one.nearest("one two three", [1.0, 1.0]) == two.nearest("one two three", [1.0, 1.0])


def test_of_equal_embeddings_the_first_is_named_wherever_they_stand() -> None:
    generator = np.random.default_rng(6)
    accepted = NearDuplicates()
    twice = unit(generator, 384).tolist()
    for index in range(1100):
        vector = twice if index in (700, 1099) else unit(generator, 384).tolist()
        accepted.add(str(index), f"text {index}", vector)
    assert accepted.nearest("another", twice).distance_id == "700"


def test_a_comparison_with_embeddings_of_another_length_is_refused_when_there_are_some() -> None:
    accepted = NearDuplicates()
    comparison = accepted.compare("one two three", [1.0, 0.0])
    accepted.add("a", "four five six", [1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="embedding of 'asked for' has 2 dimensions"):
        comparison.nearest()
    with pytest.raises(ValueError, match="embedding of 'b' has 2 dimensions"):
        comparison.add_as("b")
    assert len(accepted) == 1


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
    assert used < 1800
