"""Texts of the tables, filled for one person.

Slots: {they} {them} {their} {self} pronouns; {kin} {month} {weekday} drawn anew; {n3-9} a number,
in words up to ten; {money20} about 20 dollars' worth at local prices, in local currency; {faith}
{prayers} {grain} {treecrop} {office} {beds} of the country; {cold?x:y} x in a cool or cold climate,
y elsewhere, {beer?x:y} likewise where alcohol is sold; {x|y|z} one of them. Any other slot comes
from the caller.
"""

import math
import re
from collections.abc import Mapping
from random import Random

from services.agent_state.builtin.tables import Country

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
KIN = ("brother", "sister", "cousin", "aunt", "uncle", "nephew", "niece", "brother-in-law",
       "sister-in-law")  # fmt: skip
OFFICES = ("municipal office", "tax office", "registry", "social security office",
           "post office", "district court")  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PRICES = {"L": 0.25, "M": 0.4, "U": 0.65, "H": 1.0}
"""Price level by income level, relative to the United States."""
PRONOUNS = {
    "female": {"they": "she", "them": "her", "their": "her", "self": "herself"},
    "male": {"they": "he", "them": "him", "their": "his", "self": "himself"},
}

_SLOT = re.compile(r"\{([^{}]*)\}")
_NUMBER = re.compile(r"n(\d+)-(\d+)")
_MONEY = re.compile(r"money(\d+)")
_ARTICLE = re.compile(r"\b([Aa])(?= (?:aunt|uncle)\b)")


def fill(text: str, country: Country, gender: str, slots: Mapping[str, str], rng: Random) -> str:
    """Return `text` without slots.

    Raises:
        ValueError: the text has a slot that is neither general nor among `slots`.
    """
    pronouns = PRONOUNS[gender]

    def value(match: re.Match[str]) -> str:
        slot = match[1]
        if "?" in slot:
            condition, choices = slot.split("?")
            first, second = choices.split(":")
            holds = country.climate in ("cold", "cool") if condition == "cold" else country.alcohol
            return first if holds else second
        if "|" in slot:
            return str(rng.choice(slot.split("|")))
        if number := _NUMBER.fullmatch(slot):
            drawn = rng.randint(int(number[1]), int(number[2]))
            following = text[match.end() :]
            return str(drawn) if re.match(r"th\b|,?\d", following) else spell(drawn)
        if money := _MONEY.fullmatch(slot):
            return amount(int(money[1]), country)
        if slot in pronouns:
            return pronouns[slot]
        if slot in slots:
            return slots[slot]
        general = _general(slot, country, rng)
        if general is None:
            raise ValueError(
                f"unknown slot {{{slot}}} in {text!r}: use one of the slots listed in {__name__}"
            )
        return general

    return _ARTICLE.sub(r"\1n", _SLOT.sub(value, text))


def _general(slot: str, country: Country, rng: Random) -> str | None:
    drawn = {"kin": KIN, "month": MONTHS, "weekday": WEEKDAYS, "office": OFFICES}
    if slot in drawn:
        return str(rng.choice(drawn[slot]))
    return {
        "faith": country.faith,
        "prayers": "Friday prayers"
        if country.faith == "mosque"
        else f"the {country.faith} service",
        "grain": country.grain,
        "treecrop": country.tree_crop,
        "beds": "nets" if country.tree_crop == "olives" else "beds",
    }.get(slot)


def spell(number: int) -> str:
    """Return the number in words up to ten, in digits beyond."""
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def amount(dollars: int, country: Country) -> str:
    """Return what costs `dollars` in the United States, at local prices, to two digits."""
    local = dollars * PRICES[country.level] * country.per_dollar
    digits = 1 - math.floor(math.log10(local))
    rounded = max(2, round(round(local, digits)))
    if rounded >= 1_000_000:
        return f"{rounded / 1_000_000:.2g} million {country.currency}"
    return f"{rounded:,} {country.currency}"


def article(noun: str) -> str:
    """Return the noun with its indefinite article."""
    first = noun.lower()
    vowel = first[0] in "aeiou" and not re.match(r"uni(?!n)|use|eu|one\b", first)
    return f"{'an' if vowel else 'a'} {noun}"


def sentence_case(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
