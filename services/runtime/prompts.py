"""Prompts: Markdown files, filled with data that cannot pass for anything else.

A prompt file has a head in an HTML comment that says what the prompt must bring out, then the
sections `## system` and `## user`. Whatever is filled in is data and stands in a tag: it can open
and close no tag, begin no line of its own, and spell no mark that a chat template parts turns
with. Two filters say otherwise: `{{ text | lines }}` keeps line breaks, and `{{ name | called }}`
is how a person may be called outside of a tag.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from jinja2 import Environment, StrictUndefined, Template
from jinja2.meta import find_undeclared_variables

from services.runtime.ports import Message

_SECTION = re.compile(r"^## (system|user|assistant)\s*$", re.MULTILINE)
_HEAD = re.compile(r"\A\s*<!--.*?-->", re.DOTALL)

_OPENING = "<\ufe64\uff1c"
_CLOSING = ">\ufe65\uff1e"
"""With those that tokenizers which normalise text (NFKC) read as the plain ones."""
_BREAKS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_UNSEEN = (
    *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
    *(*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)),
    *range(0xE0000, 0xE0080),
)
"""Breaks in words, directions and tag characters, which hide from people what models read."""
_AS_DATA: dict[int, str] = (
    {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
    | {ord(character): "\n" for character in _BREAKS}
    | {ord(character): "\u2039" for character in _OPENING}
    | {ord(character): "\u203a" for character in _CLOSING}
    | dict.fromkeys(_UNSEEN, "")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
)
_MARK = re.compile(r"[\[\ufe47\uff3b](/?g?[A-Z][A-Z_]{2,})[\]\ufe48\uff3d]")
"""Such as [INST], [/INST], [TOOL_CALLS], [gMASK]; all others have angle brackets."""
_ROLE = re.compile(
    r"^([^\w\n(]*)(system|developer|user|human|assistant|model|tool|instruction|response|inst)"
    r"(?=[^\w\n]*(?:[:\uff1a]|$))",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that is, or begins with, the name of a role and a colon: `### System:`."""


def _any_of(codes: Iterable[int]) -> re.Pattern[str]:
    """Return a pattern of one character; ranges are faster than single ones."""
    ranges: list[list[int]] = []
    for code in sorted(set(codes)):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return re.compile("[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges) + "]")


_CHANGED = _any_of((10, *_AS_DATA))
_REMEMBERED_CHARACTERS = 400
_NAME_WORDS = 4
_NAME_CHARACTERS = 40


class Lines(str):
    """A text whose line breaks are kept."""


def as_data(value: object) -> str:
    """Return a value as text that is nothing but text wherever it is filled in.

    Angle brackets and marks of chat templates come out changed but readable, control characters
    as spaces, and a role before a colon in brackets. Line breaks are kept in `Lines` only.
    """
    text = str(value)
    known = len(text) <= _REMEMBERED_CHARACTERS
    return (_remembered if known else _harmless)(text, isinstance(value, Lines))


def _harmless(text: str, lines: bool) -> str:
    # Most texts have nothing to change; to see that costs a tenth of changing it.
    if _CHANGED.search(text):
        text = text.replace("\r\n", "\n").translate(_AS_DATA)
        if not lines:
            text = " ".join(filter(None, text.split("\n")))
    if not text.isascii() or "[" in text:
        text = _MARK.sub(r"(\1)", text)
    if "\n" in text or _ROLE.match(text):
        text = _ROLE.sub(r"\1(\2)", text)
    return text


# Who somebody is, and what they remember, is filled in time and again; whole answers are not.
_remembered = lru_cache(maxsize=4096)(_harmless)


@lru_cache(maxsize=4096)
def called(name: str) -> str:
    """Return a name as it may stand outside of a tag: a few words, too short for instructions."""
    text = as_data(name)
    kept = (c if c in ".'\u2019-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join("".join(kept).split()[:_NAME_WORDS])[:_NAME_CHARACTERS] or "this person"


def clip(text: str, limit: int) -> str:
    """Return `text` cut at a word to at most `limit` characters."""
    if len(text) <= limit:
        return text
    return text[: limit - 1].rsplit(" ", 1)[0] + "…"


class Prompt:
    """One prompt file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8")
        head = _HEAD.match(text)
        if head is None:
            raise ValueError(f"{path}: a prompt begins with a comment on what it must bring out")
        # Jinja calls `finalize` on every value that a template puts out.
        environment = Environment(
            undefined=StrictUndefined, finalize=as_data, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters.update(clip=clip, lines=Lines, called=called)
        before, *parts = _SECTION.split(text[head.end() :])
        roles = cast(list[Literal["system", "user", "assistant"]], parts[0::2])
        if before.strip() or "user" not in roles:
            raise ValueError(f"{path}: expected '## system' and '## user' sections, nothing before")
        self._sections = [
            (role, _section(environment, body.strip()))
            for role, body in zip(roles, parts[1::2], strict=True)
        ]

    def render(self, **data: Any) -> tuple[Message, ...]:
        """Return the chat messages with `data` filled in."""
        return tuple(
            Message(role, part if isinstance(part, str) else part.render(**data).strip())
            for role, part in self._sections
        )


def _section(environment: Environment, body: str) -> Template | str:
    """Return a section's template or, when nothing is filled in, its text."""
    template = environment.from_string(body)
    if not find_undeclared_variables(environment.parse(body)):
        return template.render().strip()
    # A plain dictionary: each rendering copies it, and copying a chain of them takes ten times as
    # long.
    template.globals = dict(template.globals)
    return template


def load_prompts(folder: Path) -> dict[str, Prompt]:
    """Return the prompts of a folder by file name without suffix."""
    return {path.stem: Prompt(path) for path in sorted(folder.glob("*.md"))}


def as_text(messages: tuple[Message, ...]) -> str:
    """Return a prompt as one text, for people to read."""
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
