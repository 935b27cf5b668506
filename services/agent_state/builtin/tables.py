"""The tables that the built-in profiles are drawn from, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["employed", "student", "pupil", "retired", "unemployed", "homemaker", "carer"]


@dataclass(frozen=True, slots=True)
class Wording:
    """What may be said of people who share an occupation or a situation."""

    does: tuple[str, ...]
    """Predicates in the present tense."""
    faces: tuple[str, ...]
    """Problems, as clauses."""
    aims: tuple[str, ...]
    """Infinitives."""
    did: tuple[str, ...]
    """Past actions, as sentences without a subject."""


@dataclass(frozen=True, slots=True)
class Occupation:
    """A row of the occupations: who works in it, where, and what that is like."""

    isco: str
    """Unit group of ISCO-08, four digits."""
    title: str
    sector: Literal["A", "I", "S"]
    ages: tuple[int, int]
    women: float
    """Share of women, in [0, 1]."""
    levels: str
    """Income levels of the countries in which the wording holds."""
    weight: float
    """Employment, relative to the other rows."""
    place: Literal["u", "r", "b", "c"]
    """Urban, rural, both, or on a coast."""
    only: frozenset[str]
    """Countries it is limited to; empty: all."""
    alcohol: bool
    """Exists only where alcohol is commonly sold."""
    away: bool
    """Keeps people from home for weeks."""
    wording: Wording


@dataclass(frozen=True, slots=True)
class Situation:
    """A life outside of employment."""

    status: Status
    field: str
    """Of study."""
    levels: str
    ages: tuple[int, int]
    former: str
    """Sector of the last job: any, industry or none."""
    home: str
    """The household that the wording presupposes, or any."""
    frail: bool
    """Leaves no strength for sport."""
    rural: bool
    """Is lived in villages."""
    wording: Wording


@dataclass(frozen=True, slots=True)
class City:
    """A place to live in."""

    name: str
    phrase: str
    """What it is like; follows a comma."""
    coast: bool


@dataclass(frozen=True, slots=True)
class Country:
    """A country: its weight, its economy, its households and its places."""

    code: str
    name: str
    """With the article that a sentence needs."""
    population: float
    """Millions."""
    level: Literal["L", "M", "U", "H"]
    shares: Mapping[str, float]
    """Employment share by sector."""
    currency: str
    per_dollar: float
    climate: Literal["cold", "cool", "temperate", "warm"]
    names: Mapping[str, float]
    """Weights of the pools of names."""
    alcohol: bool
    cricket: bool
    english: bool
    """Everybody who went to school there speaks it."""
    equal_marriage: bool
    women_at_work: float
    """Factor on the share of women in occupations outside of care and teaching."""
    faith: str
    """The commonest house of prayer."""
    grain: str
    tree_crop: str
    families: float
    """Share of homes with three generations."""
    children: float
    """Births per woman."""
    cities: tuple[City, ...]
    local: tuple[tuple[str, str], ...]
    """What life there brings, as a clause, and what somebody did about it."""

    @property
    def short_name(self) -> str:
        """The name without an article."""
        return self.name.removeprefix("the ")


@dataclass(frozen=True, slots=True)
class NamePool:
    """Names that go together."""

    family_first: bool
    given: Mapping[str, tuple[str, ...]]
    """By gender."""
    family: tuple[str, ...]
    """`Ivanov/Ivanova` where the forms of men and women differ."""


@dataclass(frozen=True, slots=True)
class Interest:
    """A pastime, and what people did for it."""

    pastime: str
    tag: str
    ages: tuple[int, int]
    did: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What may weigh on somebody of an age."""

    ages: tuple[int, int]
    tag: str
    clause: str
    did: str
    frail: bool
    """Leaves no strength for sport."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that profiles are drawn from."""

    countries: tuple[Country, ...]
    occupations: tuple[Occupation, ...]
    situations: tuple[Situation, ...]
    interests: tuple[Interest, ...]
    circumstances: tuple[Circumstance, ...]
    aims: tuple[tuple[tuple[int, int], str, str], ...]
    """Ages, tag, infinitive."""
    errands: tuple[tuple[str, str], ...]
    """Tag, and what somebody did."""
    names: Mapping[str, NamePool]
    household: Mapping[str, Any]
    frames: Mapping[str, Any]
