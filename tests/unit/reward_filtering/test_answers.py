import json
import threading
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.reward_filtering.answers import (
    MAX_ANSWER_CHARS,
    majority,
    normalised,
    same_answer,
)

PAIRS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "answer_pairs.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def test_answers_that_say_the_same_are_told_from_others() -> None:
    wrong = [pair for pair in PAIRS if same_answer(pair["a"], pair["b"]) != pair["same"]]
    false_equal = [pair for pair in wrong if not pair["same"]]
    print(f"answer pairs: {len(PAIRS)}, wrong: {[(pair['a'], pair['b']) for pair in wrong]}")
    assert len(PAIRS) >= 260
    assert not false_equal
    assert len(wrong) <= 0.05 * len(PAIRS)


@pytest.mark.parametrize(
    ("answer", "canonical"),
    [
        ("1,000.50", "1000.5"),
        (r"\(-\frac{4}{6}\)", "-2/3"),
        ("1.234,5 kg", "1234.5 kg"),
        ("1,234", "1234"),
        ("1.234", "1.234"),
        ("1 h 30 min", "90 min"),
        ("1h30m", "90 min"),
        ("12 Apples", "12 apple"),
        ("$5.00", "5 USD"),
        ("25 %", "25%"),
        ("12:05 AM", "00:05"),
        ("March 1st, 2024", "1 march 2024"),
        ("(d)", "D"),
        ("D) 5 kilometres", "(D) 5 km"),
        ("Yes, since 7 is prime.", "yes"),
        ("x = 2 or x = -2", "{2, -2}"),
        ("The  Red House!", "red house"),
        ("\u0939\u093e\u0901\u0964", "\u0939\u093e\u0901"),
        ("...", ""),
        ("", ""),
    ],
)
def test_canonical_forms(answer: str, canonical: str) -> None:
    assert normalised(answer) == canonical


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("25:00", "1:00 am"),
        ("13 pm", "13:00"),
        ("2/0", "0"),
        ("No. 5", "no"),
        ("at least 5", "5"),
        ("5 or more", "5"),
        ("5 to 7", "5"),
        ("not 5", "5"),
        ("E. coli", "E"),
        ("A. Smith", "A. Jones"),
        ("x^2 + y^2 = 4", "4"),
        ("1e9999", "1e99999"),
        ("C++", "C"),
        ("-x", "x"),
        ("1/2/3", "1/2"),
        ("5 km north", "5 km south"),
    ],
)
def test_what_only_looks_alike_is_not_the_same(a: str, b: str) -> None:
    assert not same_answer(a, b)


PIECES = st.sampled_from(
    [
        *["1,000", "1.5", "-3", "1/2", "\u00bd", "10^5", "1e3", "7", "twelve", "million", "%", "$"],
        *["km", "hours", " 30 min", "apples", "pm", "3:30", "(B)", "b)", "option ", "A. ", "Yes, "],
        *["no", "x = ", " or ", " and ", ", ", "the ", "The answer is ", "about ", ".", '"', "**"],
        *[
            "\\frac{",
            "}{",
            "}",
            "\\text{",
            "\\boxed{",
            "\\sqrt{",
            "\\{",
            "\\}",
            "^{",
            "\\",
            "(",
            ")",
        ],
        *["\u6771\u4eac", "\u0627", "\u00b2", "\u00b0C", "\u2248", "-", "+", "*", "/", " ", "\n"],
        *["\u00a3", " per ", "week", "dollars", "cents", "March ", "12", "true", "~", "of", "'"],
    ]
)
ANSWERS = st.one_of(st.lists(PIECES, max_size=8).map("".join), st.text(max_size=30))


@given(ANSWERS)
@example('"""5"""')
@example("\u00bd\u00bd")
def test_a_canonical_form_is_its_own_and_says_the_same(answer: str) -> None:
    canonical = normalised(answer)
    assert normalised(canonical) == canonical
    assert same_answer(answer, answer)
    assert same_answer(answer, canonical)


@given(ANSWERS, ANSWERS)
def test_being_the_same_has_no_direction(a: str, b: str) -> None:
    assert same_answer(a, b) == same_answer(b, a)


def grouped(value: int, sign: str) -> str:
    return f"{value:,}".replace(",", sign)


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_is_itself_in_every_way_of_writing_it(value: int) -> None:
    ways = [
        *[f"{value}.0", f"{value:+}", f"**{value}**", f"${value}$", f"\\boxed{{{value}}}"],
        *[grouped(value, sign) for sign in (",", " ", "\u202f", "'", "{,}", "\\,", "\u00a0")],
        *[f"{value}e0", f"{value} \\times 10^{{0}}", f"x = {value}", f"The answer is {value}."],
        *[f"\\frac{{{2 * value}}}{{2}}", f"{3 * value}/3", f"about {value}", f"{value / 1:.1f}"],
        str(value).translate({48 + digit: 0x0660 + digit for digit in range(10)}),
        str(value).replace("-", "\u2212"),
    ]
    for way in ways:
        assert same_answer(way, str(value)), way
        assert not same_answer(way, str(value + 1)), way


@settings(deadline=None)
@given(st.fractions(max_denominator=500))
def test_a_fraction_is_itself_in_every_way_of_writing_it(value: Fraction) -> None:
    top, bottom = value.numerator, value.denominator
    whole, part = divmod(abs(top), bottom)
    sign = "-" if top < 0 else ""
    ways = [
        f"{top}/{bottom}",
        f"\\frac{{{top}}}{{{bottom}}}",
        f"\\dfrac{{{3 * top}}}{{{3 * bottom}}}",
    ]
    if whole < 10**6:
        ways.append(f"{sign}{whole} {part}/{bottom}")
    for way in ways:
        assert normalised(way) == normalised(ways[0]), way


@settings(deadline=None)
@given(st.decimals(-(10**6), 10**6, places=2), st.sampled_from(["$", "\u20ac", "\u00a3", "US$"]))
def test_a_sum_of_money_is_itself_in_every_way_of_writing_it(value: object, sign: str) -> None:
    amount = f"{value:,}"
    european = amount.translate({44: ".", 46: ","})
    name = {"\u20ac": "euros", "\u00a3": "pounds"}.get(sign, "dollars")
    for way in (f"{sign}{amount}", f"{amount} {sign}", f"{european} {name}", f"{sign} {european}"):
        assert same_answer(way, f"{value} {name}"), way


HOSTILE = {
    "a tower of powers": "9**9**9**9",
    "a tower in LaTeX": "9^{9^{9^{9}}}",
    "a million digits": "9" * 10**6,
    "as many digits as are read": "9" * MAX_ANSWER_CHARS,
    "a huge exponent": "1e999999999",
    "a huge power of ten": "10^999999999",
    "fractions in fractions": "\\frac{1}{" * 10_000 + "2" + "}" * 10_000,
    "as many fractions as are read": "\\frac{1}{" * 99 + "2" + "}" * 99,
    "braces that nothing closes": "\\boxed{" * 140,
    "choices in choices": "(a) " * 249,
    "a code that must not run": "__import__('os').system('true')",
    "quotes": '"' * 999,
    "parentheses": "(" * 499 + "5" + ")" * 499,
    "asides": "5" + " (a)" * 249,
    "labels": "answer: " * 124,
    "equations": "x = " * 249 + "5",
    "commas": "1," * 499,
    "spaced digits": "1 000" + " 000" * 240,
    "dollars": "$x" * 499,
    "stars": "*" * 999,
    "stars and words": "*a " * 333,
    "roots": "\u221a" * 999,
    "words": "is the " * 140,
    "units": "1 km " * 199,
    "signs": "-" * 999,
    "long compatibility forms": "\ufdfa" * 999,
    "fractions of one character": "\u00bd" * 999,
    "and": "1 and " * 166,
    "nothing": "\u0000" * 999,
    "half a surrogate": "\ud800" * 9,
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers_are_read_at_once(answer: str) -> None:
    started = time.process_time()
    assert same_answer(answer, answer)
    assert normalised(normalised(answer)) == normalised(answer)
    assert time.process_time() - started < 5


def test_answers_can_be_compared_in_any_thread() -> None:
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(same_answer("1/2", "0.5")))
    thread.start()
    thread.join()
    assert said == [True]


def test_answers_beyond_the_bound_only_equal_themselves() -> None:
    long = "7" * (MAX_ANSWER_CHARS + 1)
    assert same_answer(long, f" {long}\n")
    assert not same_answer(long, long + "7")


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        ([], ("", 0)),
        (["", "...", ""], ("", 0)),
        (["", "", "", "7"], ("7", 1)),
        (["5", "5000 m", "5 km"], ("5 km", 3)),
        (["7", "8"], ("7", 1)),
        (["8", "7", "7.0", "\\boxed{8}"], ("8", 2)),
        (["6", "1,000", "1e3", "6", "1000"], ("1,000", 3)),
        (["5 m", "5 km", "5", "5000 m"], ("5 km", 3)),
        (["5 km", "5 m", "5"], ("5 km", 2)),
        (["0.5", "50", "50%", "1/2"], ("50%", 3)),
        (["Paris", "(B)", "B) Paris", "b"], ("B) Paris", 3)),
    ],
)
def test_the_largest_class_wins_and_of_equal_ones_the_first(
    answers: list[str], winner: tuple[str, int]
) -> None:
    assert majority(answers) == winner


@given(st.lists(st.sampled_from("5|5.0|5 km|5000 m|5 m|50%|0.5|50|B|(B) no|no||...".split("|"))))
def test_a_majority_is_a_class_of_answers_that_are_the_same(answers: list[str]) -> None:
    winner, count = majority(answers)
    assert winner in ["", *answers]
    alike = [answer for answer in answers if normalised(answer) and same_answer(answer, winner)]
    assert count <= len(alike)
    most = Counter(filter(None, map(normalised, answers)))
    assert count >= max(most.values(), default=0)
    assert (count == 0) == (not most)
