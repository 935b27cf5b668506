"""Rows are verdicts and back; the control is a subset of equal size, drawn by chance alone."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.events import Response
from services.reward_filtering.refilter import has_response, random_control
from services.reward_filtering.sample_rows import row, sample_of
from tests.unit.reward_filtering.test_deciding import judge, pair, sample


def test_a_row_is_the_verdict_that_it_was_made_of() -> None:
    unmeasured = Response("student", "So?", None, "no_answer")
    made = replace(pair(1, 2.0, -1.0), created_at=1_790_000_000.25, answer="42", tests="assert 1")
    verdict = judge(replace(made, student_responses=(*made.student_responses, unmeasured)), "pair")
    assert sample_of(row(verdict)) == replace(verdict, embedding=())


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5))
def test_the_control_is_as_large_as_it_can_be_and_nothing_is_lost(
    able: int, size: int, seed: int
) -> None:
    samples = [sample(n) for n in range(able)]
    samples += [sample(100 + n, chosen=-1, stage="static", reason="pii") for n in range(3)]
    control = random_control(samples, size, seed)
    assert [each.sample_id for each in control] == [each.sample_id for each in samples]
    assert sum(each.accepted for each in control) == min(size, able)
    assert all(has_response(each) for each in control if each.accepted)
    assert {each.reason for each in control if not each.accepted} <= {"random", "pii"}
    assert random_control(samples, size, seed) == control
