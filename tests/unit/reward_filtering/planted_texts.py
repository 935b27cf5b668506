"""Texts to measure detection on: benchmark-like questions, persona requests, and changed copies.

A template is filled from word lists. `PLANTED` fills it with the words in even places of a list,
`OTHER` with those in odd ones: the same template with other content is no copy.
"""

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

PLANTED, OTHER = 0, 1

_READ = tomllib.loads(
    (Path(__file__).parents[2] / "data" / "question_templates.toml").read_text(encoding="utf-8")
)
BENCHMARK: dict[str, list[str]] = _READ["benchmark"]
PERSONAS: dict[str, list[str]] = _READ["personas"]
WORDS: dict[str, list[str]] = _READ["words"]
SYNONYMS: dict[str, str] = _READ["synonyms"]

_SLOT = re.compile(r"\{(\w+)\}")
ZEROS = (0x0660, 0x0966, 0xFF10)
"""The zeros of the Arabic-Indic, Devanagari and full-width digits."""


def filled(template: str, part: int, rng: random.Random) -> str:
    """Return a template with its slots filled from one half of each list, no word twice."""
    used: set[str] = set()

    def choose(slot: re.Match[str]) -> str:
        # A name that stands twice in a text is the same person; months and numbers differ.
        if slot[1] in ("person", "good", "planet") and slot[1] in again:
            return again[slot[1]]
        free = [word for word in WORDS[slot[1]][part::2] if word not in used]
        again[slot[1]] = word = rng.choice(free)
        used.add(word)
        return word

    again: dict[str, str] = {}
    return _SLOT.sub(choose, template)


def texts(source: dict[str, list[str]], part: int, each: int, seed: int) -> list[str]:
    """Return distinct fillings of every template, up to `each` of one."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    for templates in source.values():
        for template in templates:
            found |= dict.fromkeys(filled(template, part, rng) for _ in range(each))
    return list(found)


def _case(text: str, rng: random.Random) -> str:
    return rng.choice([text.upper(), text.lower(), text.title(), text.swapcase()])


def _punctuation(text: str, rng: random.Random) -> str:
    bare = re.sub(r"[.,;:?!]", "", text).split()
    return " ".join(word + rng.choice(["", "", ",", " -", "...", "!", '"']) for word in bare)


def _digits(text: str, rng: random.Random) -> str:
    zero = rng.choice(ZEROS)
    return re.sub("[0-9]", lambda digit: chr(zero + int(digit[0])), text)


def _exchanged(text: str, rng: random.Random) -> str:
    """Exchange two words, one pair for each ten words."""
    words = text.split()
    for _ in range(max(1, len(words) // 10)):
        first, second = rng.sample(range(len(words)), 2)
        words[first], words[second] = words[second], words[first]
    return " ".join(words)


def _replaced(text: str, rng: random.Random) -> str:
    """Replace one word in ten: by a synonym if there is one, else by a word from another text."""
    words = text.split()
    known = [place for place, word in enumerate(words) if word.lower() in SYNONYMS]
    rng.shuffle(known)
    for _ in range(max(1, len(words) // 10)):
        if known:
            place = known.pop()
            words[place] = SYNONYMS[words[place].lower()]
        else:
            words[rng.randrange(len(words))] = rng.choice(rng.choice(list(WORDS.values())))
    return " ".join(words)


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "unchanged": lambda text, _: text,
    "case": _case,
    "punctuation": _punctuation,
    "digits": _digits,
    "words exchanged": _exchanged,
    "words replaced": _replaced,
    "all at once": lambda text, rng: _digits(
        _case(_punctuation(_exchanged(_replaced(text, rng), rng), rng), rng), rng
    ),
}


def changed(originals: list[str], seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield every kind of change with each original and its changed copy."""
    rng = random.Random(seed)
    for kind, change in CHANGES.items():
        for original in originals:
            if kind != "digits" or re.search(r"\d", original):
                yield kind, original, change(original, rng)
