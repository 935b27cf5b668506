"""Settings of a dataset's filter that somebody overrides, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.events.datasets import FilterSpec
from services.runtime.errors import Rejected

STAGES = ("static", "response", "verifiable", "rip", "margin")
_WORDS = (1, 10_000)
_RANGES: Mapping[str, tuple[float, float]] = {
    "responses": (1, 64),
    "max_response_tokens": (16, 8192),
    "min_instruction_words": _WORDS,
    "max_instruction_words": _WORDS,
    "min_response_words": _WORDS,
    "max_response_words": _WORDS,
    "max_jaccard": (0.0, 1.0),
    "min_distance": (0.0, 2.0),
    "reward_quantile": (0.0, 1.0),
    "student_responses": (1, 64),
    "rip_quantile": (0.0, 0.99),
    "margin_quantile": (0.0, 0.49),
    "max_length_ratio": (1.0, 100.0),
    "rollouts": (1, 256),
    "screening_rollouts": (1, 256),
    "min_success": (0.0, 1.0),
    "max_success": (0.0, 1.0),
    "min_chance": (0.0, 1.0),
    "min_agreement": (0.0, 1.0),
    "min_turns": (1, 6),
    "max_turns": (1, 6),
    "min_benign_share": (0.0, 1.0),
}
_OPEN = {"max_jaccard": 0.0, "reward_quantile": 1.0}
"""Bounds that are no value themselves: everything would be a duplicate, or nothing good enough."""


def overridden(spec: FilterSpec, overrides: Mapping[str, Any]) -> FilterSpec:
    """Return `spec` with some settings replaced; all of them are checked.

    Raises:
        Rejected: a setting is unknown or out of its range, or a least is above its most.
    """
    for name, value in overrides.items():
        if name == "stages":
            _check_stages(value)
        elif name not in _RANGES:
            raise Rejected(f"filter setting {name!r} is unknown; known: {', '.join(_RANGES)}")
        else:
            least, most = _RANGES[name]
            # Written so that not-a-number is refused too.
            if not least <= value <= most or value == _OPEN.get(name):
                raise Rejected(f"filter setting {name} is {value}: give {_described(name)}")
    values: dict[str, Any] = {**overrides}
    if "stages" in values:
        values["stages"] = tuple(values["stages"])
    changed = replace(spec, **values)
    for what in ("instruction_words", "response_words", "success", "turns"):
        least, most = (getattr(changed, f"{end}_{what}") for end in ("min", "max"))
        if least > most:
            raise Rejected(f"filter settings: min_{what} {least} is above max_{what} {most}")
    return changed


def _described(name: str) -> str:
    least, most = _RANGES[name]
    if name not in _OPEN:
        return f"{least} to {most}"
    return f"{least} to {most}, but not {_OPEN[name]}"


def _check_stages(stages: Sequence[str]) -> None:
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown or len(set(stages)) != len(stages):
        raise Rejected(f"filter stages {list(stages)}: give each of {', '.join(STAGES)} once")
