"""Numbers as people and models write them, read exactly."""

import re
from fractions import Fraction

__all__ = ["leading_number", "number_text"]

_MAX_DIGITS = 300
"""Digits of a number and magnitude of its exponent: what is beyond is compared as text."""

_LITERAL = r"(?:\d{1,3}(?: \d{3})+(?![\d/])(?:[.,]\d+)?|\d[\d.,'_]*\d|\d|\.\d+)"
_EXPONENT = r"(?:[eE]|\s*[*xX]\s*10\s*\^\s*)\(?(?P<exponent>[+-]?\d{1,4})\)?(?![\d.])"
_NUMBER = re.compile(
    rf"([+-]?)\s*(?:"
    rf"(?P<whole>\d{{1,9}})(?: | and )(?P<above>\d{{1,9}})\s?/\s?(?P<below>\d{{1,9}})(?![\d/.])"
    rf"|(?P<top>{_LITERAL})\s*/\s*(?P<bottom>-?{_LITERAL})(?!\s*[/\d])"
    rf"|10\s*\^\s*\(?(?P<power>-?\d{{1,4}})\)?(?![\d.^])"
    rf"|(?P<literal>{_LITERAL})(?:{_EXPONENT})?)"
)
# Each with what is removed from it; the decimal sign of what remains is a point or a comma.
_FORMS = [
    (re.compile(r"\d+"), ""),
    (re.compile(r"\d{1,3}(?:([ '_])\d{3})(?:\1\d{3})*(?:[.,]\d+)?"), " '_"),
    (re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?"), ","),
    (re.compile(r"[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?"), ","),
    (re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}"), "."),
    (re.compile(r"\d*\.\d+|\d+,\d+"), ""),
]
_MAGNITUDE = re.compile(
    r"\s*-?(hundred|thousand|million|billion|trillion|dozen)s?\b", re.IGNORECASE
)
_MAGNITUDES = {
    **{"dozen": 12, "hundred": 100, "thousand": 10**3},
    **{"million": 10**6, "billion": 10**9, "trillion": 10**12},
}
_SMALL = {
    word: value
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen""".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_PARTS = {
    **{"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6},
    **{"eighth": 8, "tenth": 10},
}
_UNITS = "|".join(sorted(_SMALL, key=len, reverse=True))
_WORDS = re.compile(
    rf"(?:(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<ones>{_UNITS}))?|(?P<small>{_UNITS}))\b"
    rf"(?:[ -](?P<part>{'|'.join(_PARTS)})s?\b)?",
    re.IGNORECASE,
)


def _literal(text: str) -> Fraction | None:
    if len(text) > _MAX_DIGITS:
        return None
    for form, groups in _FORMS:
        if form.fullmatch(text):
            digits = text.translate(dict.fromkeys(map(ord, groups))).replace(",", ".")
            return Fraction(digits)
    return None


def _value(match: re.Match[str]) -> Fraction | None:
    if match["whole"]:
        below = int(match["below"])
        return int(match["whole"]) + Fraction(int(match["above"]), below) if below else None
    if match["top"]:
        top, bottom = _literal(match["top"]), _literal(match["bottom"].lstrip("-"))
        if top is None or not bottom:
            return None
        return top / bottom * (-1 if match["bottom"].startswith("-") else 1)
    exponent = int(match["power"] or match["exponent"] or 0)
    if abs(exponent) > _MAX_DIGITS:
        return None
    base = Fraction(1) if match["power"] else _literal(match["literal"])
    return None if base is None else base * Fraction(10) ** exponent


def leading_number(text: str) -> tuple[Fraction, str] | None:
    """Return the number that a text in plain notation starts with, and what follows it.

    Reads 1,000 and 1 000 and 1.234,5 1e3, 3 * 10^5, 10^5, 2/3, 1 1/2, 2.5 million,
    twenty-five, two thirds. Nothing is evaluated but powers of ten up to 10^300.

    A separator in front of exactly three digits is ambiguous: a comma then groups (1,234 is 1234),
    a point is decimal (1.234 is less than 2), unless the same number shows otherwise: 1.234,5 and
    1.234.567 have groups, 0,125 and 1,5 have decimals.
    """
    value: Fraction | None
    if match := _NUMBER.match(text):
        value = _value(match)
        if value is not None and match[1] == "-":
            value = -value
    elif match := _WORDS.match(text):
        value = Fraction(_TENS[match["tens"].lower()] if match["tens"] else 0)
        if ones := match["ones"] or match["small"]:
            value += _SMALL[ones.lower()]
        if match["part"]:
            value /= _PARTS[match["part"].lower()]
    else:
        return None
    if value is None:
        return None
    rest = text[match.end() :]
    if magnitude := _MAGNITUDE.match(rest):
        value *= _MAGNITUDES[magnitude[1].lower()]
        rest = rest[magnitude.end() :]
    return value, rest


def number_text(value: Fraction) -> str:
    """Return a number exactly: as a decimal fraction where that ends, else as 2/3."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits
