"""The trace and the final answer of a reasoning response, apart."""

import re
from dataclasses import dataclass

from services.reward_filtering.answers.notation import MAX_ANSWER_CHARS

__all__ = ["split_answer"]

_THINKING = re.compile(
    r"<(/?)(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad)>", re.IGNORECASE
)
_TAG = re.compile(r"<answer>", re.IGNORECASE)
_CLOSING_TAG = re.compile(r"</answer>|\Z", re.IGNORECASE)
_WORD = (
    r"answer|final answer|respuesta(?: final)?|resposta(?: final)?|r\u00e9ponse(?: finale)?|antwort"
    r"|risposta(?: finale)?|\u043e\u0442\u0432\u0435\u0442|(?:\u6700\u7ec8)?\u7b54\u6848"
    r"|\u7b54\u3048|\uc815\ub2f5|\u0909\u0924\u094d\u0924\u0930"
    r"|\u0627\u0644\u0625\u062c\u0627\u0628\u0629"
)
_MARKS = r"[\s*_#>`-]{0,20}"
# At the start of a line, after Markdown: "Answer: X", "**Answer:** X", "## Final answer".
_LABELLED = re.compile(
    rf"{_MARKS}(?:(?:so|thus|therefore|hence),? )?(?:(?:the|my|our) )?(?:correct )?(?:{_WORD})"
    r"[*_`]{0,3}\s?(?:[:\uff1a]|(?=$))[*_`]{0,3}(?P<said>.*)",
    re.IGNORECASE,
)
# Anywhere in a line: "so the answer is X".
_STATED = re.compile(
    r"\b(?:the|my|our)(?: \w+)? answer(?: here| then| therefore| thus)? ?(?:is|=|:)"
    r"(?P<said>(?! not\b).*)",
    re.IGNORECASE,
)
# What stands in front of an answer and says nothing else.
_LEAD = re.compile(
    r"\W*(?:(?:so|thus|therefore|hence|and|then)\W+)?"
    rf"(?:(?:(?:the|my|our) )?(?:\w+ )?(?:{_WORD})(?: is)?)?\W*",
    re.IGNORECASE,
)
_EMPTY_DISPLAY = re.compile(r"\\\[\s*\\\]|\$\$\s*\$\$")
_HASHES = re.compile(r"\s*####\s*(?P<said>[^#\s].*)")
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
# A sentence ends before a capital, unless the point belongs to a title or an initial.
_SENTENCE_END = re.compile(
    r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bNo)(?<!\bProf)(?<!\b[A-Z])"
    r"[.!?]\s+(?=[A-Z(])"
)


def _last(pattern: re.Pattern[str], text: str, start: int = 0) -> re.Match[str] | None:
    last = None
    for found in pattern.finditer(text, start):
        last = found
    return last


def _visible_from(text: str) -> int:
    """Return where the part behind all thinking starts: at the end, if thinking never ended."""
    last = _last(_THINKING, text)
    if last is None:
        return 0
    return last.end() if last[1] else len(text)


def _box(text: str, start: int) -> tuple[str, int]:
    """Return the content of braces opened before `start`, and where they end.

    Braces that nothing closes within the longest answer end with their line.
    """
    depth = 1
    for place in range(start, min(len(text), start + MAX_ANSWER_CHARS + 1)):
        char = text[place]
        if text[place - 1] == "\\":
            continue
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return text[start:place], place + 1
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[start:end], end


def _bare(said: str) -> str:
    """Return an answer without emphasis, space and the point of its sentence around it."""
    said = said.strip().strip("*`").strip()
    if said.endswith(".") and not re.search(r"\b[ap]\.m\.$|\.\.\.$", said, re.IGNORECASE):
        said = said[:-1].strip().rstrip("*`").strip()
    return said


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in (part.strip() for part in parts) if part)


def _trace(*parts: str) -> str:
    return _EMPTY_DISPLAY.sub("", _joined(*(_THINKING.sub("", part) for part in parts))).strip()


def _lines(text: str, start: int) -> list[tuple[int, int]]:
    spans, begin = [], start
    for line in text[start:].splitlines(keepends=True):
        spans.append((begin, begin + len(line.rstrip("\r\n"))))
        begin += len(line)
    return spans


@dataclass(frozen=True, slots=True)
class _Found:
    """An answer in a line: what it says, where it ends, and whether the line says nothing else."""

    said: str
    end: int
    alone: bool


def _is_lead(text: str) -> bool:
    # The pattern backtracks over what is no word: it sees nothing long.
    return len(text) <= 100 and _LEAD.fullmatch(text) is not None


def _boxed(text: str, begin: int, end: int) -> _Found | None:
    box = _last(_BOX, text[begin:end])
    if box is None:
        return None
    said, stop = _box(text, begin + box.end())
    stop_line = max(stop, end)
    alone = _is_lead(text[begin : begin + box.start()])
    return _Found(said, stop_line, alone and not re.search(r"\w", text[stop:stop_line]))


def _statement(line: str) -> re.Match[str] | None:
    place = line.lower().rfind("answer")
    return None if place < 0 else _STATED.search(line, max(0, place - 60))


def _said(text: str, begin: int, end: int, below: tuple[int, int] | None) -> _Found | None:
    """Find what a line says to be the answer; `below` is the next line that is not empty."""
    line = text[begin:end]
    found = _LABELLED.fullmatch(line) or (_HASHES.fullmatch(line) if below is None else None)
    alone = found is not None
    # "Final answer: The final answer is X. I hope it is correct."
    if inner := _statement(found["said"] if found else line):
        alone = alone or _is_lead(line[: inner.start("said")])
        said = inner["said"].lstrip(" :\uff1a")
        if sentence := _SENTENCE_END.search(said):
            said, alone = said[: sentence.start()], found is not None
    elif found:
        said = found["said"]
    else:
        return None
    if not said.strip(" *_:`$") and below is not None:
        return _Found(text[below[0] : below[1]], below[1], alone)
    return _Found(said, end, alone)


def split_answer(text: str) -> tuple[str, str]:
    r"""Return the trace of a response and its final answer; ("...", "") if it gives none.

    An answer is the last of: `\boxed{X}`; a line `Answer: X` (`Final answer:`, `**Answer:** X`,
    a heading with X below, the same word in eleven more languages); `the answer is X` up to the
    end of its sentence; `#### X` in the last line (elsewhere it is a heading); `<answer>X</answer>`
    before all others. What is inside of `<think>` is trace, whatever it says; without a closing
    tag all that follows is, since the response was cut off. A box that is not closed ends with its
    line.

    The trace is the rest: without tags and without the line of the answer, unless that line has
    more to say than the answer.
    """
    start = _visible_from(text)
    if (tag := _last(_TAG, text, start)) and (closing := _CLOSING_TAG.search(text, tag.end())):
        within = text[tag.end() : closing.start()]
        inside, answer = split_answer(within)
        rest = _trace(text[: tag.start()], inside if answer else "", text[closing.end() :])
        return rest, answer or _bare(within)
    below: tuple[int, int] | None = None
    for begin, end in reversed(_lines(text, start)):
        line = text[begin:end]
        if not line.strip():
            continue
        found = _boxed(text, begin, end) or _said(text, begin, end, below)
        if found is not None and (answer := _bare(found.said)):
            kept = "" if found.alone else text[begin : found.end]
            return _trace(text[:begin], kept, text[found.end :]), answer
        below = (begin, end)
    return _trace(text), ""
