"""Names of persons in text: names that are given, and names behind a title."""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_MARKS = "".join(
    chr(code)
    for code in range(0x300, min(0x1F000, sys.maxunicode))
    if unicodedata.category(chr(code)) in {"Mn", "Mc"}
)
_UNSPACED_SCRIPTS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts that write words, or words and their particles, without a space between."""
UNSPACED = re.compile(f"[{_UNSPACED_SCRIPTS}]")
# Combining marks belong to words (vowel signs of Indic scripts, decomposed accents), but not to \w.
# Where an unspaced script begins or ends, so does a word: a Latin name may stand amid Japanese.
WORD = re.compile(rf"(?:[^\W_{_UNSPACED_SCRIPTS}]|[{_MARKS}])+|[{_UNSPACED_SCRIPTS}{_MARKS}]+")

_PARTICLE_WORDS = (
    "af al and av bin bint da das de del della den der di do dos du e el ibn la las le los of"
    " san st ten ter the und van von y zu zum zur"
)
_PARTICLES = frozenset(_PARTICLE_WORDS.split())
"""Never a name of their own, though part of many."""

_ORDINARY_WORDS = (
    "abbey able amber an angel april art ash august autumn baker ball banks barber bell berry"
    " best bill bird bishop black bloom bond brook brooks brown buck bush butler can carol"
    " carpenter carter cash chance chase cherry christian church clay cliff cook cooper crane"
    " crystal daisy dale dawn day dean don drew duke earl east eden eve faith farmer field"
    " fields fisher flower ford forest fox frank gale gardener gene glen gold good grace grant"
    " gray green guy ha hall harmony harper haven he heath heather hill ho holly honey hope"
    " house hunt hunter iris ivory ivy jack jade jay jean jo joy judge june kay king knight lake"
    " lane law lay lee lily little long love low major man march mark marsh marshall martin"
    " mason max may melody merry miles mill miller min moon more my nick norm north oak olive"
    " page park pat patience paul pearl penny pierce pin pope porter potter price prince queen"
    " rain rains ray read reed rice rich river rivers rob robin rock rose rosemary ruby rush"
    " sage sandy sharp shepherd short silver singer sky smart snow so son spring star stern"
    " stone storm strong sue summer sun swan tailor taylor terry thorn to too tree trip turner"
    " violet wade walker wall ward waters weaver wells west white will winter wise wolf wood"
    " woods wright yes you young yu"
)
_ORDINARY = frozenset(_ORDINARY_WORDS.split())
"""Names that are English words as well: only a capital makes them a name."""

_NO_NAMES = (
    "and april assistant associate at august chairman chairwoman december dr emerita emeritus"
    " february friday i in january july june march may monday mr mrs ms november october on or"
    " president prof saturday september speaker sunday the thursday tuesday wednesday"
)
_NOT_AFTER_TITLE = frozenset(_NO_NAMES.split())
_TITLE = re.compile(
    r"(?<![^\W_])(?:(?:Drs?|Mr|Mrs|Ms|Mx|Miss|Prof|Professor|Doctor|Sir|Dame|Rev|Reverend|Herr|Frau"
    r"|Mme|Monsieur|Madame|Señor|Señora|Sra|Dra|Signor|Signora|Senhor|Senhora|Sgt|Capt|Lt)\b"
    r"\.?[ \u00a0]{1,2}){1,3}"
)
_NAMES_AFTER_TITLE = 4
_LIGATURES = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "\u0131": "i", "æ": "ae", "œ": "oe"}
)


def fold(text: str) -> str:
    """Return `text` without what spelling leaves open: case, width, accents and ligatures."""
    if text.isascii():
        return text.lower()
    # Twice: case folding can leave a compatibility form behind, and NFKD an upper-case letter.
    wide = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).casefold()
    return "".join(c for c in wide if unicodedata.category(c) != "Mn").translate(_LIGATURES)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, for looking up many names."""

    any_case: frozenset[str]
    capitalised: frozenset[str]
    folded: str

    @classmethod
    def of(cls, text: str) -> "Words":
        """Index the words of `text`."""
        words = set(WORD.findall(unicodedata.normalize("NFKC", text)))
        return cls(
            frozenset(map(fold, words)),
            frozenset(fold(word) for word in words if _is_capital(word)),
            fold(text),
        )


def name_stands(name: str, words: Words, capital: bool) -> bool:
    """Return whether any part of `name` is among `words`; `capital`: only with a capital."""
    folded = fold(name)
    if UNSPACED.search(name):
        return any(len(part) > 1 and part in words.folded for part in [folded, *folded.split()])
    parts = {fold(part) for part in WORD.findall(unicodedata.normalize("NFKC", name))}
    return any(
        part in (words.capitalised if capital or part in _ORDINARY else words.any_case)
        for part in parts
        if _names_someone(part)
    )


def given_names(text: str, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where `names`, or parts of them of two letters or more, stand in `text`.

    Case does not matter, except for parts that are English words too ("Will", "Rose"). Neighbouring
    parts, with initials and particles between them, are one name; a possessive 's stays outside.
    """
    spaced = []
    for name in names:
        unspaced = [part for part in name.split() if UNSPACED.search(part) and len(part) > 1]
        if unspaced:
            whole = {name.strip(), "".join(name.split())}
            longest_first = sorted({*whole, *unspaced}, key=len, reverse=True)
            literal = re.compile("|".join(map(re.escape, longest_first)))
            hits = [match.span() for match in literal.finditer(text)]
            yield from hits
            text = literal.sub(lambda match: "\0" * len(match[0]), text)
        spaced.append(UNSPACED.sub(" ", name))
    yield from _runs(text, [fold(word) for name in spaced for word in WORD.findall(name)], False)


def titled_names(text: str) -> Iterator[tuple[int, int]]:
    """Yield where names behind a title stand in `text`, and where their parts stand without it."""
    spans = []
    parts: set[str] = set()
    for title in _TITLE.finditer(text):
        words = _words_after_title(text, title.end())
        if any(len(word[0]) > 1 for word in words):
            spans.append((words[0].start(), words[-1].end()))
            parts.update(fold(word[0]) for word in words)
    yield from spans
    pieces = []
    position = 0
    for start, end in spans:
        pieces += [text[position:start], "\0" * (end - start)]
        position = end
    yield from _runs("".join([*pieces, text[position:]]), sorted(parts), True)


def _words_after_title(text: str, start: int) -> list[re.Match[str]]:
    words: list[re.Match[str]] = []
    while len(words) < _NAMES_AFTER_TITLE and (word := WORD.match(text, start)):
        particle = fold(word[0]) in _PARTICLES
        if not (particle or _is_capital(word[0])) or fold(word[0]) in _NOT_AFTER_TITLE:
            break
        words.append(word)
        dot = len(word[0]) == 1 and text[word.end() : word.end() + 1] == "."
        start = word.end() + dot
        if text[start : start + 1] not in {" ", "\u00a0", "-", "'", "\u2019"}:
            break
        if text[start] in "'\u2019" and text[start + 1 : start + 3] in {"s", "s ", "s,", "s."}:
            break
        start += 1
    while words and fold(words[-1][0]) in _PARTICLES:
        words.pop()
    return words


def _runs(text: str, parts: Iterable[str], capital: bool) -> Iterator[tuple[int, int]]:
    """Yield the longest runs of neighbouring `parts` (folded) in `text` that make up a name."""
    members = set(parts)
    if not any(map(_names_someone, members)):
        return
    initials = {part[0] for part in members}
    run: list[re.Match[str]] = []
    for word in WORD.finditer(text):
        known = fold(word[0])
        initial = len(word[0]) == 1 and word[0].isupper()
        abbreviated = initial and bool(run) and text[word.end() : word.end() + 1] == "."
        if known in members or abbreviated or (initial and known in initials):
            if run and not _joins(text[run[-1].end() : word.start()], run[-1][0]):
                yield from _name_in(text, run, capital)
                run = []
            run.append(word)
        elif run:
            yield from _name_in(text, run, capital)
            run = []
    yield from _name_in(text, run, capital)


def _joins(gap: str, before: str) -> bool:
    return gap in {" ", "\u00a0", "-", "'", "\u2019", "\n"} or (
        gap in {".", ". "} and len(before) == 1
    )


def _name_in(text: str, run: list[re.Match[str]], capital: bool) -> Iterator[tuple[int, int]]:
    """Yield the name that `run` holds without the particles and stray letters at its ends."""
    words = list(run)
    while words and not _names_someone(fold(words[-1][0])):
        if len(words[-1][0]) == 1 and len(words) > 1 and text[words[-1].end() :][:1] == ".":
            break
        words.pop()
    while words and not _names_someone(fold(words[0][0])):
        if len(words[0][0]) == 1 and text[words[0].end()] in ".'\u2019":
            break
        words.pop(0)
    for word in words:
        part = fold(word[0])
        needs_capital = capital or part in _ORDINARY
        if _names_someone(part) and (_is_capital(word[0]) or not needs_capital):
            last = words[-1]
            yield words[0].start(), last.end() + (len(last[0]) == 1)
            return


def _names_someone(part: str) -> bool:
    return sum(map(str.isalpha, part)) > 1 and part not in _PARTICLES


def _is_capital(word: str) -> bool:
    return word[0].isupper() or word[0].istitle()
