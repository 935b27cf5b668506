"""Asking a model for text or for a decision, and what becomes of answers that are neither."""

import re
from dataclasses import replace
from typing import Any

import orjson
import structlog

from services.runtime.errors import Rejected
from services.runtime.journal import UnitOfWork
from services.runtime.ports import ChatRequest, Completion, Role

_log = structlog.get_logger(__name__)

# Neither the number of a list item nor an abbreviation or an initial ends a sentence.
_NOT_AFTER = r"(?<!\b\d)(?<!\n\d\d)(?<!\A\d\d)" + "".join(
    rf"(?<!\b{word})"
    for word in ("[A-HJ-Z]", "Dr", "Mr", "Ms", "Mrs", "St", "Prof", "vs", r"e\.g", r"i\.e")
)
_SENTENCE_END = re.compile(
    rf"(?:{_NOT_AFTER}\.|\.{{2}}|[!?\u2026])[.!?\u2026]{{0,4}}"
    r"[\"')\]*_\u201d\u2019\u00bb]{0,4}(?=\s|$)"
    r"|[\u3002\uff01\uff1f\u061f]+[\u300d\u201d]*"
)


def one_line(text: str) -> str:
    """Return `text` with every run of white space as one space."""
    return " ".join(text.split())


def complete_sentences(text: str) -> str:
    """Return a text up to the end of its last complete sentence; empty when it has none."""
    text = text.strip()
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""


def whole_sentences(completion: Completion) -> str:
    """Return the text; if it was cut off, up to its last complete sentence or line, if any."""
    text = completion.text.strip()
    if completion.finish_reason == "stop":
        return text
    lines = text[: text.rfind("\n") + 1].strip()
    return max(complete_sentences(text), lines, key=len) or text


async def ask_text(
    unit: UnitOfWork, call: str, role: Role, stage: str, request: ChatRequest
) -> str:
    """Return the model's text in whole sentences; empty when it refuses the prompt for good.

    Raises:
        Retryable: no answer in spite of retries.
    """
    try:
        answer = await unit.chat(call, role, stage, request)
    except Rejected as error:
        _log.warning("model refused", stage=stage, unit=unit.name, reason=str(error))
        return ""
    return whole_sentences(answer.completions[0])


async def ask_decision(
    unit: UnitOfWork, call: str, role: Role, stage: str, request: ChatRequest
) -> dict[str, Any] | None:
    """Return the JSON object that `request.json_schema` asks for.

    An answer that is cut off or no JSON is asked for once more, with twice the tokens; after that
    None, and the caller takes its neutral decision.

    Raises:
        Retryable: no answer in spite of retries.
    """
    for attempt in (1, 2):
        limit = request.max_tokens * attempt
        try:
            answer = await unit.chat(
                f"{call}/{attempt}", role, stage, replace(request, max_tokens=limit)
            )
            fields = orjson.loads(answer.completions[0].text)
        except Rejected as error:
            _log.warning("model refused", stage=stage, unit=unit.name, reason=str(error))
            return None
        except orjson.JSONDecodeError:
            unit.count_malformed(stage)
            continue
        if isinstance(fields, dict):
            return fields
        unit.count_malformed(stage)
    return None
