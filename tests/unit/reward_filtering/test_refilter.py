"""Rows are verdicts and back; verdicts anew follow from what went before; the control is chance."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import services.reward_filtering
from services.events import ChatMessage, FilterSpec, Response, SampleJudged
from services.kinds import load_kinds
from services.reward_filtering.refilter import (
    AT_ONCE,
    Again,
    Strata,
    drawn_at_random,
    endless_strata,
    has_response,
    judged_at_random,
    refiltered,
)
from services.reward_filtering.sample_rows import row, sample_of
from services.runtime.errors import Retryable
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Role
from services.runtime.prompts import load_prompts
from tests.unit.reward_filtering.test_deciding import ANSWER, judge, pair, sample

KINDS = load_kinds()
JUDGE = load_prompts(Path(services.reward_filtering.__file__).parent / "prompts")["judge"]
SPEC = FilterSpec(stages=("static", "response", "rip", "margin"), student_responses=2)


def test_a_row_is_the_verdict_that_it_was_made_of() -> None:
    unmeasured = Response("student", "So?", None, "no_answer")
    made = replace(pair(1, 2.0, -1.0), created_at=1_790_000_000.25, answer="42", tests="assert 1")
    verdict = judge(replace(made, student_responses=(*made.student_responses, unmeasured)), "pair")
    assert sample_of(row(verdict)) == replace(verdict, embedding=())


class Student:
    """Answers and judges by the prompt alone, once it is let."""

    def __init__(self, fails_at: str = "") -> None:
        self.asked: list[str] = []
        self.ended = 0
        self._fails_at = fails_at
        self.let = asyncio.Event()
        self.let.set()

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        text = request.messages[-1].content
        chance = Random(text)
        if role == "student":
            self.asked.append(text)
            try:
                await self.let.wait()
            finally:
                self.ended += 1
            if text == self._fails_at:
                raise Retryable("the student is away")
        words = [f"{ANSWER} {'word ' * chance.randrange(12)}." for _ in range(request.n)]
        logprobs = {"yes": -chance.uniform(0.1, 4), "no": -chance.uniform(0.1, 4)}
        completions = tuple(Completion(text, "stop", logprobs) for text in words)
        return ChatAnswer(completions, role, 10, 10)


async def run_no_tests(solution: str, tests: str) -> str:
    raise AssertionError("a pair has no tests")


def again(student: Student) -> Again:
    return Again(SPEC, KINDS["dpo"], student, JUDGE, run_no_tests)


def candidates(count: int) -> list[SampleJudged]:
    made = []
    for number in range(count):
        asked = (ChatMessage("user", f"How {number}?"), ChatMessage("assistant", ANSWER))
        if number % 7 == 6:
            made.append(sample(number, chosen=-1, stage="static", reason="pii", rewards=()))
        else:
            reward, stratum = float(number % 5), f"r{number % 2:02}"
            made.append(sample(number, messages=asked, rewards=(reward,), stratum=stratum))
    return [replace(each, embedding=()) for each in made]


async def listed(samples: Iterable[SampleJudged]) -> AsyncIterator[SampleJudged]:
    for each in samples:
        yield each


async def verdicts(samples: list[SampleJudged], strata: Strata) -> list[SampleJudged]:
    return [each async for each in refiltered(listed(samples), again(Student()), strata)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 90), st.integers(0, 90))
async def test_a_break_between_any_two_verdicts_changes_none(count: int, broken: int) -> None:
    samples = candidates(count)
    whole = await verdicts(samples, endless_strata())
    assert [each.sample_id for each in whole] == [each.sample_id for each in samples]
    strata = endless_strata()
    for verdict in whole[:broken]:
        strata[verdict.stratum].apply(sample_of(row(verdict)))
    assert await verdicts(samples[broken:], strata) == whole[broken:]


async def test_bands_come_into_force_and_what_has_no_response_stays_as_it_was() -> None:
    samples = candidates(200)
    whole = await verdicts(samples, endless_strata())
    assert {"rip", "margin"} & {each.stage for each in whole}
    assert any(each.accepted for each in whole)
    static = [(a, b) for a, b in zip(samples, whole, strict=True) if a.stage == "static"]
    assert static
    assert all(a == b for a, b in static)


async def test_candidates_are_taken_as_they_are_worked_on() -> None:
    taken = 0

    async def endless() -> AsyncIterator[SampleJudged]:
        nonlocal taken
        for each in candidates(100_000):
            taken += 1
            yield each

    stream = refiltered(endless(), again(Student()), endless_strata())
    for _ in range(3):
        await anext(stream)
    assert taken <= AT_ONCE + 3
    await stream.aclose()


async def test_a_failure_ends_the_questions_that_are_under_way_and_loses_no_verdict() -> None:
    samples = candidates(40)
    student = Student(fails_at="How 9?")
    before = []

    async def listen() -> None:
        async for verdict in refiltered(listed(samples), again(student), endless_strata()):
            before.append(verdict.sample_id)

    with pytest.raises(Retryable, match="away"):
        await listen()
    assert before == [each.sample_id for each in samples[:9]]
    assert student.ended == len(student.asked)


async def test_who_stops_listening_leaves_no_question_behind() -> None:
    student = Student()
    stream = refiltered(listed(candidates(20)), again(student), endless_strata())
    student.let.clear()
    waiting = asyncio.ensure_future(anext(stream))
    while not student.asked:  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert student.ended == len(student.asked)


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5))
def test_the_control_is_as_large_as_it_can_be_and_nothing_is_lost(
    able: int, size: int, seed: int
) -> None:
    samples = [sample(n) for n in range(able)]
    samples += [sample(100 + n, chosen=-1, stage="static", reason="pii") for n in range(3)]
    ids = [each.sample_id for each in samples if has_response(each)]
    drawn = drawn_at_random(ids, size, seed)
    control = [judged_at_random(each, drawn) for each in samples]
    assert sum(each.accepted for each in control) == min(size, able)
    assert all(has_response(each) for each in control if each.accepted)
    assert {each.reason for each in control if not each.accepted} <= {"random", "pii"}
    assert drawn_at_random(ids[::-1], size, seed) == drawn
