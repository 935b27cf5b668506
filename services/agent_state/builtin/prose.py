"""Headlines and descriptions: sentences from frames, in an order of each person's own."""

from collections.abc import Collection, Iterator, Mapping
from random import Random
from typing import Any

from services.agent_state.builtin.household import WITH_PARENTS
from services.agent_state.builtin.material import Material
from services.agent_state.builtin.person import Person
from services.agent_state.builtin.wording import article, fill, sentence_case, spell

LENGTH = (60, 110)
"""Words of a description."""
HEADLINE_LENGTH = (8, 17)
HEADLINES = (
    "{Job}, {age}, {where}; {pastime}",
    "{Job} in {where}, {age}; wants to {aim}",
    "{Given}, {age}, {job} in {where}: {pastime}",
    "{Job} ({age}), {where}, hoping to {aim}",
    "{where}: {job}, {age}, with time for {pastime}",
    "{Age}-year-old {job}, {where}; {pastime}",
)
MERGE = 0.45
"""Share of descriptions in which two sentences become one."""
NAMED = 0.34
"""Share of later sentences that repeat the given name."""


def write_headline(person: Person, material: Material, rng: Random) -> str:
    """Return about a dozen words: occupation, age, place, and something of the person."""
    country = person.seat.country
    where = f"{person.city.name}, {country.short_name}"
    slots = _slots(person, material, rng) | {
        "where": f"near {where}" if person.rural else where,
        "Age": str(person.age),
    }
    fitting = []
    for frame in HEADLINES:
        if person.rural:
            frame = frame.replace("in {where}", "{where}")
        headline = sentence_case(fill(frame, country, person.gender, slots, rng))
        if HEADLINE_LENGTH[0] <= len(headline.split()) <= HEADLINE_LENGTH[1]:
            fitting.append(headline)
    if fitting:
        return rng.choice(fitting)
    return sentence_case(fill("{Job}, {age}, {where}", country, person.gender, slots, rng))


def write_description(
    person: Person, material: Material, frames: Mapping[str, Any], rng: Random
) -> str:
    """Return 60 to 110 words about the person.

    Raises:
        ValueError: no attempt came out in that range, or a frame has an unknown slot.
    """
    for attempt in range(40):
        # What is too short with few words about a person gets all that there is.
        extras = 0.4 if attempt < 5 else 1.0 if attempt % 2 else 0.0
        sentences = list(_sentences(person, material, frames, extras, rng))
        text = " ".join(sentences)
        if LENGTH[0] + 2 <= len(text.split()) <= LENGTH[1] - 4:
            return text
    raise ValueError(
        f"no description of {LENGTH[0]} to {LENGTH[1]} words for {person.full_name}, "
        f"{person.occupation}: shorten or extend that row of the tables"
    )


def _sentences(
    person: Person, material: Material, frames: Mapping[str, Any], extras: float, rng: Random
) -> Iterator[str]:
    slots = _slots(person, material, rng)
    opening = rng.choice(
        [
            frame
            for frame in frames["opening"]
            if person.seat.status in frame.get("who", [person.seat.status])
            and frame.get("rural", True) >= person.rural
            and (frame.get("parents", True) or person.household.kind not in WITH_PARENTS)
            and ("{a_former}" not in frame["text"] or person.seat.occupation)
        ]
    )
    moves = _moves(person, material, set(opening["tells"]), extras, rng)
    yield _sentence(opening["text"], person, slots | {"N": person.full_name}, rng)
    facts = list(material.facts[1:] if "fact" in opening["tells"] else material.facts)
    named_before = True
    leads, aged = {_lead(opening["text"])}, "{age}" in opening["text"]
    for move in moves:
        if "fact" in move:
            if not facts:
                continue
            slots["fact"] = facts.pop(0)
            slots["Fact"] = sentence_case(slots["fact"])
        frame = _frame(move, person, material, frames, leads, aged, rng)
        leads.add(_lead(frame))
        aged = aged or "{age}" in frame
        named = "{N}, " in frame or (not named_before and rng.random() < NAMED)
        subject = person.given_name if named else slots["they"]
        named_before = named or "{Given}" in frame
        yield _sentence(frame, person, slots | {"N": subject}, rng)


def _moves(
    person: Person, material: Material, told: set[str], extras: float, rng: Random
) -> list[str]:
    """Return what the sentences after the opening are about, in order.

    Each sentence that a description can do without is taken with probability `extras`.
    """
    introduction = [move for move in ("job", "place") if move not in told]
    if len(introduction) == 2:
        introduction = ["job_place"]
    work = [move for move in ("does", "faces") if move not in told]
    if "does" in told and material.does2 and rng.random() < extras:
        work.insert(0, "does2")
    home = [] if "home" in told else ["home"]
    if material.detail and rng.random() < extras:
        home.append("detail")
    facts = ["fact"] * (2 if rng.random() < extras else 1)
    life = [*home, *facts] if rng.random() < 0.7 else [*facts, *home]
    former = person.seat.status in ("retired", "unemployed") and person.seat.occupation
    if former and not told & {"former", "job"}:
        introduction.append("former")
    blocks = [work, life, ["pastime"]]
    rng.shuffle(blocks)
    blocks.insert(3 if rng.random() < 0.7 else rng.randint(0, 2), ["aim"])
    moves = [*introduction, *(move for block in blocks for move in block)]
    return _merged(moves, rng)


def _merged(moves: list[str], rng: Random) -> list[str]:
    if rng.random() >= MERGE:
        return moves
    pairs = {
        ("does", "faces"), ("faces", "aim"), ("home", "fact"), ("home", "detail"),
        ("pastime", "aim"), ("does", "home"),
    }  # fmt: skip
    places = [i for i in range(len(moves) - 1) if (moves[i], moves[i + 1]) in pairs]
    if not places:
        return moves
    i = rng.choice(places)
    return [*moves[:i], f"{moves[i]}_{moves[i + 1]}", *moves[i + 2 :]]


def _frame(
    move: str,
    person: Person,
    material: Material,
    frames: Mapping[str, Any],
    leads: Collection[str],
    aged: bool,
    rng: Random,
) -> str:
    """Return a frame that begins with none of `leads`, and tells the age only if `aged` is not."""
    table = frames["merged"].get(move) or frames[move]
    texts = [*table["texts"]]
    if person.seat.status == "employed":
        texts += table.get("employed", [])
    if not material.does2:
        texts = [text for text in texts if "{does2}" not in text]
    fresh = [text for text in texts if _lead(text) not in leads and not (aged and "{age}" in text)]
    return str(rng.choice(fresh or texts))


def _lead(frame: str) -> str:
    """Return the word that a frame begins with; a slot does not count."""
    first = frame.split()[0]
    return frame if first.startswith("{") else first


def _sentence(frame: str, person: Person, slots: Mapping[str, str], rng: Random) -> str:
    return sentence_case(fill(frame, person.seat.country, person.gender, slots, rng))


def _slots(person: Person, material: Material, rng: Random) -> dict[str, str]:
    job, former = person.occupation, person.seat.occupation
    years = max(2, person.age - person.started)
    if person.seat.status == "retired":
        years = max(2, min(years, 62 - person.started))
    they = "she" if person.gender == "female" else "he"
    slots = {
        "they": they,
        "does": material.does,
        "does2": material.does2,
        "faces": material.faces,
        "home": material.home,
        "detail": material.detail,
        "aim": material.aim,
        "pastime": material.pastime,
        "fact": material.facts[0],
        "job": job,
        "a_job": article(job),
        "a_former": article(former.title) if former else "",
        "at_place": f"in {person.place}",
        "place": person.place,
        "at_city": person.at_city,
        "city": person.city.name,
        "age": str(person.age),
        "years": spell(years),
        "few": spell(rng.randint(2, 9)),
        "since": str(2025 - max(1, person.age - 62)),
        "given": person.given_name,
    }
    titled = ("faces", "fact", "detail", "pastime", "job", "a_job", "at_city", "given", "they")
    slots |= {sentence_case(slot): sentence_case(slots[slot]) for slot in titled}
    slots["Their"] = "Her" if person.gender == "female" else "His"
    return slots
