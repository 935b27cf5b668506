"""An import line by line: numbering, repeats, bounds and what tells two imports apart."""

import json

import pytest

from services.agent_state.intake import MAX_LINE_BYTES, REPORTED, Intake, LineError


def line(number: int, text: str = "A baker.") -> str:
    return json.dumps({"id": f"p{number}", "name": f"Ada {number}", "description": text})


def taken(seed: int, *lines: str) -> Intake:
    intake = Intake(seed)
    for text in lines:
        intake.add(text)
    return intake


def test_profiles_and_errors_keep_their_line() -> None:
    intake = taken(0, line(1), "", line(2), line(1), "null", '{"name": 5}')
    assert [profile.profile_id for profile in intake.profiles] == ["p1", "p2"]
    assert [error.line for error in intake.errors] == [2, 4, 5, 6]
    assert intake.refused == 4


def test_a_profile_that_is_refused_later_is_reported_by_its_line() -> None:
    intake = taken(0, line(1), line(2), "x")
    intake.refuse("p2", "it holds a telephone number")
    assert intake.reported()[0] == LineError(2, "it holds a telephone number")
    assert intake.refused == 2


def test_only_the_first_errors_are_kept_and_all_are_counted() -> None:
    intake = taken(0, *["x"] * (REPORTED + 50))
    assert (len(intake.reported()), intake.refused) == (REPORTED, REPORTED + 50)


@pytest.mark.parametrize(("more", "reason"), [(0, "description: is empty"), (1, "line: is longer")])
def test_a_line_has_its_greatest_length(more: int, reason: str) -> None:
    room = MAX_LINE_BYTES - len(line(1, "").encode())
    (error,) = taken(0, line(1, "") + " " * (room + more)).errors
    assert error.reason.startswith(reason)


def test_text_that_is_no_unicode_is_an_error_of_its_line() -> None:
    intake = taken(0, '{"name": "\ud800", "description": "x"}')
    assert intake.refused == 1


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (taken(1, line(1), "bad", line(2)), True),
        (taken(1, line(2), line(1)), False),
        (taken(2, line(1), line(2)), False),
        (taken(1, line(1)), False),
    ],
)
def test_a_fingerprint_is_of_the_profiles_in_order_and_the_seed(other: Intake, same: bool) -> None:
    assert (taken(1, line(1), line(2)).fingerprint() == other.fingerprint()) == same
