"""`--filter KEY=VALUE`: what is typed becomes the message, or is refused with its value."""

import pytest

from services.cli.filters import filter_overrides
from services.runtime.errors import Rejected
from services.runtime.protobuf import given_fields


def test_settings_have_the_types_of_the_message() -> None:
    typed = ["stages=static, response", "responses = 8", "max-jaccard=0.5", "reward_quantile=0"]
    assert given_fields(filter_overrides(typed)) == {
        "stages": ("static", "response"),
        "responses": 8,
        "max_jaccard": 0.5,
        "reward_quantile": 0.0,
    }


def test_a_language_is_given_as_text() -> None:
    assert given_fields(filter_overrides(["language=pt"])) == {"language": "pt"}


def test_what_is_not_given_is_left_to_the_kind() -> None:
    assert given_fields(filter_overrides([])) == {}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["responses"], "give KEY=VALUE; keys are stages, responses"),
        (["answers=3"], "keys are"),
        (["=3"], "keys are"),
        (["responses=3", "responses=4"], "responses is given twice"),
        (["responses=many"], "'many' is not a whole number"),
        (["responses=3.5"], "'3.5' is not a whole number"),
        (["max_jaccard="], "'' is not a number"),
        ([f"responses={1 << 70}"], "too large"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(typed: list[str], told: str) -> None:
    with pytest.raises(Rejected, match=told):
        filter_overrides(typed)
