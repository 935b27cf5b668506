"""With whom people live: drawn from age, country and status, and put into words."""

import re
from dataclasses import dataclass
from random import Random
from typing import Any

from services.agent_state.builtin.population import Seat, is_professional
from services.agent_state.builtin.wording import spell

SAME_SEX = 0.04
"""Share of couples, where the law lets them marry."""
SPOUSES = {"female": "husband", "male": "wife"}
UNMARRIED = frozenset("parents flatmates hostel alone single_parent mother father wards".split())
"""Kinds of household in which people have no husband, wife or partner."""
WITH_CHILDREN = frozenset("kids son baby multigen single_parent".split())
"""Kinds of household with children of one's own."""
WITH_PARENTS = frozenset("parents multigen mother father".split())
"""Kinds of household that may be the one that people grew up in."""
REARING = 50
"""Age from which the children at home may be grown, and nobody brings them up."""
SINGLE_PARENTS = {"female": 0.15, "male": 0.03}
"""Relative weight of bringing up children alone."""


@dataclass(frozen=True, slots=True)
class Household:
    """A household, as a predicate of the person, and a detail of it."""

    kind: str
    predicate: str
    detail: str
    """A clause; empty when there is nothing to add."""


def draw_household(
    seat: Seat, gender: str, age: int, rural: bool, table: dict[str, Any], rng: Random
) -> Household:
    """Return a household that fits a person; its texts may still hold pronoun slots."""
    kind = _kind(seat, gender, age, rng)
    spouse = _spouse(seat, gender, age, rng)
    children = _children(seat, kind, age, rng)
    home = _home(seat, kind, rural, table, rng)
    listed = children.replace(" and ", ", ")
    family = f"{{their}} {spouse}{' and' if listed == children else ','} {children}"
    predicates: dict[str, list[str]] = {
        "clergy": ["lives alone in the presbytery", "shares the presbytery with two old cats"],
        "hostel": [
            "sleeps in a hostel room for four",
            "lives in student halls and goes home once a term",
            "shares a hostel room with two strangers who became friends",
        ],
        "parents": [
            f"lives with {{their}} parents in {home}",
            f"still lives in {{their}} parents' place, {home}, with two younger siblings",
            f"shares {home} with {{their}} parents and a grandmother",
            f"lives with {{their}} parents and a {{kin}} in {home}",
        ],
        "flatmates": [
            f"shares {home} with {rng.choice(['two', 'three'])} flatmates",
            f"lives with a {{kin}} and a friend in {home}",
            f"is one of {rng.choice(['three', 'four', 'five'])} tenants in {home}",
        ],
        "alone": [
            f"lives alone in {home}",
            f"has {home} to {{self}}, which not everybody understands"
            if seat.country.level in "LM"
            else f"has {home} to {{self}}",
            f"has lived alone in {home} since a divorce"
            if age > 33
            else f"lives alone, for the first time, in {home}",
        ],
        "widowed": [
            f"has lived alone in {home} since {{their}} {spouse} died",
            f"was widowed {spell(rng.randint(2, 9))} years ago and lives in {home}",
        ],
        "with_child": [
            f"lives with {{their}} {rng.choice(['daughter', 'son'])}'s family in {home}",
            f"lives under one roof with {{their}} eldest daughter's family, in {home}",
        ],
        "couple": [
            f"lives with {{their}} {spouse} in {home}",
            f"shares {home} with {{their}} {spouse}",
        ],
        "kids": [
            f"lives with {family} in {home}",
            f"shares {home} with {family}",
            f"is bringing up {children} with {{their}} {spouse} in {home}",
        ],
        "son": [f"lives with {family} in {home}", f"shares {home} with {family}"],
        "baby": [
            f"lives with {{their}} {spouse} and a newborn in {home}",
            f"shares {home} with {{their}} {spouse}, a baby and a toddler",
        ],
        "single_parent": [
            f"lives with {children} in {home}",
            f"is bringing up {children} alone in {home}",
        ],
        "multigen": [
            f"lives with {{their}} {spouse}, {listed} and {{their}} parents in {home}",
            f"shares {home} with {{their}} {spouse}, {listed} and a mother-in-law",
            f"is one of {spell(rng.randint(6, 9))} people in {home}, three generations in all",
        ],
        "mother": [
            f"shares {home} with {{their}} mother",
            f"lives with {{their}} mother in {home}",
        ],
        "father": [
            f"shares {home} with {{their}} father",
            f"lives with {{their}} father in {home}",
        ],
        "wards": [f"lives with the three of them in {home}", f"houses all of them in {home}"],
    }
    fitting = [text for text in predicates[kind] if age < REARING or "is bringing up" not in text]
    predicate = rng.choice(fitting)
    detail = _detail(kind, spouse, children, age, seat.country.level, table, rng)
    return Household(kind, predicate, detail)


def _home(seat: Seat, kind: str, rural: bool, table: dict[str, Any], rng: Random) -> str:
    place = f"{seat.country.level}_{'r' if rural else 'u'}"
    well = f"{place}_well" if is_professional(seat.occupation) else place
    homes = [str(home) for home in table["dwelling"].get(well, table["dwelling"][place])]
    unfit = {"alone": "compound|homestead|shared", "multigen": "room"}.get(kind, "$^")
    return rng.choice([home for home in homes if not re.search(unfit, home)] or homes)


def _kind(seat: Seat, gender: str, age: int, rng: Random) -> str:
    country = seat.country
    if seat.situation and seat.situation.home != "any":
        return seat.situation.home
    if seat.occupation and seat.occupation.title == "parish priest":
        return "clergy"
    if seat.status == "pupil" or age < 18:
        return "parents"
    if seat.status == "student":
        return rng.choices(["parents", "flatmates", "hostel"], [0.4, 0.3, 0.3])[0]
    extended = rng.random() < country.families
    settled = 31 if country.level == "H" else 27
    if age < 22 or (age < settled and rng.random() < 0.6):
        shared = {"parents": 0.55 if country.level != "H" else 0.3, "flatmates": 0.25}
        return rng.choices([*shared, "alone"], [*shared.values(), 0.2])[0]
    if age >= 62:
        if extended:
            return "with_child"
        alone = 0.2 + 0.015 * (age - 62)
        return rng.choices(["widowed", "couple", "alone"], [alone, 1 - alone, 0.12])[0]
    if age >= 54:
        return rng.choices(["couple", "alone", "kids"], [0.6, 0.2, 0.2])[0]
    if extended and age >= 26:
        return "multigen"
    alone = 0.25 if country.level == "H" else 0.08
    away = seat.occupation is not None and seat.occupation.away
    single = 0.0 if away else SINGLE_PARENTS[gender]
    return rng.choices(
        ["kids", "couple", "single_parent", "alone", "baby"],
        [0.5, 0.2, single, alone, 0.08 if age < 40 else 0.0],
    )[0]


def _spouse(seat: Seat, gender: str, age: int, rng: Random) -> str:
    country = seat.country
    if country.equal_marriage and rng.random() < SAME_SEX:
        return {"husband": "wife", "wife": "husband"}[SPOUSES[gender]]
    if (
        country.level == "H"
        and country.faith == "church"
        and rng.random() < (0.5 if age < 40 else 0.2)
    ):
        return "partner"
    return SPOUSES[gender]


def _children(seat: Seat, kind: str, age: int, rng: Random) -> str:
    most = max(1, round(seat.country.children))
    # Homemakers have an eldest and a youngest.
    least = 2 if kind == "kids" and seat.status == "homemaker" else 1
    count = max(least, min(most + rng.choice([-1, 0, 0, 1]), 6, (age - 17) // 3))
    if kind == "son":
        return "a son" if count == 1 else rng.choice(["a son and a daughter", "two sons"])
    if count == 1:
        return rng.choice(["a daughter", "a son", "one child"])
    if count == 2:
        return rng.choice(["two children", "a son and a daughter", "two daughters", "two sons"])
    return f"{spell(count)} children"


def _detail(
    kind: str,
    spouse: str,
    children: str,
    age: int,
    level: str,
    table: dict[str, Any],
    rng: Random,
) -> str:
    # Some of what is told of children takes more than one, and school age.
    several = children not in ("a daughter", "a son", "one child") and age >= 30
    facts = {
        "parents": ["parents"],
        "flatmates": ["flatmates"],
        "hostel": ["flatmates"],
        "alone": ["alone"],
        "widowed": ["alone"],
        "clergy": ["alone"],
        "couple": ["partner"],
        "kids": ["partner", "children"] if several else ["partner"],
        "son": ["partner"],
        "multigen": ["partner", "children"] if several else ["partner"],
        "single_parent": ["children"] if several else [],
        "baby": ["baby", "partner"],
        "wards": ["children"],
    }.get(kind, [])
    if not facts:
        return ""
    about = rng.choice(facts)
    fitting = [text for levels, text in table[about]["facts"] if levels == "*" or level in levels]
    fact = rng.choice(fitting)
    return f"the {spouse} {fact}" if about == "partner" else str(fact)
