"""What a run makes of the order that it finds, and what its user is told of it."""

from pathlib import Path
from typing import Any

import pytest

from services.instruction_generation.knobs import Knobs
from services.kinds import load_kinds
from services.local.endpoints import ModelChoice
from services.local.orders import check_order, described, ignored, new_order, next_order
from services.local.settings import RunSettings
from services.runtime.errors import MatrixError, Rejected

KINDS = load_kinds()
REGIONS = {"r00": 20, "r01": 10}


def settings(samples: int = 12, **changes: Any) -> RunSettings:
    return RunSettings(Path("data"), ModelChoice("simulated"), samples=samples, **changes)


KNOWN = new_order(settings(), KINDS, REGIONS, {}, now=0.0)


def test_a_dataset_is_called_by_its_kind_unless_it_has_a_name() -> None:
    assert (settings().dataset, settings(name="mine").dataset) == ("sft", "mine")
    assert (KNOWN.dataset, KNOWN.size) == ("sft", 12)
    assert sum(grant.granted for grant in KNOWN.grants) == 12


@pytest.mark.parametrize("samples", [12, 5, 40])
def test_an_order_that_was_not_filled_is_completed_whatever_is_asked_for(samples: int) -> None:
    assert next_order(settings(samples), KINDS, KNOWN, False, REGIONS) == KNOWN


def test_once_it_was_filled_and_shown_the_same_command_adds_to_it() -> None:
    more = next_order(settings(5), KINDS, KNOWN, True, REGIONS)
    assert more.size == 17
    assert sum(grant.granted for grant in more.grants) == 17


@pytest.mark.parametrize("shown", [True, False])
def test_a_dataset_stays_of_its_kind_and_requirement(shown: bool) -> None:
    other = settings(kind="domain", requirement="ships", name="sft")
    with pytest.raises(Rejected, match=r"is of kind 'sft', requirement ''.*another --name"):
        next_order(other, KINDS, KNOWN, shown, REGIONS)


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"knobs": Knobs(balance="even")}, "with balance 'population', not 'even'"),
        ({"knobs": Knobs(complexities=(3,))}, r"with complexities \(\), not \(3,\)"),
        ({"knobs": Knobs(categories=("knitting",))}, r"with categories \(\), not"),
        ({"filters": {"max_response_words": 300}}, "with max_response_words 800, not 300"),
        ({"filters": {"language": "pt"}}, "with language '', not 'pt'"),
    ],
)
def test_a_dataset_stays_as_it_was_narrowed(given: dict[str, Any], told: str, shown: bool) -> None:
    with pytest.raises(Rejected, match=f"was ordered {told}.*another --name"):
        next_order(settings(**given), KINDS, KNOWN, shown, REGIONS)


def test_what_is_given_again_or_left_out_goes_on() -> None:
    knobs = Knobs(complexities=(2, 1), balance="even")
    narrow = settings(knobs=knobs, filters={"responses": 2})
    known = new_order(narrow, KINDS, REGIONS, {"responses": 2}, now=0.0)
    assert (known.complexities, known.balance) == ((1, 2), "even")
    assert next_order(narrow, KINDS, known, False, REGIONS) is known
    assert next_order(settings(), KINDS, known, False, REGIONS) is known


@pytest.mark.parametrize(
    "wrong",
    [
        settings(kind="poetry"),
        settings(kind="domain"),
        settings(requirement="ships"),
        settings(name="../elsewhere"),
        settings(knobs=Knobs(complexities=(7,))),
        settings(knobs=Knobs(steer="learnability")),
        settings(filters={"responses": 0}),
    ],
)
def test_what_cannot_be_ordered_is_known_before_anything_is_made(wrong: RunSettings) -> None:
    with pytest.raises(MatrixError):
        check_order(wrong, KINDS)
    check_order(settings(), KINDS)


def test_a_run_that_goes_on_says_on_what() -> None:
    assert described(settings(5), None, False, 0) == "a new dataset of 5 samples"
    assert described(settings(5), KNOWN, False, 7) == "7 of 12 samples"
    assert described(settings(5), KNOWN, True, 12) == "5 samples on top of 12"


def test_samples_that_do_not_count_now_are_told_with_how_to_get_them() -> None:
    told = ignored(settings(5), KNOWN, False)
    assert "completes the order of 12 samples" in told
    assert "--samples 5 counts for the next one" in told
    assert "again afterwards" in told
    for counts in (
        ignored(settings(12), KNOWN, False),
        ignored(settings(5), KNOWN, True),
        ignored(settings(5), None, False),
    ):
        assert counts == ""
