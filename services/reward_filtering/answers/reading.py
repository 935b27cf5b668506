"""What an answer says: a quantity, a time, a choice, yes or no, several numbers, or words."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from services.reward_filtering.answers.clock import date_text, time_text
from services.reward_filtering.answers.notation import MAX_ANSWER_CHARS, plain
from services.reward_filtering.answers.numerals import leading_number, number_text
from services.reward_filtering.answers.units import CURRENCY_SIGN, Unit, counted, unit_of
from services.reward_filtering.answers.wording import words_or_expression

__all__ = ["Reading", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer: its canonical text, and what decides whether it is the same as another.

    `bare` is the text without what may be left out: the unit of a quantity, the words behind the
    letter of a choice. `full` is the text with it, in the base unit. An answer in which nothing
    was left out or could have been has both alike.
    """

    text: str
    bare: str
    full: str

    @property
    def is_bare(self) -> bool:
        """Tell whether this answer may be short for a fuller one."""
        return self.bare == self.full

    @property
    def short_forms(self) -> frozenset[str]:
        """The bare answers that mean the same: 50% may be written as 50, or as 0.5."""
        if self.text.endswith("%") and not self.is_bare:
            return frozenset((self.bare, self.full.removesuffix(" of 1")))
        return frozenset((self.bare,))


def _words(text: str) -> Reading:
    return Reading(text, text, text)


def _quantity(value: Fraction, unit: Unit | None) -> Reading:
    number = number_text(value)
    if unit is None:
        return _words(number)
    if unit.symbol == "%":
        return Reading(f"{number}%", number, f"{number_text(value / 100)} of 1")
    full = f"{number_text(value * unit.factor)} {unit.base}"
    return Reading(f"{number} {unit.symbol}", number, full)


_ABOUT = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|exactly|only|just|a total of)(?: |$)"
    r"|[\u2248~]\s*)+",
    re.IGNORECASE,
)
_PARENTHESIS = re.compile(r"(?<=\S) \([^()]*[^\W\d_][^()]*\)$")
_UNIT_TEXT = re.compile(r"[^\W\d_]|[%\u00b0/$\u20ac\u00a3\u00a5\u20b9\u00a2]")
_COMPOUND = re.compile(r"(?:,| and|, and)? (?=\d)|(?<=[^\W\d])(?=\d)")


def _amount(text: str) -> tuple[Fraction, Unit | None] | None:
    """Read a number with at most one unit, in front (money) or behind."""
    sign = 1
    currency = ""
    if money := re.match(rf"(-?)\s?({CURRENCY_SIGN.pattern})\s?(?=[-\d.])", text):
        sign, currency = (-1 if money[1] else 1), money[2]
        text = text[money.end() :]
    found = leading_number(text)
    if found is None:
        return None
    value, rest = sign * found[0], found[1].strip()
    if currency:
        # "$5 USD", "$30 per week".
        if rest and rest not in (currency, "USD") and not re.match(r"/|per ", rest):
            return None
        rest = currency + (f" {rest}" if re.match(r"/|per ", rest) else "")
    if not rest:
        return value, None
    if not _UNIT_TEXT.match(rest):
        return None
    unit = unit_of(rest) or counted(rest.removeprefix("-"))
    return None if unit is None else (value, unit)


def _read_quantity(text: str) -> Reading | None:
    text = _ABOUT.sub("", text, count=1) if _ABOUT.match(text) else text
    while (shorter := _PARENTHESIS.sub("", text)) != text:
        text = shorter
    if amount := _amount(text):
        return _quantity(*amount)
    return _read_compound(_COMPOUND.split(text))


def _read_compound(parts: list[str]) -> Reading | None:
    """Read 1 hour 30 minutes, in the smallest of its units."""
    if not 2 <= len(parts) <= 4:
        return None
    total, last = Fraction(0), None
    for part in parts:
        amount = _amount(part)
        if amount is None:
            return None
        value, unit = amount
        # "2h 30m": no length follows a duration.
        if last is not None and last.base == "s" and unit is not None and unit.symbol == "m":
            unit = unit_of("min")
        if unit is None:
            return None
        if last is not None and (unit.base != last.base or unit.factor >= last.factor):
            return None
        total, last = total + value * unit.factor, unit
    return None if last is None else _quantity(total / last.factor, last)


def _read_time(text: str) -> Reading | None:
    found = time_text(text) or date_text(text)
    return _words(found) if found else None


_CHOICE = re.compile(
    r"(?:(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:? )*[(\[]?([a-z])[)\].:]?",
    re.IGNORECASE,
)
_CHOICE_OF = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice) )?(?:[(\[]?([A-Ha-h])[)\]][.:]?\s?(?=[-$\u20ac\u00a3\"']?\w)"
    r"|([A-H])[.:]\s(?=[A-Z0-9$\u20ac\u00a3\"'-]))(.+)",
    re.DOTALL,
)


def _read_part(text: str) -> Reading:
    return _read_time(text) or _read_quantity(text) or _words(words_or_expression(text))


def _read_choice(text: str) -> Reading | None:
    if letter := _CHOICE.fullmatch(text):
        return _words(letter[1].upper())
    if chosen := _CHOICE_OF.fullmatch(text):
        letter_of, said = (chosen[1] or chosen[2]).upper(), _read_part(chosen[3]).text
        return Reading(f"({letter_of}) {said}", letter_of, f"({letter_of}) {said}")
    return None


_YES_NO = re.compile(
    r"(?:(yes|yeah|yep|true)|no|nope|false)(?:[.!]?|(?:[,;:!]| -)\s.*|\.\s(?!\d).*)",
    re.IGNORECASE | re.DOTALL,
)


def _read_yes_no(text: str) -> Reading | None:
    found = _YES_NO.fullmatch(text)
    return _words("yes" if found[1] else "no") if found else None


_ASSIGNED = re.compile(
    r"(?:[A-Za-z][\w']*(?: [A-Za-z][\w']*){0,3}(?:\([a-z]\))?|[\d\s.,+*/()^$%-]{1,200})"
    r"\s?=\s?([^=]+)"
)
_STATED = re.compile(
    r"(?:(?:so|thus|therefore|hence),? )?(?:the|it|she|he|they|there|we|this|that|i)\b"
    r"(?: [\w'-]+){0,8}?"
    r" (?:is|are|was|were|equals|costs?|takes?|needs?|gets?|has|have)(?: at)? (.+)",
    re.IGNORECASE | re.DOTALL,
)


def _read_statement(text: str) -> Reading | None:
    """Read what a short equation or sentence around a quantity states."""
    if assigned := _ASSIGNED.fullmatch(text):
        return _read_once(assigned[1])
    if stated := _STATED.fullmatch(text):
        return _read_time(stated[1]) or _read_quantity(stated[1])
    return None


_BRACES = re.compile(r"\{([^{}]*)\}")
_ALTERNATIVES = re.compile(r"\s*,?\s+(?:or|and)\s+|\s*[,;]\s+", re.IGNORECASE)


def _read_set(text: str) -> Reading | None:
    """Read numbers whose order means nothing: {1, 2}, or 1 and 2, or x = 1 or x = 2."""
    if braces := _BRACES.fullmatch(text):
        members = re.split(r"\s*[,;]\s*", braces[1].strip())
    elif re.search(r"\s(?:or|and)\s", text, re.IGNORECASE):
        members = [re.sub(r"^[A-Za-z]\s?=\s?", "", part) for part in _ALTERNATIVES.split(text)]
    else:
        return None
    read_members = [_read_quantity(member) for member in members]
    if len(members) < 2 and not braces:
        return None
    said = {member.text for member in read_members if member is not None}
    if None in read_members:
        return None
    return _words("{" + ", ".join(sorted(said, key=lambda item: (len(item), item))) + "}")


_LABEL = re.compile(
    r"(?:(?:(?:the )?(?:final |correct )?answer(?: is)?:|answer is) )+", re.IGNORECASE
)
_ENDS = " \t\n,;:!?\u3002\uff0c\uff1a\uff1b\uff01\uff1f"
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u00ab": "\u00bb", "\u300c": "\u300d"}
_FORMS: tuple[Callable[[str], Reading | None], ...] = (
    _read_choice,
    _read_yes_no,
    _read_time,
    _read_quantity,
    _read_set,
    _read_statement,
)


def _read_once(answer: str) -> Reading:
    text = plain(answer)
    if len(text) > MAX_ANSWER_CHARS:
        return _words(text)
    if label := _LABEL.match(text):
        text = text[label.end() :]
    text = text.rstrip(_ENDS)
    # The point of "3 p.m." is none that ends a sentence.
    if text.endswith(".") and not re.search(r"\b[ap]\.m\.$", text, re.IGNORECASE):
        text = text.rstrip(_ENDS + ".")
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    for form in _FORMS:
        if reading := form(text):
            return reading
    if re.fullmatch(r"\([^()]*\)", text) and (inside := _read_quantity(text[1:-1])):
        return inside
    return _words(words_or_expression(text))


_ROUNDS = 50


def read(answer: str) -> Reading:
    """Return what an answer says; reading a reading's text again gives the same reading.

    What one reading strips may show a form that only the next one sees, so an answer is read until
    nothing changes any more.
    """
    seen = [answer]
    for _ in range(_ROUNDS):
        reading = _read_once(seen[-1])
        if reading.text == seen[-1]:
            return reading
        if reading.text in seen:
            # Two forms that read as each other: any one of them, but always the same.
            return _words(min(seen[seen.index(reading.text) :]))
        seen.append(reading.text)
    return _words(seen[-1])
