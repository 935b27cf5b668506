"""Overrides of a filter: what may be set, and to what."""

import math
from typing import Any

import pytest

from services.events import FilterSpec
from services.events.filters import overridden
from services.runtime.errors import Rejected

SPEC = FilterSpec()


def test_a_language_is_a_code_or_none() -> None:
    assert overridden(SPEC, {"language": "pt"}).language == "pt"
    assert overridden(SPEC, {"language": ""}).language == ""


def test_given_settings_replace_those_of_the_kind_and_no_others() -> None:
    changed = overridden(SPEC, {"responses": 2, "min_distance": 0.0, "stages": ["response"]})
    assert (changed.responses, changed.min_distance, changed.stages) == (2, 0.0, ("response",))
    assert changed.max_jaccard == SPEC.max_jaccard
    assert overridden(SPEC, {}) == SPEC


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("responses", 1, 64),
        ("max_response_tokens", 16, 8192),
        ("max_response_words", 8, 10_000),
        ("max_trace_words", 3, 10_000),
        ("min_trace_words", 1, 500),
        ("min_distance", 0.0, 2.0),
        ("reward_quantile", 0.0, math.nextafter(1.0, 0.0)),
        ("max_jaccard", math.nextafter(0.0, 1.0), 1.0),
    ],
)
def test_the_bounds_of_a_setting_can_be_given_and_nothing_beyond_them(
    name: str, least: float, most: float
) -> None:
    for value in (least, most):
        assert getattr(overridden(SPEC, {name: value}), name) == value
    step = 1 if isinstance(least, int) else 1e-9
    for value in (least - step, most + step, math.nan, math.inf):
        with pytest.raises(Rejected):
            overridden(SPEC, {name: value})


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"temperature": 1}, "'temperature' is unknown"),
        ({"stages": ["static", "static"]}, "once"),
        ({"stages": ["magic"]}, "magic"),
        ({"min_instruction_words": 9, "max_instruction_words": 8}, "9 is above"),
        ({"min_response_words": 2000}, "2000 is above max_response_words 1000"),
        ({"max_trace_words": 2}, "min_trace_words 3 is above max_trace_words 2"),
        ({"min_success": 0.9}, "min_success 0.9 is above max_success 0.8"),
        ({"min_turns": 7}, "min_turns is 7: give 1 to 6"),
        ({"language": "Portuguese"}, "language 'Portuguese' is not known: give an ISO 639-1 code"),
        ({"language": "xx"}, "one of af, am"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(overrides: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        overridden(SPEC, overrides)
