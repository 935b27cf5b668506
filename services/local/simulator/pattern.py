r"""Texts that match a simple regular expression.

Understood: literals, `.`, classes, `\d \w \s` and their opposites, groups, `|`, the quantifiers
`* + ? {m} {m,} {m,n}`, and `^`, `$` at the ends. Anything else is refused rather than guessed.
"""

import re
from functools import lru_cache
from random import Random
from typing import NamedTuple

_PRINTABLE = "".join(map(chr, range(32, 127)))
_WORD = "".join(c for c in _PRINTABLE if c.isalnum() or c == "_")
_CLASSES = {"d": "0123456789", "w": _WORD, "s": " "}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_TIMES = re.compile(r"\{(?=[\d,])(\d*)(,?)(\d*)\}")
_OPEN_ENDED = 4
"""How many more times than it must a `*`, `+` or `{m,}` repeats at most."""


class PatternError(ValueError):
    """The expression is wrong, or beyond what is understood here."""


class _Repeat(NamedTuple):
    """One of `alternatives`, each a sequence of parts, or one of `characters`; several times."""

    alternatives: tuple[tuple["_Repeat", ...], ...]
    characters: str
    least: int
    most: int


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def alternatives(self, depth: int = 0) -> tuple[tuple[_Repeat, ...], ...]:
        found = []
        while True:
            found.append(self._sequence())
            if self._take("|"):
                continue
            if depth == 0 and self._at < len(self._pattern):
                raise PatternError(f"unexpected {self._pattern[self._at]!r}")
            return tuple(found)

    def _sequence(self) -> tuple[_Repeat, ...]:
        parts = []
        while self._at < len(self._pattern) and self._peek() not in "|)":
            if self._take("^") or self._take("$"):
                continue
            groups, characters = self._atom()
            parts.append(_Repeat(groups, characters, *self._quantifier()))
        return tuple(parts)

    def _atom(self) -> tuple[tuple[tuple[_Repeat, ...], ...], str]:
        if self._take("("):
            if self._take("?") and not self._take(":"):
                raise PatternError("only plain and (?:...) groups are understood")
            inside = self.alternatives(depth=1)
            self._take(")")
            return inside, ""
        if self._take("["):
            return (), self._class()
        if self._take("."):
            return (), _PRINTABLE
        return (), self._escaped() if self._take("\\") else self._next()

    def _class(self) -> str:
        negated = self._take("^")
        members = self._member()  # a "]" that comes first stands for itself
        while not self._take("]"):
            members += self._member()
        return "".join(c for c in _PRINTABLE if c not in members) if negated else members

    def _member(self) -> str:
        first = self._escaped() if self._take("\\") else self._next()
        following = self._pattern[self._at : self._at + 2]
        if len(first) != 1 or not following.startswith("-") or following == "-]":
            return first
        self._at += 1
        last = self._escaped() if self._take("\\") else self._next()
        return "".join(map(chr, range(ord(first), ord(last) + 1)))

    def _escaped(self) -> str:
        letter = self._next()
        if letter.lower() in _CLASSES:
            members = _CLASSES[letter.lower()]
            if letter.islower():
                return members
            return "".join(c for c in _PRINTABLE if c not in members)
        if letter.isalnum() and letter not in _ESCAPES:
            raise PatternError(f"\\{letter} is not understood")
        return _ESCAPES.get(letter, letter)

    def _quantifier(self) -> tuple[int, int]:
        least, most = 1, 1
        if self._take("*"):
            least, most = 0, _OPEN_ENDED
        elif self._take("+"):
            least, most = 1, 1 + _OPEN_ENDED
        elif self._take("?"):
            least, most = 0, 1
        elif found := _TIMES.match(self._pattern, self._at):
            self._at = found.end()
            least = int(found[1] or 0)
            most = int(found[3]) if found[3] else least + (_OPEN_ENDED if found[2] else 0)
        else:
            return least, most
        self._take("?")
        return least, most

    def _peek(self) -> str:
        return self._pattern[self._at]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, character: str) -> bool:
        if self._pattern.startswith(character, self._at):
            self._at += len(character)
            return True
        return False


@lru_cache(maxsize=256)
def _parse(pattern: str) -> tuple[tuple[_Repeat, ...], ...]:
    try:
        re.compile(pattern)
    except re.error as wrong:
        raise PatternError(str(wrong)) from None
    return _Parser(pattern).alternatives()


def check_pattern(pattern: str) -> None:
    """Refuse what `matching_text` could not serve.

    Raises:
        PatternError: says what of `pattern` is wrong or not understood.
    """
    matching_text(pattern, Random(0))


def matching_text(pattern: str, random: Random) -> str:
    """Return a text that `pattern` matches from its start to its end.

    Raises:
        PatternError: `pattern` is wrong or beyond what is understood here.
    """
    text = _draw(_parse(pattern), random)
    if re.fullmatch(pattern, text) is None:
        raise PatternError("it can match nothing that is understood here")
    return text


def _draw(alternatives: tuple[tuple[_Repeat, ...], ...], random: Random) -> str:
    pieces = []
    for part in random.choice(alternatives):
        for _ in range(random.randint(part.least, part.most)):
            if part.alternatives:
                pieces.append(_draw(part.alternatives, random))
            elif part.characters:
                pieces.append(random.choice(part.characters))
    return "".join(pieces)
