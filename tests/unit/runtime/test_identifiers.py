"""Rules that find personal identifiers: how many they find, and what they leave alone."""

import json
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.identifiers import (
    PLACEHOLDERS,
    find_identifiers,
    scrub,
    surviving,
)

DATA = Path(__file__).parents[2] / "data"
RECALL_FLOORS = {
    "url": 0.93,
    "e-mail": 0.95,
    "handle": 0.92,
    "id": 0.97,
    "ip": 0.88,
    "birth date": 0.91,
    "phone": 0.97,
    "address": 0.94,
    "name": 0.94,
    "titled name": 0.91,
}
"""Measured: 33 of 34 phone numbers, and all of every other kind; one more miss is let pass."""


@cache
def planted() -> list[dict[str, Any]]:
    lines = (DATA / "planted_identifiers.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def clean_texts() -> list[str]:
    return [row["text"] for row in planted() if not row["expected"]]


def test_recall_of_planted_identifiers_is_above_its_floor_for_every_kind() -> None:
    wanted, hits, covered = Counter[str](), Counter[str](), Counter[str]()
    for row in planted():
        found = find_identifiers(row["text"], row["names"])
        exact = Counter((each.kind, each.text) for each in found)
        hidden = scrub(row["text"], row["names"])[0]
        for expected in row["expected"]:
            kind, text = expected["kind"], expected["text"]
            wanted[kind] += 1
            hits[kind] += exact[kind, text] > 0
            covered[kind] += text not in hidden
            exact[kind, text] -= 1
    for kind, number in sorted(wanted.items()):
        print(f"{kind:12} {hits[kind]:3} of {number:3} exactly, {covered[kind]:3} hidden")

    assert set(wanted) == set(PLACEHOLDERS)
    assert {k: hits[k] / n for k, n in wanted.items() if hits[k] / n < RECALL_FLOORS[k]} == {}
    assert covered == wanted, "what is found inexactly is hidden all the same"


def test_what_is_found_beside_the_planted_identifiers_is_next_to_nothing() -> None:
    stray = []
    for row in planted():
        expected = [(each["kind"], each["text"]) for each in row["expected"]]
        found = [(each.kind, each.text) for each in find_identifiers(row["text"], row["names"])]
        stray += list((Counter(found) - Counter(expected)).elements())
    print(f"{len(stray)} stray finds in {len(planted())} texts")

    assert len(stray) <= 1, stray


def test_clean_text_is_left_alone() -> None:
    requests = (DATA / "request_examples.jsonl").read_text(encoding="utf-8").splitlines()
    texts = clean_texts() + [json.loads(line)["text"] for line in requests]
    found = [each for text in texts for each in find_identifiers(text)]
    print(f"{len(found)} finds in {len(texts)} clean texts: {[each.text for each in found]}")

    assert [each for text in clean_texts() for each in find_identifiers(text)] == []
    # Three of the requests do hold a name behind a title.
    assert len(texts) > 300
    assert {each.kind for each in found} == {"titled name"}
    assert len(found) <= 3


def test_scrubbing_leaves_nothing_behind_and_nothing_to_scrub_again() -> None:
    for row in planted():
        hidden, found = scrub(row["text"], row["names"])
        assert scrub(hidden, row["names"]) == (hidden, [])
        assert surviving(found, hidden) == []


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Mail ana@example.org or @ana_k.", "Mail [e-mail] or [handle]."),
        ("See www.example.org/a, from 192.0.2.7.", "See [link], from [ip]."),
        ("Passport no. XK1234567; +49 30 901820.", "Passport no. [id]; [phone]."),
        ("Born on 3 May 1981 at 12 Alder Lane.", "Born on [birth date] at [address]."),
        ("Dr. Ines Costa greets Ana Lima's aunt.", "Dr. [name] greets Bela K.'s aunt."),
        ("Ring 555 0142. I said: 5550142!", "Ring [phone]. I said: [phone]!"),
        ("Her id number is AB-12345; ab12345, yes.", "Her id number is [id]; [id], yes."),
        ("+49 30 901820GB82 WEST 1234 5698 7654 32", "[phone][id]"),
    ],
)
def test_every_kind_has_its_placeholder_and_a_named_person_a_pseudonym(
    text: str, hidden: str
) -> None:
    assert scrub(text, ["Ana Lima"], {"name": "Bela K."})[0] == hidden


@pytest.mark.parametrize(
    "text",
    [
        "In 2019 we sold 12,500 loaves for 3.20 each.",
        "Will you read the rose poem to the judge in March?",
        "Version 10.2.0.1 runs on 127.0.0.1 under README.md.",
        "Miss a day, and the doctor counts from 1 to 10.",
    ],
)
def test_years_prices_versions_and_plain_words_are_no_identifiers(text: str) -> None:
    assert find_identifiers(text, ["Rose Reed", "Judge Miller"]) == []


FRAGMENTS = st.sampled_from(
    "ana@example.org|+49 30 901820|(212) 555-0142|@ana_k|192.0.2.7|www.example.org/a?b=c|Dr. Ana "
    "Lima|Mr. Brown|ana|LIMA|Lima's|A.|李小明|born on 3 May 1981|3 May 1981|passport XK1234567"
    "|XK1234567|12 Alder Lane|rue de la Paix 5|GB82 WEST 1234 5698 7654 32|[name]|[phone]|Bela K."
    "|at|dot|(at)|,|. |\n|\0| |-|@|+|7|É|\u0301".split("|")
)
SPACED = st.lists(FRAGMENTS, max_size=8).map(" ".join)
TEXTS = SPACED | st.lists(FRAGMENTS | st.text(max_size=5), max_size=12).map("".join)
NAMES = ["Ana Lima", "李小明"]


@given(TEXTS)
def test_finds_are_in_order_apart_and_say_where_they_stand(text: str) -> None:
    found = find_identifiers(text, NAMES)

    assert all(text[each.start : each.end] == each.text and each.text for each in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert {each.kind for each in found} <= set(PLACEHOLDERS)


@given(SPACED | st.text())
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    for replacements in ({}, {"name": "Bela K."}):
        hidden, _ = scrub(text, NAMES, replacements)
        assert scrub(hidden, NAMES, replacements) == (hidden, [])


@given(SPACED)
def test_what_was_found_survives_in_the_text_itself_and_in_other_spellings(text: str) -> None:
    found = find_identifiers(text, NAMES)

    assert surviving(found, text) == found
    assert surviving(found, f"So {text.upper()}") == found


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("私はTanakaです。", "私は[name]です。"),
        ("我叫李小明,IP是192.0.2.7。", "我叫[name],IP是[ip]。"),
        ("電話は+81 3-1234-5678です", "電話は[phone]です"),
        ("邮箱是li.wei@example.cn吗", "邮箱是[e-mail]吗"),
        ("李小明192.0.2.7李小明", "[name][ip][name]"),
    ],
)
def test_scripts_without_spaces_hide_nothing(text: str, hidden: str) -> None:
    names = ["Tanaka Yuki", "李小明"]

    assert scrub(text, names)[0] == hidden
    assert surviving(find_identifiers(text, names), text) == find_identifiers(text, names)


@pytest.mark.parametrize(
    ("text", "rewrite"),
    [
        ("Ring +49 30 901820.", "Her number is 030/90 18 20."),
        ("Mail ana.k@example.org.", "She is at ana dot k (at) example dot org"),
        ("Passport no. XK1234567.", "The passport xk-123 45 67"),
        ("Born on 3 May 1981.", "She was born on 3  may 1981."),
        ("See https://www.example.org/ana/", "Her page: example.org/ana"),
        ("Ask @ana_k.", "Her account is called ANA_K"),
        ("I live at 12 Alder Lane.", "In 12, ALDER LANE"),
        ("I am Ana Lima.", "Mrs Lima bakes."),
        ("I am José Álvarez.", "alvarez bakes."),
        ("Dr. Ines Costa helped.", "Costa helped."),
    ],
)
def test_an_identifier_survives_in_another_spelling(text: str, rewrite: str) -> None:
    names = ["Ana Lima", "José Álvarez"]
    found = find_identifiers(text, names)

    assert surviving(found, rewrite) == found != []
    assert surviving(found, "Someone bakes bread and can be reached at noon.") == []


@given(
    st.lists(
        st.sampled_from(
            "born on May id passport number Main Street @ana_k www.example.org ana@example.org call"
            " me Dr. Silva rue Victor :: fe80::ab Postfach, 12 3.4.1999 555 0142".split()
        ),
        max_size=12,
    )
)
def test_a_digit_far_away_changes_nothing_of_what_is_found(parts: list[str]) -> None:
    text = " ".join(parts)
    distant = f"{text}\n{'quite so, ' * 30}7"
    assert find_identifiers(distant) == find_identifiers(text)
