"""One person: a seat of the population with a name, a gender, an age, a place and a household."""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from services.agent_state.builtin.household import Household, draw_household
from services.agent_state.builtin.population import Seat, share_of_women
from services.agent_state.builtin.tables import City, Tables, Wording
from services.agent_state.builtin.wording import article

WOMEN_OUTSIDE = {"homemaker": 0.93, "carer": 0.72}
"""Share of women by status; one half elsewhere, or that of the last job."""
RURAL_WORK = {"r": 1.0, "b": 0.3, "u": 0.0, "c": 0.0}
RURAL_ELSE = {"L": 0.45, "M": 0.35, "U": 0.25, "H": 0.2}
NAME_ATTEMPTS = 200

KNOWN_PEOPLE = frozenset({
    "Adnan Malik", "Anil Menon", "Dawit Kebede", "Dimitar Iliev", "Emeka Okafor",
    "Enrico Caruso", "Georgi Iliev", "João Pinto", "Kim Dong-hyun", "Kwame Appiah",
    "Lee Sang-woo", "Liu Tao", "Luca Marino", "Manoj Joshi", "Manoj Pandey", "Manoj Tiwari",
    "Mathieu Blanchard", "Ngozi Okonjo", "Nuno Lopes", "Per Sandberg", "Piotr Nowak",
    "Rekha Sharma", "Rui Pinto", "Salvatore Caruso", "Sanjay Mishra", "Themba Zwane",
    "Tri Utami", "Yang Yong", "Zhang Yong",
})  # fmt: skip
"""Combinations that the pools allow and that public people bear; never drawn."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist."""

    seat: Seat
    full_name: str
    given_name: str
    gender: str
    age: int
    city: City
    rural: bool
    minutes: int
    """On the way to the city, for those who live outside of it."""
    started: int
    """Age at the first year in the occupation."""
    household: Household

    @property
    def occupation(self) -> str:
        """Occupation or status, as people would say it."""
        seat = self.seat
        former = seat.occupation.title if seat.occupation else ""
        if seat.situation is None:
            return former
        return {
            "student": f"{seat.situation.field} student",
            "pupil": f"{seat.situation.field} pupil",
            "retired": f"retired {former}",
            "unemployed": f"unemployed {former}" if former else "unemployed graduate",
            "homemaker": "homemaker",
            "carer": "unpaid family carer",
        }[seat.status]

    @property
    def isco(self) -> str:
        """Unit group of the present occupation; empty outside of employment."""
        seat = self.seat
        return seat.occupation.isco if seat.occupation and seat.status == "employed" else ""

    @property
    def wording(self) -> Wording:
        """What may be said of the person's days."""
        seat = self.seat
        if seat.situation:
            return seat.situation.wording
        assert seat.occupation is not None
        return seat.occupation.wording

    @property
    def at_city(self) -> str:
        """Where, in few words."""
        return f"{'near' if self.rural else 'in'} {self.city.name}"

    @property
    def place(self) -> str:
        """Where, with what it is like."""
        if self.rural:
            return f"{article('village')} {self.minutes} minutes from {self.city.name}"
        return f"{self.city.name}, {self.city.phrase}"


def draw_person(seat: Seat, taken: Collection[str], tables: Tables, rng: Random) -> Person:
    """Return a person for the seat whose full name is not among `taken`.

    Raises:
        ValueError: the pools of names of the country are used up.
    """
    country, job = seat.country, seat.occupation
    women = share_of_women(country, job) if job else WOMEN_OUTSIDE.get(seat.status, 0.5)
    gender = "female" if rng.random() < women else "male"
    full, given = _draw_name(seat, gender, taken, tables, rng)
    age = _draw_age(seat, rng)
    coastal = job is not None and job.place == "c" and seat.status == "employed"
    city = rng.choice([city for city in country.cities if city.coast or not coastal])
    if seat.status == "employed" and job:
        rural = rng.random() < RURAL_WORK[job.place]
    else:
        rural = seat.status != "student" and rng.random() < RURAL_ELSE[country.level]
        rural = rural or (seat.situation is not None and seat.situation.rural)
    rural = rural and country.code != "SG"
    started = min(age - 2, (job.ages[0] if job else 18) + rng.randint(0, 7))
    household = draw_household(seat, gender, age, rural, dict(tables.household), rng)
    minutes = rng.choice([20, 25, 30, 40, 45, 50, 70, 90])
    return Person(seat, full, given, gender, age, city, rural, minutes, started, household)


def _draw_name(
    seat: Seat, gender: str, taken: Collection[str], tables: Tables, rng: Random
) -> tuple[str, str]:
    weights = seat.country.names
    for _ in range(NAME_ATTEMPTS):
        pool = tables.names[rng.choices(list(weights), list(weights.values()))[0]]
        given = rng.choice(pool.given[gender])
        forms = rng.choice(pool.family).split("/")
        family = forms[-1] if gender == "female" else forms[0]
        full = f"{family} {given}" if pool.family_first else f"{given} {family}"
        if given != family and full not in taken and full not in KNOWN_PEOPLE:
            return full, given
    raise ValueError(
        f"no unused name for {seat.country.name} ({gender}) in {NAME_ATTEMPTS} attempts: "
        f"add names to the pools {', '.join(weights)} in tables/names.toml, or ask for fewer people"
    )


def _draw_age(seat: Seat, rng: Random) -> int:
    if seat.situation:
        low, high = seat.situation.ages
        if seat.status == "retired":
            # The end of working life comes earlier, and so does the end of life, in poorer places.
            first, last = (62, 90) if seat.country.level == "H" else (58, 86)
            low, high = max(low, first), min(high, last)
        if seat.occupation:
            low = max(low, seat.occupation.ages[0] + 2)
        mode = low + (high - low) * 0.35
    else:
        assert seat.occupation is not None
        low, high = seat.occupation.ages
        mode = low + (high - low) * (0.45 if seat.country.level in "UH" else 0.3)
    return max(low, min(high, round(rng.triangular(low - 0.5, high + 0.5, mode))))
