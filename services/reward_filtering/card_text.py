"""Texts of others in a dataset card: quoted as YAML, escaped for a line, or fenced as a block."""

import re

MAX_CELL = 80
MAX_MESSAGE = 1_200

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029]")
_MARKUP = re.compile(r"([\\`*_\[\]#!|~$:@])")


def yaml_string(text: str) -> str:
    """Quote `text` as a YAML double-quoted scalar on one line of ASCII."""
    return '"' + "".join(map(_yaml_character, text)) + '"'


def _yaml_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else f"\\U{ord(character):08x}"


def cell(text: str, limit: int = MAX_CELL) -> str:
    """Escape `text` for one Markdown table cell or line: one line, no markup, at most `limit`."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", line)


def fenced(text: str, limit: int = MAX_MESSAGE) -> str:
    """Put `text` into a code fence that no run of backticks in it can close."""
    body = _CONTROL.sub("", _LINE_END.sub("\n", text))
    if len(body) > limit:
        body = f"{body[:limit]}\n[{len(body) - limit} more characters]"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    return f"{fence}text\n{body}\n{fence}"
