"""Contamination: planted copies of benchmark items are found, and what only looks like one is not.

A copy differs from its item in case, punctuation, digits of another script, or in one word of ten.
A request that fills an item's template with other content is no copy, unless it quotes eight words
or fewer than one word in five differs: rules over words cannot tell these from copies, and they are
counted apart.
"""

import json
import random
import time
import tracemalloc
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering import contamination
from services.reward_filtering.benchmark_files import BenchmarkItem
from services.reward_filtering.contamination import ContaminationIndex, Overlap
from services.reward_filtering.ngrams import MAX_SHARING
from services.reward_filtering.static_filters import words
from services.runtime.errors import Rejected
from tests.unit.reward_filtering.planted_texts import (
    BENCHMARK,
    OTHER,
    PERSONAS,
    PLANTED,
    ZEROS,
    changed,
    texts,
)

DATA = Path(__file__).parents[2] / "data"
QUESTION = "How many loaves does the baker on the corner sell before noon on a rainy Monday?"


def index(*items: str) -> ContaminationIndex:
    return ContaminationIndex(
        BenchmarkItem("b.jsonl", line, item) for line, item in enumerate(items, 1)
    )


def unrelated() -> list[str]:
    """Return persona requests, and labelled texts, requests and others."""
    lines = (DATA / "request_examples.jsonl").read_text(encoding="utf-8").splitlines()
    requests = texts(PERSONAS, PLANTED, 40, seed=3) + texts(PERSONAS, OTHER, 40, seed=4)
    return requests + [json.loads(line)["text"] for line in lines]


def alike(first: list[str], second: list[str]) -> float:
    """Return the share of the longer text's words that the other holds as well."""
    common = (Counter(first) & Counter(second)).total()
    return common / max(len(first), len(second))


def hard_negatives(items: list[str]) -> tuple[list[str], list[str]]:
    """Return fillings of the items' templates with other content, and those too near to tell."""
    spelled = [words(item) for item in items]
    grams = {tuple(each[at : at + 8]) for each in spelled for at in range(len(each) - 7)}
    hard: list[str] = []
    unclear: list[str] = []
    for text in texts(BENCHMARK, OTHER, 10, seed=2):
        found = words(text)
        quotes = any(tuple(found[at : at + 8]) in grams for at in range(len(found) - 7))
        near = max(alike(found, each) for each in spelled) >= 0.8
        (unclear if quotes or near else hard).append(text)
    return hard, unclear


@pytest.mark.parametrize("each", [1, 10])
def test_changed_copies_are_found_and_other_content_is_not(each: int) -> None:
    items = texts(BENCHMARK, PLANTED, each, seed=1)
    listed = index(*items)
    hard, unclear = hard_negatives(items)
    easy = unrelated()
    false_hard = sum(map(listed.is_contaminated, hard))
    false_easy = sum(map(listed.is_contaminated, easy))
    taken = sum(map(listed.is_contaminated, unclear))
    found = defaultdict(list)
    # Sampled with one seed a size: a few dozen items of one filling each need more of them.
    for seed in range(max(1, 4 // each)):
        for kind, _, copy in changed(items, seed):
            found[kind].append(listed.is_contaminated(copy))
    print(f"\ncontamination: {len(items)} items; false: {false_hard} of {len(hard)} with the same ")
    print(f"  template, {false_easy} of {len(easy)} unrelated; too near to tell: {taken} of ")
    print(f"  {len(unclear)} taken")
    for kind, hits in found.items():
        # As if copies and requests with the same template were equally frequent.
        false = false_hard / len(hard) * len(hits) + false_easy / len(easy) * len(hits)
        recall, precision = sum(hits) / len(hits), sum(hits) / (sum(hits) + false)
        print(f"  {kind:16} {sum(hits):4} of {len(hits):4}: ", end="")
        print(f"recall {recall:.3f}, precision {precision:.3f}")
        assert recall >= 0.95
        assert precision >= 0.95
    assert len(hard) > 100
    assert len(easy) > 600
    assert false_easy / len(easy) <= 0.005


def test_a_copy_is_found_inside_of_a_request_and_named() -> None:
    items = texts(BENCHMARK, PLANTED, 10, seed=1)
    listed = index(*items)
    for line, item in enumerate(items, 1):
        before = "I'm a nurse from Lyon and my son asked me this last night at dinner."
        overlap = listed.overlap(f"{before} {item} Please answer in two simple sentences.")
        assert overlap.share == pytest.approx(1.0)
        named = items[int(overlap.item.removeprefix("b.jsonl:")) - 1]
        # Another item of the same few words may come first.
        assert overlap.item == f"b.jsonl:{line}" or set(words(named)) <= set(words(item))


def test_eight_words_in_order_are_an_overlap_and_seven_are_not() -> None:
    listed = index(QUESTION, "Why is the sky blue at noon but red in the evening?")
    found = words(QUESTION)
    quote = " ".join(found[4:12])
    overlap = listed.overlap(f"My sister says that {quote.upper()}, is she right?")
    assert overlap.item == "b.jsonl:1"
    assert 0.3 < overlap.share < contamination.MIN_SHARE
    assert not listed.is_contaminated(" ".join(found[4:11]))
    assert listed.overlap("something else entirely") == Overlap(0.0, "")


def test_short_items_must_stand_whole_and_the_shortest_alone() -> None:
    listed = index(
        "Explain photosynthesis to me today", "What should I do?", "Which planet is the largest?"
    )
    assert listed.is_contaminated("Hi! Explain photosynthesis to me today, please, as I bake.")
    assert not listed.is_contaminated("Explain the photosynthesis of moss to me today")
    assert listed.is_contaminated("what SHOULD I do!")
    assert not listed.is_contaminated(
        "Our roof leaks again. What should I do before the rain comes?"
    )
    assert listed.overlap("tell me which planet is the largest").item == "b.jsonl:3"


def test_a_phrase_that_many_items_share_names_none_of_them() -> None:
    phrase = "Which of the following statements is the best description of"
    topics = ["osmosis", "inflation", "the French revolution", "a prime ideal", "tort law"]
    few, many = (
        index(*(f"{phrase} {topic} {' '.join(topic[::-1])}?" for topic in topics[:count]))
        for count in (MAX_SHARING, len(topics))
    )
    request = f"{phrase} my new bakery in Porto, cosy or modern, and how would you put it?"
    assert few.is_contaminated(request)
    assert not many.is_contaminated(request)


def test_the_words_of_an_item_scattered_over_a_long_text_are_no_copy() -> None:
    listed = index(QUESTION)
    rng = random.Random(1)
    fill = [f"word{number}" for number in range(400)]
    scattered = list(fill)
    for at, word in zip(sorted(rng.sample(range(400), 16)), words(QUESTION), strict=True):
        scattered[at] = word
    assert not listed.is_contaminated(" ".join(scattered))
    together = words(QUESTION)
    rng.shuffle(together)
    assert listed.is_contaminated(" ".join(fill[:200] + together + fill[200:]))


def test_other_scripts_and_their_digits() -> None:
    listed = index(
        "小明有12个苹果,送给朋友5个,还剩几个?", "كم عدد الأيام في 12 شهرا من السنة الكبيسة؟"
    )
    assert (
        listed.overlap("小明有\uff11\uff12个苹果\uff0c送给朋友\uff15个\uff0c还剩几个").item
        == "b.jsonl:1"
    )
    assert listed.overlap("كم عدد الأيام في ١٢ شهرا من السنة الكبيسة").item == "b.jsonl:2"
    assert not listed.is_contaminated("如何在家里种植番茄\uff1f")


def test_equal_items_count_once_and_no_items_contaminate_nothing() -> None:
    assert len(index(QUESTION, QUESTION.upper(), "?!", "")) == 1
    empty = index()
    assert len(empty) == 0
    assert not empty.is_contaminated(QUESTION)
    assert not index(QUESTION).is_contaminated("")


def test_files_are_listed_together_and_errors_name_theirs(tmp_path: Path) -> None:
    first, second = tmp_path / "one.txt", tmp_path / "two.jsonl"
    first.write_text("Why is the sky blue at noon?\n")
    second.write_text(json.dumps({"question": QUESTION}) + "\n")
    listed = ContaminationIndex.from_files([first, second])
    assert listed.overlap(QUESTION).item == "two.jsonl:1"
    second.write_text('{"query": "Why?"}')
    with pytest.raises(Rejected, match=r"two.jsonl:1: has no field"):
        ContaminationIndex.from_files([first, second])


def test_too_many_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "MAX_WORDS", 20)
    with pytest.raises(Rejected, match=r"more than 20 words \(at b.jsonl:2\)"):
        index(QUESTION, QUESTION + " And why?")


WORD = st.sampled_from("the baker of corner sell noon rainy monday loaves how many twelve".split())
ITEM = st.lists(WORD, min_size=1, max_size=14).map(" ".join)


@given(st.lists(ITEM | st.text(max_size=20), max_size=6), st.text(max_size=20), st.data())
def test_every_item_contaminates_itself_and_any_text_gets_a_share(
    items: list[str], text: str, data: st.DataObject
) -> None:
    # Phrases that many of such like items share name none of them: a copy stands by its words.
    listed = index(*items)
    for each in (text, data.draw(ITEM)):
        overlap = listed.overlap(each)
        assert 0.0 <= overlap.share <= 1.0
        assert (overlap.share > 0.0) == bool(overlap.item)
    for item in items:
        found = words(item)
        if len(found) >= contamination.INFORMED_FROM:
            assert listed.overlap(item).share == pytest.approx(1.0)


def test_memory_and_time_of_an_index() -> None:
    rng = random.Random(5)
    # A few words make up most of a text, as in natural language (Zipf's law).
    vocabulary = [f"word{number}" for number in range(20_000)]
    shares = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    items = [" ".join(rng.choices(vocabulary, shares, k=40)) for _ in range(3000)]
    start = time.perf_counter()
    listed = index(*items)
    loading = time.perf_counter() - start
    asked = unrelated()[:200]
    start = time.perf_counter()
    for text in asked:
        listed.overlap(text)
    asking = (time.perf_counter() - start) / len(asked)
    tracemalloc.start()
    listed = index(*items[:1000])
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"\ncontamination: {kept / 1000:.0f} bytes an item of 40 words kept, ")
    print(f"  {peak / 1000:.0f} at most; {loading / 3 * 1e3:.0f} ms for 1,000 items; ")
    print(f"  {asking * 1e6:.0f} us a text at {len(items)} items")
    assert len(listed) == 1000
    assert kept / 1000 < 1000
    assert peak / 1000 < 8000
    assert listed.nbytes <= kept


@given(st.text(), st.sampled_from(ZEROS))
def test_the_script_of_digits_changes_no_word(text: str, zero: int) -> None:
    other = "".join(chr(zero + int(sign)) if sign in "0123456789" else sign for sign in text)
    assert words(other) == words(text)
