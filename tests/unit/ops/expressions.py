"""What a PromQL expression asks for: its metrics, and the labels that it names of them.

No whole parser: enough for the expressions of this repository, whose selectors all have braces or
stand by themselves. Names of functions, keywords and labels of groupings are told apart by where
they stand.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(
    rf"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<matchers>\{{(?:[^}}\"]|{_STRING})*\}})?"
    r"(?P<call>\s*\()?"
)
_MATCHER = re.compile(rf"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*({_STRING})")
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORDS = {"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring", "inf", "nan"}
_WORDS |= {"group_left", "group_right", "atan2", "Inf", "NaN"}
_DURATION = re.compile(r"\[[^\]]*\]|\boffset\s+-?\w+|\b\d[\w.]*")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that is asked for."""

    metric: str
    matchers: tuple[tuple[str, str], ...] = ()
    """Labels, and what they are held against."""


def selectors(expression: str) -> Iterator[Selector]:
    """Return the metrics of an expression with their matchers; recorded ones are metrics too."""
    text = _GROUPING.sub(" ", expression)
    kept: list[str] = re.findall(r"\{[^}]*\}", text)
    # Durations and numbers go, but not those within braces.
    parts = re.split(r"\{[^}]*\}", text)
    parts = [_DURATION.sub(" ", part) for part in parts]
    text = "".join(part + brace for part, brace in zip(parts, [*kept, ""], strict=True))
    position = 0
    while match := _SELECTOR.search(text, position):
        position = match.end()
        if match["name"] in _WORDS or (match["call"] and not match["matchers"]):
            continue
        if match["call"]:
            position = match.end("matchers")
        found = _MATCHER.findall(match["matchers"] or "")
        yield Selector(match["name"], tuple((name, value[1:-1]) for name, value in found))


def groupings(expression: str) -> set[str]:
    """Return the labels that an expression groups or joins by."""
    found = {
        name.strip() for _, names in _GROUPING.findall(expression) for name in names.split(",")
    }
    return found - {""}
