import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.static_filters import (
    StaticLimits,
    clean_instruction,
    is_refusal,
    is_repetitive,
    is_request,
    static_reason,
    words,
)

EXAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "request_examples.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
TRACES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "repetition_examples.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
LIMITS = StaticLimits(min_words=4, max_words=60)


def test_requests_are_told_from_other_texts() -> None:
    asked = {example["text"] for example in EXAMPLES if example["request"]}
    other = {example["text"] for example in EXAMPLES if not example["request"]}
    said = {text for text in asked | other if is_request(text)}
    precision, recall = len(said & asked) / len(said), len(said & asked) / len(asked)
    print(f"requests: {len(asked)} and {len(other)} others,", end=" ")
    print(f"precision {precision:.3f}, recall {recall:.3f}; wrong: {said ^ asked}")
    assert len(asked) >= 80
    assert len(other) >= 60
    assert precision >= 0.9
    assert recall >= 0.9


@given(st.text(max_size=200))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert is_request(text) in (True, False)
    assert is_repetitive(text) in (True, False)
    assert is_refusal(text) in (True, False)
    assert len(words(text)) <= len(text) * 18  # one character can decompose into 18


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_words_of_plain_text_are_those_of_any_text(text: str) -> None:
    # One letter beyond ASCII, and every rule of Unicode is applied.
    assert [*words(text), "\u00e9"] == words(f"{text} \u00e9")


def plainly_repetitive(found: list[str]) -> bool:
    """Tell of at least 10 words in one line, by trying all there is, whether they run in a loop."""
    cycling = 0
    for start in range(len(found)):
        for cycle in range(1, 34):
            end = start + cycle
            while end < len(found) and found[end] == found[end - cycle]:
                end += 1
            cycling = max(cycling, end - start if end - start >= 3 * cycle else 0)
    if cycling >= 30 or (cycling >= 10 and 2 * cycling > len(found)):
        return True
    repeated = set[int]()
    for start in range(len(found) - 11):
        for before in range(max(0, start - 100), start):
            if found[before : before + 12] == found[start : start + 12]:
                repeated.update(range(start, start + 12))
    for first in {*range(0, max(1, len(found) - 99), 100), max(0, len(found) - 100)}:
        window = found[first : first + 100]
        if len(set(window)) < 0.15 * len(window):
            return True
        if sum(place in repeated for place in range(first, first + 100)) > 0.35 * len(window):
            return True
    return False


@given(st.integers(2, 40), st.integers(1, 40), st.integers(1, 4), st.integers(0, 60), st.randoms())
def test_a_loop_is_what_a_search_for_all_repeats_finds(
    vocabulary: int, cycle: int, rounds: int, more: int, rng: random.Random
) -> None:
    some = [str(rng.randrange(vocabulary)) for _ in range(10 + cycle + more)]
    found = some[:more] + some[more : more + cycle] * rounds + some[more + cycle :]
    assert is_repetitive(" ".join(found)) == plainly_repetitive(found)


@pytest.mark.parametrize(
    "text",
    ["a" + "." * 200_000 + "a", "?" * 200_000 + "a", "\u00ab" * 200_000, "```" + " \n" * 100_000],
)
def test_no_text_keeps_a_rule_busy_for_ever(text: str) -> None:
    # Quadratic patterns took 8 seconds on a tenth of these: with one the suite does not end.
    for rule in (words, is_request, is_repetitive, is_refusal, clean_instruction):
        rule(text)


def test_words_of_scripts_with_and_without_spaces() -> None:
    assert words("Don't PANIC, it's 3.5\u00a0km!") == ["don't", "panic", "it's", "3.5", "km"]
    assert words("\u5982\u4f55\u79cd\u8304\uff1f") == ["\u5982", "\u4f55", "\u79cd", "\u8304"]
    assert words("--- ... !") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("How do I keep a sourdough starter alive in winter?", ""),
        ("Write to anna.berg@example.org and ask her for the recipe.", "pii"),
        ("Why though?", "length"),
        ("Explain " + " ".join(f"thing{i} and" for i in range(40)), "length"),
        ("Explain the <persona> of a nurse to a child.", "prompt_leak"),
        ("Write a letter as {{ persona }} would write it.", "prompt_leak"),
        ("Explain how bees fly.<|im_end|>", "prompt_leak"),
        ("Explain how to bake and how to bake and how to bake and how to bake.", "repetitive"),
        ("The nurse checked the chart of every patient on the ward.", "not_a_request"),
    ],
)
def test_reasons_of_the_static_stage(text: str, reason: str) -> None:
    assert static_reason(text, LIMITS) == reason


def test_identifiers_pass_where_they_are_allowed() -> None:
    text = "Write to anna.berg@example.org and ask her for the recipe."
    assert static_reason(text, StaticLimits(4, 60, allow_pii=True)) == ""


def test_tags_of_other_languages_are_no_leak() -> None:
    text = "Why does my <style> element not apply to the second <div> of the page?"
    assert static_reason(text, LIMITS) == ""


PROSE = (
    "The old lighthouse keeper climbed the stairs each evening with a can of oil in one hand and a "
    "book in the other. From the gallery he could see the fishing boats return, and counted them "
    "as his father had done. When one was missing he lit the second lamp and waited, sometimes "
    "until the morning. Nobody paid him for the second lamp, but the village remembered it."
)


@pytest.mark.parametrize(
    "text",
    [
        "I like it very much. " * 6,
        "no no no no no no no no no no no",
        PROSE + " the sea and" * 40,
        PROSE + " and so it went on, and so it went on" * 12,
        "\n".join(["Check the oil level.", "Wash the car now."] * 6),
        "\u5f88\u597d\u5f88\u597d\u5f88\u597d\u5f88\u597d\u5f88\u597d\u5f88\u597d",
        "```\n" + "x = compute the value\n" * 12 + "```",
    ],
)
def test_loops_are_repetitive(text: str) -> None:
    assert is_repetitive(text)


def test_loops_are_told_from_traces_that_repeat_their_phrases() -> None:
    natural = {example["text"] for example in TRACES if not example["loop"]}
    loops = {example["text"] for example in TRACES if example["loop"]}
    said = {text for text in natural | loops if is_repetitive(text)}
    precision, recall = len(said & loops) / len(said), len(said & loops) / len(loops)
    print(f"loops: {len(loops)} and {len(natural)} natural texts,", end=" ")
    print(f"precision {precision:.3f}, recall {recall:.3f}; wrong: {said ^ loops}")
    assert len(natural) >= 40
    assert len(loops) >= 20
    # A legitimate trace that is thrown away is paid for; a loop that is kept has a low reward.
    assert precision == 1.0
    assert recall >= 0.9


@given(st.sampled_from(TRACES), st.integers(0, 3))
def test_a_trace_that_falls_into_a_loop_is_one(example: dict[str, str], cycle: int) -> None:
    tail = ("so", "so it is", "the answer is twelve", "we add one more and go on")[cycle]
    assert is_repetitive(f"{example['text']} {' '.join([tail] * (60 // len(tail.split())))}")


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "No, no, no!",
        "Compare the cost of a car in France and the cost of a car in Spain.",
        "Is it better to rent or to buy, and is it better to do so now or later?",
        "```sql\n"
        + "\n".join(f"INSERT INTO users VALUES ({i}, 'user {i}');" for i in range(9))
        + "\n```",
        "",
    ],
)
def test_natural_texts_are_not_repetitive(text: str) -> None:
    assert not is_repetitive(text)


def test_a_looping_end_is_found_behind_a_text_of_any_length() -> None:
    rng = random.Random(3)
    for length in range(0, 300, 10):
        start = [f"word{rng.randrange(2000)}" for _ in range(length)]
        assert not is_repetitive(" ".join(start))
        assert is_repetitive(" ".join(start + ["red", "green", "blue", "grey"] * 8)), length


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that request.",
        "I\u2019m sorry, but I cannot assist you with this.",
        "As an AI language model, I cannot provide medical advice.",
        "As an AI, I am not able to give legal advice about your case.",
        "I cannot fulfill this request.",
        "I'm unable to provide instructions for that.",
        "Unfortunately, I won't be able to do it, and I can't share the code either.",
        "I apologize, but I must decline to answer this.",
        "Thank you for asking. I can't create content of that kind.",
        "Sorry, I can't do that.",
        "I understand your frustration, but I will not write that letter.",
        "This request violates the rules that I follow.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Je suis d\u00e9sol\u00e9, mais je ne peux pas vous aider.",
        "\u5f88\u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u63d0\u4f9b\u8fd9\u4e9b\u4fe1\u606f\u3002",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that you can't sleep. Try a regular bedtime.",
        "Sorry for the delay! Here is the plan for your garden.",
        "I can't recommend this novel enough: it is funny and sad at once.",
        "I cannot help but admire the way the poem ends.",
        "Unfortunately, you cannot deduct these costs. What you can do is keep the receipts.",
        "Dear Sam, I'm sorry, but I can't help you move on Saturday. Best wishes, Kim",
        "You could say: \"I'm sorry, but I can't help with that,\" and offer another date.",
        "If the pump cannot provide enough pressure, check the filter first.",
        "A large language model can't answer every question; here is why.",
        "My advice: say no when you must. " + PROSE + " I can't help with that.",
        "",
    ],
)
def test_texts_that_only_look_like_refusals(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ('"How do bees fly?"', "How do bees fly?"),
        ("\u201cHow do bees fly?\u201d", "How do bees fly?"),
        ('"How do bees fly?', "How do bees fly?"),
        ('How do bees fly?"', "How do bees fly?"),
        ("Instruction: How do bees fly?", "How do bees fly?"),
        ("**Instruction:** How do bees fly?", "How do bees fly?"),
        ("### Request: How do bees fly?", "How do bees fly?"),
        ("Here is the instruction: How do bees fly?", "How do bees fly?"),
        ('Sure! Here\'s a request that Anna might make:\n\n"How do bees fly?"', "How do bees fly?"),
        ("```\nHow do bees fly?\n```", "How do bees fly?"),
        ("```text\nHow do bees fly?", "How do bees fly?"),
        ("Anna Berg: How do bees fly?", "How do bees fly?"),
        ("**Anna (nurse):** How do bees fly?", "How do bees fly?"),
        ('Question 1: "Anna: How do bees fly?"', "How do bees fly?"),
        ('Translate "bee" into French.', 'Translate "bee" into French.'),
        ('"Bee" and "wasp"', '"Bee" and "wasp"'),
        ('"Translate "bee" into French"', 'Translate "bee" into French'),
        ("Translate: the bees fly", "Translate: the bees fly"),
        ("Context: I keep bees.", "Context: I keep bees."),
        ("Here is my code: f(x). Can you fix it?", "Here is my code: f(x). Can you fix it?"),
        ("I'm stuck: how do bees fly?", "I'm stuck: how do bees fly?"),
        ("Fix ```f(x)``` and ```g(x)```", "Fix ```f(x)``` and ```g(x)```"),
        ("  ", ""),
    ],
)
def test_wrappers_come_off_and_nothing_else(raw: str, clean: str) -> None:
    assert clean_instruction(raw) == clean


PIECES = [
    *['"', "'", "\u201c", "\u201d", "```", "**", "\n", " ", "."],
    *["Request:", "Anna:", "Sure!", "Here is the task:"],
    *["How do bees fly?", "I keep bees.", "and th"],
]
WRAPPED = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(WRAPPED)
def test_a_clean_text_stays_as_it_is(raw: str) -> None:
    clean = clean_instruction(raw)
    assert clean_instruction(clean) == clean
    assert clean in raw
