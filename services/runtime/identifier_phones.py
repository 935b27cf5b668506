"""Phone numbers in text: international, national of many countries, or called one by the words."""

import re
from collections.abc import Iterator
from functools import cache

import phonenumbers

_RUN = re.compile(
    r"(?<!\w)(?<![0-9][.,])[+\uff0b(]{0,2}[0-9]"
    r"(?:[0-9()]|[ \u00a0\u2009\u202f.\-/\u2010-\u2013]{1,3}(?=[0-9(]))*+"
)
_GROUP = re.compile(r"[0-9]+")
_DATE = re.compile(
    r"(?<![0-9])(?:[0-3]?[0-9][./-][01]?[0-9][./-](?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}[./-][01]?[0-9][./-][0-3]?[0-9])(?![0-9])"
)
_CUE = re.compile(
    r"\b(?:(?:tele|cell)?phone|tel|mobile|cell|fax|whats ?app|sms|hotline|landline|handy|telefon"
    r"(?:nummer)?|tel[eé]fono|telefone|t[eé]l(?:[eé]phone)?|portable|celular|m[oó]vil|ph"
    r"|(?:call|text|ring|dial|reach|phon)(?:ed|ing|s|e)?(?: (?:me|us|him|her|them|it|my [a-z]+))?"
    r"|(?:my|his|her|our|their)(?: [a-z]+)? number)s?"
    r"(?:\W{0,2}\b(?:numbers?|no|num|nr|line|is|was|at|on|under|via|by|home|office|work|direct"
    r"|or|now)\b){0,3}[\s.:#]{0,3}$",
    re.IGNORECASE,
)
_CUE_WINDOW = 60

_TRUNK_REGIONS = "GB DE FR NL BE CH AT SE AU NZ JP KR IN NG KE ZA EG TR IL PK ID TH"
"""Countries whose national numbers begin with 0, so that a 0 and a valid number tell them."""
_SHAPES = {
    (3, 3, 4): "US",
    (1, 3, 3, 4): "US",
    (5, 5): "IN",
    (3, 4, 4): "CN",
    (2, 5, 4): "BR",
    (2, 4, 4): "BR",
}
"""Countries without such a 0: told by how many digits stand together."""
_MIN_DIGITS, _MIN_TRUNK_DIGITS, _MAX_DIGITS, _MAX_GROUPS = 7, 9, 15, 7


def phone_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of phone numbers.

    A number counts if it is valid with its country code ("+49 30 901820"), if it is valid with the
    trunk prefix of one of 22 countries ("020 7946 0958"), if it is written in the groups of a
    country without one ("(212) 555-0142"), or if the words before call it one ("ring me on 555
    0142"). Years, dates, prices and sums stand for themselves.
    """
    for run in _RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        if groups[-1][1] - run.start() < _MIN_DIGITS or text[run.end() : run.end() + 1] in {
            "%",
            "€",
        }:
            continue
        cued = bool(_CUE.search(text[max(0, run.start() - _CUE_WINDOW) : run.start()]))
        first = 0
        while first < len(groups):
            last = _last_group(text, groups, first, cued and first == 0, run.start())
            if last is None:
                first += 1
                continue
            yield _with_signs(text, groups[first][0], groups[last][1], run.start())
            first = last + 1


def _last_group(
    text: str, groups: list[tuple[int, int]], first: int, cued: bool, floor: int
) -> int | None:
    """Return the last group of the longest number that begins with group `first`."""
    valid = called = None
    for last in range(first, min(first + _MAX_GROUPS, len(groups))):
        start, end = groups[first][0], groups[last][1]
        digits = "".join(text[slice(*group)] for group in groups[first : last + 1])
        if len(digits) > _MAX_DIGITS + 2:
            break
        written = text[_with_signs(text, start, end, floor)[0] : end]
        if len(digits) < _MIN_DIGITS or _DATE.search(written):
            continue
        shape = tuple(stop - begin for begin, stop in groups[first : last + 1])
        if _is_number(written, digits, shape):
            valid = last
        elif cued and len(digits) <= _MAX_DIGITS:
            called = last
    return called if valid is None else valid


def _is_number(written: str, digits: str, shape: tuple[int, ...]) -> bool:
    if written.startswith(("+", "\uff0b", "(+")):
        return _is_valid("+" + digits, None)
    if digits.startswith("00"):
        return _is_valid("+" + digits[2:], None)
    if digits.startswith("0"):
        # Pairs are the smallest groups in use; shorter rows of digits are mostly something else.
        in_groups = len(digits) >= 2 * len(shape)
        return (
            in_groups
            and len(digits) >= _MIN_TRUNK_DIGITS
            and any(_is_valid(digits, region) for region in _TRUNK_REGIONS.split())
        )
    region = _SHAPES.get(shape)
    punctuated = "(" in written or "-" in written or "." in written
    if region == "US" and punctuated:
        return digits[-10] in "23456789"  # also the numbers reserved for fiction
    return region is not None and (region != "BR" or punctuated) and _is_valid(digits, region)


def _is_valid(digits: str, region: str | None) -> bool:
    # The pattern of the region is far cheaper than parsing, and lets nearly nothing else through.
    if region is not None and not _national_pattern(region).fullmatch(
        digits.lstrip("0")[:_MAX_DIGITS]
    ):
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False


@cache
def _national_pattern(region: str) -> re.Pattern[str]:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    numbers = metadata and metadata.general_desc
    if not (numbers and numbers.national_number_pattern):
        raise LookupError(f"phonenumbers knows no numbers of {region}")
    return re.compile(numbers.national_number_pattern)


def _with_signs(text: str, start: int, end: int, floor: int) -> tuple[int, int]:
    """Widen a number to the plus and the brackets that belong to it."""
    while start > floor and text[start - 1] in "+\uff0b(":
        start -= 1
    if ")" in text[end : end + 1] and "(" in text[start:end] and ")" not in text[start:end]:
        end += 1
    return start, end
