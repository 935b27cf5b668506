"""Pauses before restarts: growing while a process keeps dying, short again once it was well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.local.up.backoff import Backoff


def pauses(count: int, ready_seconds: float = 0.0) -> list[float]:
    found = [0.0]
    for _ in range(count):
        found.append(Backoff().after(found[-1], ready_seconds))
    return found[1:]


def test_pauses_double_from_a_fifth_of_a_second_to_ten_seconds() -> None:
    assert pauses(8) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


def test_pauses_grow_on_for_one_that_was_ready_only_briefly() -> None:
    assert pauses(3, ready_seconds=29.9) == pytest.approx([0.2, 0.4, 0.8])


@given(last=st.floats(0, 10))
def test_one_that_was_well_for_half_a_minute_is_started_again_at_once(last: float) -> None:
    assert Backoff().after(last, 30.0) == pytest.approx(0.2)
