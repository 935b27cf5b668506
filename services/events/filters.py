"""Settings of a dataset's filter that somebody overrides, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.events.datasets import FilterSpec
from services.runtime.errors import Rejected

STAGES = ("static", "response", "verifiable", "rip", "margin")
LANGUAGES = frozenset(
    """af am an ar as av az ba be bg bh bn bo br bs ca ce co cs cv cy da de dv el en eo es et eu fa
    fi fr fy ga gd gl gn gu gv he hi hr ht hu hy ia id ie io is it ja jv ka kk km kn ko ku kv kw ky
    la lb li lo lt lv mg mk ml mn mr ms mt my ne nl nn no oc or os pa pl ps pt qu rm ro ru sa sc sd
    sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt ug uk ur uz vi vo wa yi yo zh""".split()
)
"""ISO 639-1 codes that texts can be checked for: those of fastText's lid.176."""
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
    "max_word_jaccard": (0.0, 1.0),
    "min_trace_words": _WORDS,
    "max_trace_words": _WORDS,
}
_FLAGS = ("tell_response_words",)
_OPEN = {"max_jaccard": 0.0, "max_word_jaccard": 0.0, "reward_quantile": 1.0}
"""Bounds that are no value themselves: everything would be a duplicate, or nothing good enough."""


def overridden(spec: FilterSpec, overrides: Mapping[str, Any]) -> FilterSpec:
    """Return `spec` with some settings replaced; all of them are checked.

    Raises:
        Rejected: a setting is unknown or out of its range, or a least is above its most.
    """
    for name, value in overrides.items():
        if name == "stages":
            _check_stages(value)
        elif name == "language":
            check_language(value)
        elif name in _FLAGS:
            if not isinstance(value, bool):
                raise Rejected(f"filter setting {name} is {value!r}: give true or false")
        elif name not in _RANGES:
            known = ", ".join(("stages", "language", *_FLAGS, *_RANGES))
            raise Rejected(f"filter setting {name!r} is unknown; known: {known}")
        else:
            least, most = _RANGES[name]
            # Written so that not-a-number is refused too.
            if not least <= value <= most or value == _OPEN.get(name):
                raise Rejected(f"filter setting {name} is {value}: give {_described(name)}")
    values: dict[str, Any] = {**overrides}
    if "stages" in values:
        values["stages"] = tuple(values["stages"])
    changed = replace(spec, **values)
    for what in ("instruction_words", "response_words", "trace_words", "success", "turns"):
        least, most = (getattr(changed, f"{end}_{what}") for end in ("min", "max"))
        if least > most:
            raise Rejected(f"filter settings: min_{what} {least} is above max_{what} {most}")
    return changed


def check_language(code: str) -> None:
    """Refuse what is no code of a language that texts can be checked for.

    Raises:
        Rejected: it is neither empty nor one of `LANGUAGES`.
    """
    if code and code not in LANGUAGES:
        raise Rejected(
            f"language {code!r} is not known: give an ISO 639-1 code, one of "
            f"{', '.join(sorted(LANGUAGES))}, or none for any language"
        )


def _described(name: str) -> str:
    least, most = _RANGES[name]
    if name not in _OPEN:
        return f"{least} to {most}"
    return f"{least} to {most}, but not {_OPEN[name]}"


def _check_stages(stages: Sequence[str]) -> None:
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown or len(set(stages)) != len(stages):
        raise Rejected(f"filter stages {list(stages)}: give each of {', '.join(STAGES)} once")
