"""The people who ship with the platform: as many and as different as promised, and believable."""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.builtin.generate import COUNT, generate_profiles
from services.agent_state.builtin.loading import load_tables
from services.agent_state.builtin.tables import Interest
from services.agent_state.profile_files import read_profiles
from services.runtime.identifiers import find_identifiers

LEAST_AGES = {
    **dict.fromkeys(("2211", "2611"), 26),
    **dict.fromkeys(("1112", "1120", "1345", "2612"), 35),
    **dict.fromkeys(("2212", "2310", "2636"), 27),
}
"""Years of study or service that an occupation takes, by ISCO-08 unit group."""
HE = re.compile(r"\b(?:he|him|his|himself)\b", re.IGNORECASE)
SHE = re.compile(r"\b(?:she|her|hers|herself)\b", re.IGNORECASE)
CONNECTIVES = "Meanwhile|Besides|On top of that|It is also true|This year|Lately|Right now".split(
    "|"
)


@cache
def people() -> list[dict[str, Any]]:
    lines = builtin_profiles_path().read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def text_of(person: dict[str, Any]) -> str:
    return " ".join([person["headline"], person["description"], *person["actions"]])


def saying(pattern: str) -> list[dict[str, Any]]:
    return [person for person in people() if re.search(pattern, person["description"])]


def test_the_generator_makes_the_file_that_ships_byte_for_byte() -> None:
    made = "".join(f"{line}\n" for line in generate_profiles())

    assert builtin_profiles_path().read_bytes() == made.encode()


@pytest.mark.parametrize("count", [1, 30])
def test_equal_seeds_make_equal_people_and_another_seed_others(count: int) -> None:
    first, other = list(generate_profiles(1, count)), list(generate_profiles(2, count))

    assert first == list(generate_profiles(1, count))
    assert len(first) == len({json.loads(line)["name"] for line in first + other}) / 2 == count


def test_all_of_them_are_valid_and_none_needs_anonymising() -> None:
    read = read_profiles(builtin_profiles_path())

    assert read.problems == ()
    assert len(read.profiles) == COUNT == 1000
    assert all(profile.synthetic and profile.headline for profile in read.profiles)
    assert all(3 <= len(profile.actions) <= 6 for profile in read.profiles)


@pytest.mark.parametrize("field", ["id", "name", "headline", "description"])
def test_no_two_people_share(field: str) -> None:
    counts = Counter(person[field].casefold() for person in people())

    assert [value for value, count in counts.items() if count > 1] == []


def test_they_come_from_many_occupations_and_countries() -> None:
    groups = Counter(person["isco"] for person in people() if person["isco"])
    countries = Counter(person["country"] for person in people())
    women = sum(person["gender"] == "female" for person in people()) / len(people())

    assert len(groups) >= 200
    assert all(re.fullmatch(r"[1-9]\d{3}", group) for group in groups)
    assert {group[0] for group in groups} == set("123456789")
    assert max(groups.values()) <= 20
    assert len(countries) >= 60
    assert max(countries.values()) <= 100
    assert 0.4 < women < 0.6


def test_ages_fit_occupations() -> None:
    tables = load_tables()
    ranges: dict[tuple[str, str], tuple[int, int]] = {
        (job.isco, job.title): job.ages for job in tables.occupations
    }
    for person in people():
        age, job = person["age"], person["occupation"]
        assert 16 <= age <= 90
        if person["isco"]:
            low, high = ranges[person["isco"], job]
            assert max(low, LEAST_AGES.get(person["isco"], 16)) <= age <= high, (job, age)
        assert "pupil" not in job or age <= 19
        assert "student" not in job or 18 <= age <= 30
        assert "retired" not in job or age >= 58
    assert max(age for ages in ranges.values() for age in ages) <= 76
    assert min(age for ages in ranges.values() for age in ages) >= 16


def test_past_actions_are_seldom_shared_and_never_twice_one_person_s() -> None:
    counts = Counter(action for person in people() for action in person["actions"])

    assert max(counts.values()) <= 3
    assert all(len(set(person["actions"])) == len(person["actions"]) for person in people())


def test_no_text_shows_its_seams() -> None:
    seams = re.compile(
        r"[{}|]|\s\s|\.\.|,[,.]|\b[Aa] (?:aunt|uncle)|\b(?:they|them|their)self"
        r"|(?<!and )\b(?:he|she) (?:are|have|do)\b|\bthese days \w+ (?:has|was)\b"
    )
    for person in people():
        description = person["description"]
        assert seams.search(text_of(person)) is None, text_of(person)
        assert description[0].isupper()
        assert description.endswith((".", '."'))
        assert 60 <= len(description.split()) <= 110
        assert [word for word in CONNECTIVES if description.count(f"{word} ") > 1] == []


def test_people_keep_their_gender_through_the_text() -> None:
    for person in people():
        own, other = (SHE, HE) if person["gender"] == "female" else (HE, SHE)
        text = person["description"]
        assert len(own.findall(text)) >= len(other.findall(text)), text


@pytest.mark.parametrize(
    ("told", "contradiction"),
    [
        ("would like a wedding", r"\b(?:husband|wife|partner)\b"),
        ("[Dd]ivorce papers", r"with (?:her|his) (?:husband|wife|partner)\b"),
        ("since a divorce", r"\b(?:husband|wife|partner)\b"),
        (
            "the youngest wakes at three and the eldest",
            r"(?:up|husband and|wife and|partner and) (?:a son|a daughter|one child) (?:in|with)",
        ),
        ("lives alone|has lived alone", "shared with|flatmates|other tenants"),
        ("came to .* to work as", "parents"),
    ],
)
def test_households_fit_what_is_told_of_a_life(told: str, contradiction: str) -> None:
    concerned = saying(told)

    assert concerned
    assert [p["id"] for p in concerned if re.search(contradiction, p["description"])] == []


def test_nobody_brings_up_children_at_the_age_of_a_grandparent() -> None:
    assert max(person["age"] for person in saying("is bringing up")) < 50


def test_work_is_only_told_of_those_who_work() -> None:
    idle = [person for person in people() if not person["isco"]]
    working = r"Turned down overtime|pay rise|Walked to work|commuting eats|works Saturdays"

    assert len(idle) > 300
    assert [p["id"] for p in idle if re.search(working, text_of(p))] == []


def test_the_old_and_the_frail_play_no_rough_games() -> None:
    tables = load_tables()
    rough = "|".join(
        re.escape(interest.pastime.split("{")[0].strip())
        for interest in tables.interests
        if "fit" in interest.tag.split()
    )
    weak = r"hip replacement|pacemaker|arthritis|may not lift|short of breath|back went out"
    sporty = [
        p
        for p in people()
        if re.search(rf"\b(?:{rough})\b(?! a community)", p["headline"] + p["description"])
    ]

    assert len(sporty) > 50
    assert [p["id"] for p in sporty if p["age"] >= 66 or re.search(weak, p["description"])] == []


def test_nobody_has_an_identifier_for_the_rules_to_find() -> None:
    found = [each for person in people() for each in find_identifiers(text_of(person))]

    assert found == []


def test_a_tag_that_no_condition_answers_to_is_an_error() -> None:
    tables = load_tables()
    typo = replace(
        tables, interests=(*tables.interests, Interest("x", "tenent", (16, 90), ("X.",)))
    )

    with pytest.raises(KeyError, match="tenent"):
        list(generate_profiles(1, 3, typo))
