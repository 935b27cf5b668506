"""Asking a model for text or for a decision, and what becomes of answers that are neither."""

from dataclasses import replace
from typing import Any

import orjson
import structlog

from services.runtime.errors import Rejected
from services.runtime.journal import UnitOfWork
from services.runtime.ports import ChatRequest, Completion, Role

_log = structlog.get_logger(__name__)


def one_line(text: str) -> str:
    """Return `text` with every run of white space as one space."""
    return " ".join(text.split())


def whole_sentences(completion: Completion) -> str:
    """Return the text; if it was cut off, up to its last complete sentence or line."""
    text = completion.text.strip()
    if completion.finish_reason == "stop" or text.endswith((".", "!", "?")):
        return text
    end = max(text.rfind(mark) for mark in (". ", "! ", "? ", "\n"))
    return text[: end + 1].strip() if end > 0 else text


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
