"""What is told of one person, chosen so that nothing is told too often."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from services.agent_state.builtin.household import UNMARRIED, WITH_CHILDREN
from services.agent_state.builtin.person import Person
from services.agent_state.builtin.population import OWN_ACCOUNT, is_professional
from services.agent_state.builtin.tables import Tables
from services.agent_state.builtin.wording import fill, sentence_case

ACTION_REPEATS = 3
"""Times that one action may stand in the whole file."""
OWN_AIM = 0.62
"""Share of people whose ambition is that of their occupation."""
ACTION_COUNTS = {3: 0.45, 4: 0.4, 5: 0.11, 6: 0.04}


@dataclass(frozen=True, slots=True)
class Material:
    """Texts about a person, without slots."""

    does: str
    does2: str
    """A second predicate; empty where the table has one only."""
    faces: str
    aim: str
    pastime: str
    facts: tuple[str, ...]
    """Two clauses about life outside of work."""
    home: str
    detail: str
    actions: tuple[str, ...]


@dataclass(slots=True)
class Ledger:
    """How often each text of the tables, and each finished action, has been used."""

    texts: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)

    def least_used(self, texts: Sequence[str], rng: Random) -> str:
        """Return one of the texts that were used least, and count it."""
        fewest = min(self.texts[text] for text in texts)
        chosen = rng.choice([text for text in texts if self.texts[text] == fewest])
        self.texts[chosen] += 1
        return chosen


def choose_material(person: Person, tables: Tables, ledger: Ledger, rng: Random) -> Material:
    """Return what is told of `person`; every choice is entered in the ledger.

    Raises:
        ValueError: a text of the tables holds an unknown slot, or no action is left to tell.
    """
    country, wording = person.seat.country, person.wording

    def filled(text: str) -> str:
        return fill(text, country, person.gender, {}, rng)

    does = ledger.least_used(wording.does, rng)
    others = [text for text in wording.does if text != does]
    holds = conditions(person)
    circumstances = {
        each.clause: each
        for each in tables.circumstances
        if suits(each.tag, holds) and each.ages[0] <= person.age <= each.ages[1]
    }
    local = dict(country.local)
    trouble = circumstances[ledger.least_used(list(circumstances), rng)]
    custom = ledger.least_used(list(local), rng)
    facts = [(trouble.clause, trouble.did), (custom, local[custom])]
    rng.shuffle(facts)
    holds["fit"] = holds["fit"] and not trouble.frail
    interests = {
        interest.pastime: interest
        for interest in tables.interests
        if suits(interest.tag, holds) and interest.ages[0] <= person.age <= interest.ages[1]
    }
    pastime = ledger.least_used(list(interests), rng)
    aims = [
        text
        for ages, tag, text in tables.aims
        if ages[0] <= person.age <= ages[1] and suits(tag, holds)
    ]
    errands = [text for tag, text in tables.errands if suits(tag, holds)]
    own = person.seat.situation is not None or rng.random() < OWN_AIM
    deeds = [
        wording.did,
        wording.did,
        [did for _, did in facts[:1]],
        [did for _, did in facts[1:]],
        interests[pastime].did,
        errands,
        wording.did,
    ]
    return Material(
        does=filled(does),
        does2=filled(ledger.least_used(others, rng)) if others else "",
        faces=filled(ledger.least_used(wording.faces, rng)),
        aim=filled(ledger.least_used(wording.aims if own else aims, rng)),
        pastime=filled(pastime),
        facts=tuple(filled(clause) for clause, _ in facts),
        home=filled(person.household.predicate),
        detail=filled(person.household.detail),
        actions=_actions(person, deeds, errands, ledger, rng),
    )


def conditions(person: Person) -> dict[str, bool]:
    """Return whether each condition that a tag may name holds for the person."""
    seat, kind, home = person.seat, person.household.kind, person.household.predicate
    country = seat.country
    house = re.search(r"house|homestead", home) is not None
    rented = re.search(r"rent|room|flat|block", home) is not None and "bought" not in home
    own_home = kind not in ("parents", "flatmates", "hostel", "clergy")
    return {level: level == country.level for level in "LMUH"} | {
        "cold": country.climate == "cold",
        "cool": country.climate in ("cold", "cool"),
        "warm": country.climate == "warm",
        "southern": country.climate not in ("cold", "cool"),
        "coast": person.city.coast and not person.rural,
        "rural": person.rural,
        "urban": not person.rural,
        "inland": not person.city.coast,
        "cricket": country.cricket,
        "alcohol": country.alcohol,
        "foreign": not country.english,
        "work": seat.status == "employed",
        "salaried": seat.status == "employed" and person.isco not in OWN_ACCOUNT,
        "jobseeking": seat.status in ("student", "unemployed"),
        "nodegree": seat.status not in ("student", "retired")
        and not is_professional(seat.occupation),
        "fit": person.age < 66 and not (seat.situation and seat.situation.frail),
        "single": kind in ("parents", "flatmates", "hostel", "alone"),
        "unmarried": kind in UNMARRIED,
        "couple": kind == "couple",
        "childless": kind in {*UNMARRIED, "couple"} - WITH_CHILDREN,
        "children": kind in WITH_CHILDREN,
        "family": kind not in UNMARRIED and kind != "clergy",
        "flatmates": kind in ("flatmates", "hostel"),
        "house": house and own_home and not rented,
        "tenant": rented and own_home,
        "owner": own_home and ("bought" in home or "mortgage" in home or (house and not rented)),
    }


def suits(tag: str, holds: Mapping[str, bool]) -> bool:
    """Whether all conditions of a tag hold: `*`, income levels ("UH"), or keys of `conditions`."""
    return all(
        any(holds[level] for level in condition) if condition.isupper() else holds[condition]
        for condition in tag.split()
        if condition != "*"
    )


def _actions(
    person: Person,
    deeds: Sequence[Sequence[str]],
    errands: Sequence[str],
    ledger: Ledger,
    rng: Random,
) -> tuple[str, ...]:
    """Return 3 to 6 actions from `deeds`, in their order of preference, shuffled."""
    wanted = rng.choices(list(ACTION_COUNTS), list(ACTION_COUNTS.values()))[0]
    sources = list(deeds)
    head, tail = sources[:2], sources[2:]
    rng.shuffle(tail)
    actions: list[str] = []
    templates: set[str] = set()
    for source in [*head, *tail, *[errands] * len(errands)]:
        unused = [text for text in source if text not in templates]
        if len(actions) == wanted or not unused:
            continue
        template = ledger.least_used(unused, rng)
        templates.add(template)
        action = sentence_case(fill(template, person.seat.country, person.gender, {}, rng))
        if ledger.actions[action] < ACTION_REPEATS:
            ledger.actions[action] += 1
            actions.append(action)
    if len(actions) < 3:
        raise ValueError(
            f"only {len(actions)} actions left for {person.full_name}, {person.occupation}: "
            "add errands to tables/everyday.toml, or ask for fewer people"
        )
    rng.shuffle(actions)
    return tuple(actions)
