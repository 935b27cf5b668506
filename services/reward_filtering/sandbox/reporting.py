"""The supervisor's report, read as an outcome."""

import json
from dataclasses import replace
from typing import Any

from services.reward_filtering.sandbox.outcomes import VERDICTS, Outcome

__all__ = ["DETAIL_CHARACTERS", "Refused", "read_report"]

DETAIL_CHARACTERS = 2000


class Refused(Exception):
    """The kernel or the container does not let code be confined this way."""


def read_report(said: bytes, printed: bytes) -> Outcome:
    """Return the supervisor's report; raises Refused if there is none."""
    text = said.decode(errors="replace").strip()
    try:
        report: dict[str, Any] = json.loads(text.rpartition("\n")[2])
        refused = report.get("refused")
    except (ValueError, AttributeError):
        raise Refused(text[-DETAIL_CHARACTERS:] or "no report") from None
    shown = printed.decode(errors="backslashreplace").strip()
    if refused is not None:
        raise Refused(f"{refused} {shown}"[:DETAIL_CHARACTERS])
    if report["verdict"] not in VERDICTS:
        raise Refused(f"unknown verdict {report['verdict']}")
    outcome = Outcome(**report)
    detail = outcome.detail
    if not outcome.passed and shown:
        detail = f"{detail[: DETAIL_CHARACTERS // 2]}\n{shown}"
    return replace(outcome, detail=_clipped(detail))


def _clipped(text: str) -> str:
    if len(text) <= DETAIL_CHARACTERS:
        return text
    half = DETAIL_CHARACTERS // 2
    return f"{text[:half]}…{text[1 - half :]}"
