"""Options of an order: what is typed becomes its knobs and its filter, or is refused."""

import pytest

from services.cli.knobs import BalanceChoice, SteerChoice, knobs_of, overrides
from services.instruction_generation.knobs import BALANCES, Knobs
from services.kinds import STEERS
from services.runtime.errors import Rejected
from services.runtime.protobuf import given_fields


def test_the_choices_are_those_that_the_service_knows() -> None:
    assert {choice.value for choice in BalanceChoice} == set(BALANCES)
    assert {choice.value for choice in SteerChoice} == set(STEERS)


def test_what_is_typed_becomes_knobs() -> None:
    assert knobs_of(None, None, None, None, None) == Knobs()
    assert knobs_of(["a", "b"], ["3-5", "1"], ["c"], BalanceChoice.even, SteerChoice.none) == Knobs(
        ("a", "b"), (3, 4, 5, 1), ("c",), "even", "none"
    )


@pytest.mark.parametrize("typed", ["", "x", "5-3", "1-", "-1", "1.5", "1-5-9", "1-99999", "1" * 12])
def test_a_complexity_that_is_no_number_or_range_is_refused(typed: str) -> None:
    with pytest.raises(Rejected, match=r"--complexity .*: give"):
        knobs_of(None, [typed], None, None, None)


def test_a_length_is_filtered_told_and_given_room() -> None:
    assert given_fields(overrides(["responses=2"], "pt", "50-300")) == {
        "responses": 2,
        "language": "pt",
        "min_response_words": 50,
        "max_response_words": 300,
        "tell_response_words": True,
        "max_response_tokens": 600,
    }
    tight = given_fields(overrides(["max_response_tokens=100"], "", "1-50"))
    assert tight["max_response_tokens"] == 100
    assert given_fields(overrides(None, "", "1-2"))["max_response_tokens"] == 16
    assert given_fields(overrides(None, "", "1-9999"))["max_response_tokens"] == 8192
    assert given_fields(overrides(None, "", "")) == {}


@pytest.mark.parametrize(
    ("filters", "language", "words", "told"),
    [
        (["language=de"], "pt", "", "--language sets language: do not give it by --filter as well"),
        (["min_response_words=3"], "", "5-9", "--response-words sets min_response_words"),
        (["tell_response_words=false"], "", "5-9", "--response-words sets tell_response_words"),
        ([], "", "many", "--response-words 'many': give a number or a range"),
        ([], "", "9-5", "the least first"),
        (["tell_response_words=yes"], "", "", "give true or false"),
    ],
)
def test_what_is_asked_for_twice_or_cannot_be_read_is_refused(
    filters: list[str], language: str, words: str, told: str
) -> None:
    with pytest.raises(Rejected, match=told):
        overrides(filters, language, words)
