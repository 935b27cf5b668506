"""Times of day and dates in one form."""

import re

__all__ = ["date_text", "time_text"]

_TIME = re.compile(
    r"(?:at )?(\d{1,2})(?:([:.])(\d\d)(?::(\d\d))?)?\s?(a\.?m\.?|p\.?m\.?)?(?: o'clock)?",
    re.IGNORECASE,
)
_NAMED = {"noon": "12:00", "midday": "12:00", "12 noon": "12:00", "midnight": "00:00"}
_MONTHS = """january february march april may june july august september october november
    december""".split()
_MONTH = rf"({'|'.join(_MONTHS)}|{'|'.join(month[:3] for month in _MONTHS)}|sept)\.?"
_DAY = r"(?:the )?(\d{1,2})(?:st|nd|rd|th)?"
_DATE = re.compile(
    rf"(?:on )?(?:{_DAY} (?:of )?{_MONTH}|{_MONTH} {_DAY})(?:,? (\d{{4}}))?", re.IGNORECASE
)


def time_text(text: str) -> str:
    """Return a time of day as 15:30 (seconds only where there are some), or "" if it is none.

    Without am or pm the 24-hour clock is meant: 3:30 is not 3:30 pm.
    """
    if named := _NAMED.get(text.casefold().removeprefix("at ")):
        return named
    match = _TIME.fullmatch(text)
    # A bare number is none, and 3.30 is one only with am or pm.
    if match is None or not (match[5] or match[2] == ":"):
        return ""
    hour, minute, second = int(match[1]), int(match[3] or 0), int(match[4] or 0)
    if match[5]:
        if not 1 <= hour <= 12:
            return ""
        hour = hour % 12 + (12 if match[5][0] in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return ""
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def date_text(text: str) -> str:
    """Return a date with a month's name as "12 march 2024" or "12 march", or "" if it is none.

    Dates in digits are left alone: 3/4/2024 is a day in March or in April.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return ""
    day, name = int(match[1] or match[4]), (match[2] or match[3]).casefold()
    month = next(month for month in _MONTHS if month.startswith(name[:3]))
    return f"{day} {month}" + (f" {match[5]}" if match[5] else "")
