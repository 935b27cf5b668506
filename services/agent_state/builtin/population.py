"""Who lives where and does what: the joint distribution of country, status and occupation.

Countries weigh as the square root of their population, with a floor, so that small ones appear.
Within the employed, a matrix of countries x occupations (sector share of the country x employment
of the occupation, zero where they do not meet) is fitted to both margins by iterative proportional
fitting (Deming & Stephan 1940).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from services.agent_state.builtin.tables import Country, Occupation, Situation, Status, Tables

COUNTRY_FLOOR = 0.006
"""Smallest share of a country before normalising."""
FITTING_ROUNDS = 40
OVERUSE = 0.02
"""Weight left to an occupation that has reached its quota."""

STATUSES: dict[str, dict[Status, float]] = {
    "L": {"employed": 0.66, "student": 0.07, "pupil": 0.05, "retired": 0.05,
          "unemployed": 0.05, "homemaker": 0.08, "carer": 0.04},
    "M": {"employed": 0.64, "student": 0.09, "pupil": 0.04, "retired": 0.07,
          "unemployed": 0.05, "homemaker": 0.07, "carer": 0.04},
    "U": {"employed": 0.62, "student": 0.08, "pupil": 0.03, "retired": 0.11,
          "unemployed": 0.05, "homemaker": 0.06, "carer": 0.05},
    "H": {"employed": 0.60, "student": 0.08, "pupil": 0.03, "retired": 0.15,
          "unemployed": 0.05, "homemaker": 0.04, "carer": 0.05},
}  # fmt: skip
"""Shares of the people aged 16 to 90 by income level of the country."""

OWN_ACCOUNT = frozenset(
    "1112 1412 2612 2636 2641 2651 2652 5211 5212 6111 6112 6121 6122 6123 6130 6222 6310 6320 7314"
    " 7318 7531 7536 8321 9510 9612 9624".split()
)
"""Unit groups of people who work for themselves or hold an office: nobody dismisses them."""
SOUGHT = frozenset("2211 2212 2221 2250 2261 2262".split())
"""Unit groups whose members find work anywhere."""

CARE_AND_TEACHING = 0.6
"""Share of women from which on an occupation keeps it in every country."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One place in the population, before anybody takes it."""

    country: Country
    status: Status
    occupation: Occupation | None
    """Present one; the last one of retired and unemployed people; None: never had one."""
    situation: Situation | None
    """None for the employed."""


def draw_seats(tables: Tables, count: int, rng: Random) -> list[Seat]:
    """Return `count` seats in random order."""
    countries = [
        country
        for country, seats in zip(
            tables.countries, country_quotas(tables.countries, count), strict=True
        )
        for _ in range(seats)
    ]
    rng.shuffle(countries)
    statuses = [_draw(STATUSES[country.level], rng) for country in countries]
    employed = max(1, statuses.count("employed"))
    fitted, quotas = fit_employment(tables.countries, tables.occupations, employed)
    rows = {country.code: row for country, row in zip(tables.countries, fitted, strict=True)}
    used = [0] * len(tables.occupations)
    seats: list[Seat] = []
    for country, status in zip(countries, statuses, strict=True):
        if status == "employed":
            weights = [
                weight * max(quota - taken, OVERUSE)
                for weight, quota, taken in zip(rows[country.code], quotas, used, strict=True)
            ]
            column = rng.choices(range(len(weights)), weights)[0]
            used[column] += 1
            seats.append(Seat(country, status, tables.occupations[column], None))
        else:
            seats.append(_outside_employment(tables, country, status, rows[country.code], rng))
    return seats


def country_quotas(countries: Sequence[Country], count: int) -> list[int]:
    """Return how many of `count` people live in each country, by largest remainder."""
    roots = [math.sqrt(country.population) for country in countries]
    total = math.fsum(roots)
    shares = [max(root / total, COUNTRY_FLOOR) for root in roots]
    exact = [share * count / math.fsum(shares) for share in shares]
    quotas = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (quotas[i] - exact[i], i))
    for i in by_remainder[: count - sum(quotas)]:
        quotas[i] += 1
    return quotas


def possible(country: Country, occupation: Occupation) -> bool:
    """Whether the occupation is found in the country and its wording holds there."""
    return (
        country.level in occupation.levels
        and (not occupation.only or country.code in occupation.only)
        and (occupation.place != "c" or any(city.coast for city in country.cities))
        and (country.alcohol or not occupation.alcohol)
    )


def fit_employment(
    countries: Sequence[Country], occupations: Sequence[Occupation], employed: int
) -> tuple[list[list[float]], list[float]]:
    """Return expected people by country and occupation, and the quota of each occupation.

    Quotas grow with the square root of an occupation's employment, and start at one where
    `employed` allows, so that the rare ones appear.
    """
    # A little even where nobody is employed: what the others there used to do is drawn from it.
    people = [float(quota) or 0.01 for quota in country_quotas(countries, employed)]
    cells = [
        [
            country.shares[job.sector] * job.weight if possible(country, job) else 0.0
            for job in occupations
        ]
        for country in countries
    ]
    cells = _scale_rows(cells, people)
    sums = [math.fsum(column) for column in zip(*cells, strict=True)]
    roots = [math.sqrt(total) for total in sums]
    floor = min(1.0, employed / len(occupations))
    rest = (employed - floor * len(occupations)) / math.fsum(roots)
    quotas = [floor + rest * root if root else 0.0 for root in roots]
    for _ in range(FITTING_ROUNDS):
        columns = _scale_rows([list(column) for column in zip(*cells, strict=True)], quotas)
        cells = _scale_rows([list(row) for row in zip(*columns, strict=True)], people)
    return cells, quotas


def is_professional(occupation: Occupation | None) -> bool:
    """Whether the occupation is of the managers or professionals (ISCO-08 major groups 1 and 2)."""
    return occupation is not None and occupation.isco[0] in "12"


def share_of_women(country: Country, occupation: Occupation) -> float:
    """Return the share of women in the occupation in that country."""
    if occupation.women >= CARE_AND_TEACHING:
        return occupation.women
    return occupation.women * country.women_at_work


def _scale_rows(rows: list[list[float]], totals: Sequence[float]) -> list[list[float]]:
    scaled = []
    for row, total in zip(rows, totals, strict=True):
        present = math.fsum(row)
        scaled.append([value * total / present for value in row] if present else row)
    return scaled


def _outside_employment(
    tables: Tables, country: Country, status: Status, row: Sequence[float], rng: Random
) -> Seat:
    fitting = [
        situation
        for situation in tables.situations
        if situation.status == status and country.level in situation.levels
    ]
    situation = rng.choice(fitting)
    if situation.former == "none":
        return Seat(country, status, None, situation)
    kept = OWN_ACCOUNT | SOUGHT if status == "unemployed" else frozenset()
    weights = [
        # A last job is one that people keep until an age at which they may be pensioned.
        weight
        if job.ages[1] >= 58
        and job.isco not in kept
        and situation.former in ("any", _SECTORS[job.sector])
        else 0.0
        for weight, job in zip(row, tables.occupations, strict=True)
    ]
    return Seat(country, status, rng.choices(tables.occupations, weights)[0], situation)


_SECTORS = {"A": "agriculture", "I": "industry", "S": "services"}


def _draw(shares: dict[Status, float], rng: Random) -> Status:
    return rng.choices(list(shares), list(shares.values()))[0]
