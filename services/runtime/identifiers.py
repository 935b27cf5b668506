"""Finds personal identifiers in text by rules, and takes them out before any model reads it.

Every rule looks a bounded distance to either side of what it stands on, so that time grows
linearly with the length of the text, whatever the text is.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from services.runtime.identifier_contacts import (
    Span,
    addresses,
    e_mails,
    handles,
    ip_addresses,
    urls,
)
from services.runtime.identifier_names import (
    UNSPACED,
    Words,
    fold,
    given_names,
    name_stands,
    titled_names,
)
from services.runtime.identifier_numbers import DATES, NUMBERS, TOKENS, birth_dates, ids
from services.runtime.identifier_phones import phone_numbers

PLACEHOLDERS: Mapping[str, str] = {
    "url": "[link]",
    "e-mail": "[e-mail]",
    "handle": "[handle]",
    "id": "[id]",
    "ip": "[ip]",
    "birth date": "[birth date]",
    "phone": "[phone]",
    "address": "[address]",
    "name": "[name]",
    "titled name": "[name]",
}
"""Every kind of identifier, with what `scrub` puts in its place."""

_RULES: tuple[tuple[str, Callable[[str], Iterable[Span]]], ...] = (
    ("url", urls),
    ("e-mail", e_mails),
    ("handle", handles),
    ("id", ids),
    ("ip", ip_addresses),
    ("birth date", birth_dates),
    ("phone", phone_numbers),
    ("address", addresses),
)
"""In order of precedence: what an earlier rule found is hidden from the later ones."""

_OF_DIGITS = frozenset({"id", "birth date", "phone", "address"})
"""Kinds that a text without any digit has none of: half of the time that a look takes."""

_DIGIT = re.compile(r"\d")

_REPEATS: Mapping[str, re.Pattern[str]] = {"id": TOKENS, "phone": NUMBERS, "birth date": DATES}
"""Kinds found by the words before them; once known, they are found without these words too."""

_FILLER = "\0"
"""Hides what was found: neither letter nor space, so that no rule reads across it."""

_ROUNDS = 4
"""What is found can bare its neighbour (an IBAN right behind a phone number): look again."""

_LAST_DIGITS = 8
"""A phone number is known by its last digits: country code and trunk prefix come and go."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Something in a text that points to a person."""

    kind: str
    """A key of `PLACEHOLDERS`; `name` is a name that was given, `titled name` one after a title."""
    text: str
    start: int
    """Offset of its first character in the text that was searched."""
    end: int
    """Offset after its last character."""


def find_identifiers(text: str, names: Sequence[str] = ()) -> list[Identifier]:
    """Return the personal identifiers in `text`, sorted and without overlaps.

    Args:
        text: any text; placeholders of an earlier `scrub` are passed over.
        names: names to look for, each as a whole and by each of its parts of two letters or more.
    """
    return _find(text, names, ())


def scrub(
    text: str, names: Sequence[str] = (), replacements: Mapping[str, str] | None = None
) -> tuple[str, list[Identifier]]:
    """Return `text` with its identifiers replaced, and what they were.

    Scrubbing a second time with the same arguments changes nothing, unless long chains of
    identifiers stand in the text with nothing between them.

    Args:
        text: any text.
        names: as for `find_identifiers`.
        replacements: what to write for a kind in place of its placeholder in `PLACEHOLDERS`;
            `{"name": "Amina K."}` gives the owner of `names` a pseudonym.
    """
    own = replacements or {}
    chosen = {**PLACEHOLDERS, **own}
    found = _find(text, names, tuple(own.values()))
    pieces = []
    position = 0
    for identifier in found:
        pieces += [text[position : identifier.start], chosen[identifier.kind]]
        position = identifier.end
    return "".join([*pieces, text[position:]]), found


def surviving(identifiers: Iterable[Identifier], text: str) -> list[Identifier]:
    """Return those of `identifiers` that still stand in `text`, a rewriting of their source.

    Wider than a search for the same characters: case, width (NFKC), accents, spaces and the
    punctuation inside numbers do not matter; a phone number is known by its last eight digits, a
    name by any of its parts, an e-mail address also when its signs are spelled out.
    """
    words = Words.of(text)
    folded = fold(text)
    squeezed = re.sub(r"\s+", "", folded)
    compact = _compact(folded)
    undotted = compact.replace("dot", "")

    def stands(identifier: Identifier) -> bool:
        known = re.sub(r"\s+", "", fold(identifier.text))
        match identifier.kind:
            case "name" | "titled name":
                return name_stands(identifier.text, words, identifier.kind == "titled name")
            case "phone":
                return _compact(known)[-_LAST_DIGITS:] in compact
            case "id" | "birth date" | "address":
                return _compact(known) in compact
            case "e-mail":
                local, _, domain = known.partition("@")
                spelled = f"{_compact(local)}at{_compact(domain)}".replace("dot", "")
                return known in squeezed or spelled in undotted
            case "url":
                return re.sub(r"^(?:\w{2,5}://)?(?:www\.)?|/$", "", known) in squeezed
            case "handle" if re.search(r"[\d_]", known):
                known = known.lstrip("@")  # no ordinary word: known without its sign too
        # Not \w: some scripts write no space before and after it. And "@ana" may touch a word.
        before = "(?<![0-9a-z_])" if known[:1].isalnum() else ""
        return bool(re.search(rf"{before}{re.escape(known)}(?![0-9a-z_])", folded))

    return [identifier for identifier in identifiers if stands(identifier)]


def _find(text: str, names: Sequence[str], kept: Sequence[str]) -> list[Identifier]:
    """Look until nothing more is found, passing over placeholders and the strings `kept`."""
    passed_over = sorted({*PLACEHOLDERS.values(), *filter(None, kept)}, key=len, reverse=True)
    literals = re.compile("|".join(map(re.escape, passed_over)))
    left = _hidden(text, [match.span() for match in literals.finditer(text)])
    digits = _DIGIT.search(text) is not None
    rules: tuple[tuple[str, Callable[[str], Iterable[Span]]], ...] = (
        *(rule for rule in _RULES if digits or rule[0] not in _OF_DIGITS),
        ("name", partial(given_names, names=names)),
        ("titled name", titled_names),
    )
    # Where a script leaves no space around "192.0.2.7", the first look is without its letters.
    looks: list[Callable[[str], str]] = [str]
    if UNSPACED.search(text):
        looks.insert(0, partial(UNSPACED.sub, _FILLER))
    found: list[Identifier] = []
    for _ in range(_ROUNDS):
        before = len(found)
        for kind, rule in rules:
            for look in looks:
                spans = sorted(rule(look(left)))
                found += [Identifier(kind, text[slice(*span)], *span) for span in spans]
                left = _hidden(left, spans)
        for kind, pattern in _REPEATS.items():
            known = {_compact(fold(each.text)) for each in found if each.kind == kind}
            spans = list(_repeated(left, pattern, known)) if known else []
            found += [Identifier(kind, text[slice(*span)], *span) for span in spans]
            left = _hidden(left, spans)
        if len(found) == before:
            break
    return sorted(found, key=lambda identifier: identifier.start)


def _repeated(text: str, pattern: re.Pattern[str], known: set[str]) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if _compact(fold(match[0])) in known:
            yield match.span()


def _hidden(text: str, spans: Sequence[Span]) -> str:
    if not spans:
        return text
    pieces = []
    position = 0
    for start, end in spans:
        pieces += [text[position:start], _FILLER * (end - start)]
        position = end
    return "".join([*pieces, text[position:]])


def _compact(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)
