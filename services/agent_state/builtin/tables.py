"""The tables that the built-in profiles are drawn from, as values."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

TABLES = Path(__file__).parent / "tables"

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
    did: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What may weigh on somebody of an age."""

    ages: tuple[int, int]
    tag: str
    clause: str
    did: str


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that profiles are drawn from."""

    countries: tuple[Country, ...]
    occupations: tuple[Occupation, ...]
    situations: tuple[Situation, ...]
    interests: tuple[Interest, ...]
    circumstances: tuple[Circumstance, ...]
    aims: tuple[tuple[tuple[int, int], str], ...]
    """Ages, infinitive."""
    errands: tuple[str, ...]
    names: Mapping[str, NamePool]
    household: Mapping[str, Any]
    frames: Mapping[str, Any]


def load_tables(folder: Path = TABLES) -> Tables:
    """Read all tables of `folder`, in an order that does not depend on the file system."""

    def read(name: str) -> dict[str, Any]:
        return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))

    everyday = read("everyday")
    occupations = [
        _occupation(row)
        for file in sorted(folder.glob("occupations_*.toml"))
        for row in read(file.stem)["occupation"]
    ]
    countries = [
        _country(code, row)
        for file in sorted(folder.glob("countries_*.toml"))
        for code, row in read(file.stem).items()
    ]
    return Tables(
        countries=tuple(countries),
        occupations=tuple(occupations),
        situations=tuple(_situation(row) for row in read("situations")["situation"]),
        interests=tuple(
            Interest(row["pastime"], row["tag"], tuple(row["did"]))
            for row in read("interests")["interest"]
        ),
        circumstances=tuple(
            Circumstance(_range(row["ages"]), row["tag"], row["clause"], row["did"])
            for row in read("circumstances")["circumstance"]
        ),
        aims=tuple((_range(row["ages"]), row["text"]) for row in everyday["aim"]),
        errands=tuple(everyday["errands"]["did"]),
        names={
            pool: NamePool(
                row["family_first"],
                {"female": tuple(row["female"]), "male": tuple(row["male"])},
                tuple(row["family"]),
            )
            for pool, row in read("names").items()
        },
        household=read("household"),
        frames=read("frames"),
    )


def _range(pair: list[int]) -> tuple[int, int]:
    low, high = pair
    return low, high


def _wording(row: dict[str, Any]) -> Wording:
    return Wording(*(tuple(row[key]) for key in ("does", "faces", "aims", "did")))


def _occupation(row: dict[str, Any]) -> Occupation:
    return Occupation(
        isco=row["isco"],
        title=row["title"],
        sector=row["sector"],
        ages=_range(row["ages"]),
        women=row["women"],
        levels=row["levels"],
        weight=row["weight"],
        place=row["place"],
        only=frozenset(row.get("only", "").split()),
        alcohol=row.get("needs") == "alcohol",
        wording=_wording(row),
    )


def _situation(row: dict[str, Any]) -> Situation:
    plain = {key: row[key] for key in ("status", "field", "levels", "former", "home")}
    return Situation(ages=_range(row["ages"]), wording=_wording(row), **plain)


def _country(code: str, row: dict[str, Any]) -> Country:
    converted: dict[str, Any] = {
        "name": f"the {row['name']}" if row["article"] else row["name"],
        "shares": {key: share / 100 for key, share in zip("AIS", row["shares"], strict=True)},
        "cities": tuple(City(*city) for city in row["cities"]),
        "local": tuple((clause, did) for clause, did in row["local"]),
    }
    plain = {key: value for key, value in row.items() if key != "article"}
    return Country(code=code, **(plain | converted))
