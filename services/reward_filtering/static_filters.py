"""The rules of the static stage: what can be told of a text without a model (not its language)."""

import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from services.reward_filtering.request_forms import QUOTED, VERBS, is_request, word_set
from services.runtime.identifiers import find_identifiers

__all__ = [
    "StaticLimits",
    "clean_instruction",
    "is_refusal",
    "is_repetitive",
    "is_request",
    "static_reason",
    "words",
]

UNSURE_IDENTIFIERS = frozenset({"name", "titled name", "address"})
"""Kinds that a rule cannot tell from fiction: personas have names and places of their own."""

LOOP_WINDOW = 100
"""Words that repetition is measured over: the longer a natural text, the more it repeats."""

LOOP_GRAM = 12
"""Words that have to come again as they were. Reasoning says "the price of one ..." in each of its
steps, but each step has something new: shorter runs repeat in half of all natural traces."""

LOOP_SHARE = 0.35
"""Share of a window that may stand in such repeats."""

LINE_SHARE = 0.2
"""Share of a text's lines that one line may be."""

LINE_COUNT = 3
"""Times that a line may occur whatever its share."""

LONGEST_CYCLE = LOOP_WINDOW // 3
CYCLING_WORDS = 30
"""Words that may go round in one cycle, three times or more: "2 + 2 + 2 + 2" is no loop."""

LEAST_WORDS = 10
"""A text of fewer words is no loop."""

DISTINCT_SHARE = 0.15
"""Share of a window's words that are distinct, at least."""


@dataclass(frozen=True, slots=True)
class StaticLimits:
    """What an instruction must keep to."""

    min_words: int
    max_words: int
    allow_pii: bool = False


# Scripts written without spaces: Thai and Lao, Burmese, Khmer, Kana, Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")


_ASCII_SIGNS = "".join(chr(code) for code in range(128) if not chr(code).isalnum())

# A digit in Python's sense has a decimal value in every script.
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")


def _ascii_digit(digit: re.Match[str]) -> str:
    return str(unicodedata.decimal(digit[0]))


def _bare(token: str) -> str:
    """Return a token without what is no letter, digit or mark at its ends."""
    # What is alphanumeric is exactly what is a letter or a digit: most tokens are bare already.
    if token[0].isalnum() and token[-1].isalnum():
        return token
    start, end = 0, len(token)
    while start < end and unicodedata.category(token[start])[0] not in "LNM":
        start += 1
    while start < end and unicodedata.category(token[end - 1])[0] not in "LNM":
        end -= 1
    return token[start:end]


def words(text: str) -> list[str]:
    """Return the words of a text: compatibility form, case folded, no punctuation at their ends.

    In scripts without spaces each character counts as a word. The digits of every script become
    0 to 9: NFKC maps full-width ones only.
    """
    if text.isascii():
        tokens = text.lower().split()
        return [word for token in tokens if (word := token.strip(_ASCII_SIGNS))]
    folded = _OTHER_DIGIT.sub(_ascii_digit, unicodedata.normalize("NFKC", text).casefold())
    found = (_bare(token) for token in _TOKEN.findall(folded))
    return [word for word in found if word]


def _windows(length: int) -> Iterator[slice]:
    for start in range(0, max(1, length - LOOP_WINDOW + 1), LOOP_WINDOW):
        yield slice(start, start + LOOP_WINDOW)
    # Models fall into loops at the end of a text: it is a window of its own.
    yield slice(max(0, length - LOOP_WINDOW), length)


def _repeats(found: list[str]) -> list[bool]:
    """Tell of each word whether it stands in a run that came within the window before it."""
    repeated = [False] * len(found)
    grams = list(zip(*(found[offset:] for offset in range(LOOP_GRAM)), strict=False))
    if len(set(grams)) == len(grams):
        return repeated
    before: dict[tuple[str, ...], int] = {}
    for start, gram in enumerate(grams):
        if start - before.get(gram, -LOOP_WINDOW - 1) <= LOOP_WINDOW:
            repeated[start : start + LOOP_GRAM] = [True] * LOOP_GRAM
        before[gram] = start
    return repeated


def _cycling(found: list[str]) -> int:
    """Return the most words in a row that go round in one cycle, three times or more."""
    most = 0
    # From the second time on, each word of a cycle is one that stood there before.
    known = len(found) - len(set(found))
    for cycle in range(1, min(LONGEST_CYCLE, len(found) // 3, known // 2) + 1):
        equal = list(map(operator.eq, found[cycle:], found))
        if sum(equal) < 2 * cycle:
            continue
        run = max(map(len, bytes(equal).split(b"\0")))
        if run >= 2 * cycle:
            most = max(most, run + cycle)
    return most


def is_repetitive(text: str) -> bool:
    """Tell whether a text runs in a loop.

    That is: a window of `LOOP_WINDOW` words of which more than `LOOP_SHARE` stand in runs of
    `LOOP_GRAM` words that came shortly before, or fewer than `DISTINCT_SHARE` are distinct;
    `CYCLING_WORDS` in a row that go round in one cycle, or more than half of a shorter text; or a
    line of three words or more that makes up more than `LINE_SHARE` of all lines. Fenced code
    repeats by nature: only the rule for lines holds for it.
    """
    lines = [line.strip() for line in text.splitlines() if len(line.split()) >= 3]
    if len(lines) > LINE_COUNT:
        most = max(Counter(lines).values())
        if most > LINE_COUNT and most > LINE_SHARE * len(lines):
            return True
    found = words(re.sub(r"```.*?(?:```|\Z)", " ", text, flags=re.DOTALL))
    if len(found) < LEAST_WORDS:
        return False
    cycling = _cycling(found)
    if cycling >= CYCLING_WORDS or (cycling >= LEAST_WORDS and 2 * cycling > len(found)):
        return True
    repeated = _repeats(found)
    for window in _windows(len(found)):
        length = len(found[window])
        if len(set(found[window])) < DISTINCT_SHARE * length:
            return True
        if sum(repeated[window]) > LOOP_SHARE * length:
            return True
    return False


_UNABLE = (
    r"(?:i(?: |['\u2019])(?:can(?:no|['\u2019])?t|can not|won['\u2019]t|will not|refuse to"
    r"|a?m (?:unable|not (?:able|allowed|permitted|programmed|designed|in a position)) to"
    r"|(?:must|have to|need to|will have to)(?: respectfully| politely)? decline"
    r"|(?:do not|don['\u2019]t) (?:feel comfortable|have the ability to)))"
)
_SERVE = (
    r"(?: really| directly| actually)?(?: help(?! but|ing)| assist| provid| fulfil| comply| answer"
    r"| creat| writ| generat| support| engag| participat| discuss| offer| share| continue with"
    r"| respond| advise| do (?:that|so)\b| give (?!up)| access| complete| process| produce| to\b"
    r"|[.,!])"
)
_REFUSAL = re.compile(
    # The sentence starts with the inability, or with a regret or a remark on oneself before it.
    r"(?:^|^[^.!?]*[.!?]\s+)(?:(?:i['\u2019]m|i am|i apologi[sz]e|i understand|i appreciate"
    r"|i regret|oh|sorry|my apologies|apologies|unfortunately|regrettably|as an?|while|thank"
    r"|however|but)\b"
    rf"[^.!?]{{0,120}}?)?\b{_UNABLE}{_SERVE}"
    r"|^(?:i['\u2019]m |i am )?(?:so |very )?sorry,? (?:but )?no\b"
    r"|\b(?:this|your|that) (?:request|question|prompt) (?:violates|goes against|is against)\b"
    r"|\bagainst my (?:guidelines|programming|polic|principles)"
    # Spanish, Portuguese, French, German, Chinese, Japanese.
    r"|^(?:lo siento|desculpe|(?:je suis )?d\u00e9sol\u00e9e?|es tut mir leid)\b[^.!?]{0,40}"
    r"\b(?:no puedo|n\u00e3o posso|ne (?:peux|puis) pas|kann ich|ich kann)\b"
    r"|^(?:\u5f88)?\u62b1\u6b49.{0,10}(?:\u65e0\u6cd5|\u4e0d\u80fd)|^\u7533\u3057\u8a33"
    r"(?:\u3042\u308a|\u3054\u3056\u3044)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?:dear|subject:|to whom|hi \w+,|hello \w+,)", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Tell whether a response starts with a refusal to do what was asked.

    Looks at the first 250 characters outside of quotes, for "I" with a word of inability and a
    verb of serving. The drafts of letters and e-mails, which may decline on somebody's behalf,
    are no refusals.
    """
    start = QUOTED.sub(" ", text[:250]).strip()
    return _LETTER.match(start) is None and _REFUSAL.search(start) is not None


_LEAK = re.compile(
    r"</?(?:persona|personality|scenario|requirements?|instructions?|life_goal|observations?"
    r"|actions?|agents?|memor(?:y|ies)|complexity)\s*/?>"
    r"|\{\{?\s*(?:persona|scenario|requirement|instruction|actions|agents?|goal|style)\s*\}?\}"
    r"|<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>"
    r"|\bhere(?: is|['\u2019]s) (?:the|an|your) (?:instruction|request|prompt)\b"
    r"|\bas an ai (?:language )?(?:model|assistant),? i\b",
    re.IGNORECASE,
)


def static_reason(instruction: str, spec: StaticLimits) -> str:
    """Return why an instruction does not pass the static stage, or "" when it does.

    Returns:
        The first that holds of `pii`, `length`, `prompt_leak` (our own scaffolding, or the voice
        of a model), `repetitive`, `not_a_request`.
    """
    if not spec.allow_pii and any(
        found.kind not in UNSURE_IDENTIFIERS for found in find_identifiers(instruction)
    ):
        return "pii"
    if not spec.min_words <= len(words(instruction)) <= spec.max_words:
        return "length"
    if _LEAK.search(instruction):
        return "prompt_leak"
    if is_repetitive(instruction):
        return "repetitive"
    return "" if is_request(instruction) else "not_a_request"


_FENCE = re.compile(r"```[\w-]*\s*(?P<inside>(?:(?!```).)*?)\s*(?:```)?", re.DOTALL)
_LABEL = re.compile(
    r"[*_#\s]*(?:user |my |the )?(?:instruction|request|question|prompt|user|task|query|human"
    r"|message)(?: \d+)?[*_\s]*[:\uff1a][*_\s]*"
    r"|(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[,!.\s]*)?here(?: is|['\u2019]s)\b"
    r"[^:\n]{0,80}\b(?:instruction|request|question|prompt|message|task|query)\b[^:\n]{0,40}:\s*",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"[*_]*([^\W\d_][^\s:]*(?: [^\W\d_][^\s:]*){0,3})(?: \([^)\n]{1,40}\))?[*_]*:[*_]*\s"
)
_NO_SPEAKERS = word_set(
    """background code context data email example goal given input java javascript note problem
    python scenario situation sql subject text title topic urgent"""
)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}


def _unquoted(text: str) -> str:
    """Return a text without quotes around all of it, and without one that has no partner."""
    close = _QUOTES.get(text[:1], "")
    inside = text[1:]
    if close and len(text) > 1 and text[-1] == close:
        inside = text[1:-1]
        # In '"a" and "b"' the next mark closes the first: it stands after a word, not before one.
        inner = re.search(rf"(?<!\w){close}|{close}(?!\w)", inside)
        closes = inner is not None and re.search(r"\S$", inside[: inner.start()]) is not None
        return text if closes else inside
    if close and close != "'" and close not in inside:
        return inside
    if re.search(r"[.!?][\"\u201d]$", text) and not re.search(r"[\"\u201c]", text[:-1]):
        return text[:-1]
    return text


def _unwrapped(text: str) -> str:
    if fence := _FENCE.fullmatch(text):
        return fence["inside"]
    if label := _LABEL.match(text):
        return text[label.end() :]
    if speaker := _SPEAKER.match(text):
        name = speaker[1].strip("*_").split()
        first = name[0].casefold() if name else ""
        known = first in VERBS or first in _NO_SPEAKERS
        if name and not known and all(part[0].isupper() for part in name):
            return text[speaker.end() :]
    return _unquoted(text)


def clean_instruction(raw: str) -> str:
    """Return an instruction without what weak models put around it.

    That is: code fences, quotes, labels ("Instruction:", "Sure! Here is the request:") and the
    name of the speaker with a colon, in any nesting.
    """
    text, before = raw.strip(), None
    while text != before:
        before = text
        text = _unwrapped(text).strip()
    return text
