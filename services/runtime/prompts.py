"""Prompts: Markdown files, filled with data that cannot pass for anything else.

A prompt file has a head in an HTML comment that says what the prompt must bring out, then the
sections `## system` and `## user`. Whatever is filled in is data: its angle brackets are replaced,
so that no text can close the tag it stands in.
"""

import re
from pathlib import Path
from typing import Any, Literal, cast

from jinja2 import Environment, StrictUndefined

from services.runtime.ports import Message

_BRACKETS = str.maketrans({"<": "\u2039", ">": "\u203a"})
_SECTION = re.compile(r"^## (system|user|assistant)\s*$", re.MULTILINE)
_HEAD = re.compile(r"\A\s*<!--.*?-->", re.DOTALL)


def as_data(value: object) -> str:
    """Return a value as text that no tag can be opened or closed with."""
    return str(value).translate(_BRACKETS)


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
        environment.filters["clip"] = clip
        before, *parts = _SECTION.split(text[head.end() :])
        roles = cast(list[Literal["system", "user", "assistant"]], parts[0::2])
        if before.strip() or "user" not in roles:
            raise ValueError(f"{path}: expected '## system' and '## user' sections, nothing before")
        self._sections = [
            (role, environment.from_string(body.strip()))
            for role, body in zip(roles, parts[1::2], strict=True)
        ]

    def render(self, **data: Any) -> tuple[Message, ...]:
        """Return the chat messages with `data` filled in."""
        return tuple(
            Message(role, template.render(**data).strip()) for role, template in self._sections
        )


def load_prompts(folder: Path) -> dict[str, Prompt]:
    """Return the prompts of a folder by file name without suffix."""
    return {path.stem: Prompt(path) for path in sorted(folder.glob("*.md"))}


def as_text(messages: tuple[Message, ...]) -> str:
    """Return a prompt as one text, for people to read."""
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
