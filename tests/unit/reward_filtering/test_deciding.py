"""Verdicts follow from what was measured, the order's settings and the stratum; nothing else."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import (
    ChatMessage,
    FilterSpec,
    Provenance,
    Requirement,
    Response,
    SampleJudged,
)
from services.reward_filtering.deciding import decided
from services.reward_filtering.domain import Stratum

ANSWER = "Soak the lentils overnight, then simmer them with an onion and a bay leaf."
REFUSAL = "I can't help with that, but a counsellor can talk it through with you today."
ALL = ("static", "response", "verifiable", "rip", "margin")


def sample(number: int = 0, said: str = ANSWER, **change: Any) -> SampleJudged:
    made = SampleJudged(
        sample_id=f"s{number}",
        dataset="d",
        stratum="r00",
        kind="k",
        requirement=Requirement("r000", "cook", 1, "plain"),
        accepted=False,
        reason="",
        stage="",
        messages=(ChatMessage("user", "How?"), ChatMessage("assistant", said)),
        provenance=Provenance("s", "g", "a"),
        rewards=(1.0,),
        chosen=0,
        embedding=(1.0,),
    )
    return replace(made, **change)


def pair(number: int, chosen: float, rejected: float, words: int = 14) -> SampleJudged:
    response = Response("student", "word " * words, rejected)
    return sample(number, rewards=(chosen,), student_responses=(response,), rejected=0)


def rollouts(successes: int, tried: int, agreement: float = 1.0) -> SampleJudged:
    responses = tuple(
        Response("student", "x", float(n < successes), "correct" if n < successes else "wrong")
        for n in range(tried)
    )
    scores = {"agreement": agreement, "success_rate": successes / tried if tried else 0.0}
    said = f"{ANSWER}\nAnswer: 42"
    return sample(said=said, student_responses=responses, scores=scores, answer="42")


def judge(
    made: SampleJudged, recipe: str = "answer", stratum: Stratum | None = None, **spec: Any
) -> SampleJudged:
    settings = FilterSpec(**{"stages": ALL, **spec})
    return decided(settings, recipe, stratum or Stratum(granted=100), made)


def test_a_good_response_is_accepted_and_remembered() -> None:
    verdict = judge(sample(), stages=("static", "response"))
    assert (verdict.accepted, verdict.stage, verdict.reason) == (True, "response", "")
    assert verdict.embedding


@pytest.mark.parametrize(
    ("successes", "tried", "reason"),
    [
        (4, 16, ""),
        (12, 16, ""),
        (3, 16, "too_hard"),
        (13, 16, "too_easy"),
        (0, 4, "too_hard"),
        (4, 4, "too_easy"),
        (0, 0, "no_rollouts"),
    ],
)
def test_success_rates_outside_of_the_band_teach_nothing(
    successes: int, tried: int, reason: str
) -> None:
    made = rollouts(successes, tried)
    verdict = judge(made, "reasoning", stages=("static", "response", "verifiable"))
    assert (verdict.reason, verdict.accepted) == (reason, not reason)
    assert judge(made, "reasoning", stages=("static", "response")).accepted


def test_an_answer_that_few_attempts_agree_on_is_not_verified() -> None:
    made = rollouts(8, 16, agreement=0.25)
    verdict = judge(made, "reasoning", stages=("static", "response", "verifiable"))
    assert (verdict.stage, verdict.reason) == ("verifiable", "unverified")


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        ("Six sevens are " + " ".join(f"{n} and" for n in range(20)), ""),
        ("Six sevens are " + " ".join(f"{n} and" for n in range(21)), "trace_long"),
        ("So.", "trace_short"),
        ("", "trace_short"),
        ("We add six. " * 12, "repetitive"),
    ],
)
@pytest.mark.parametrize("answer", ["Answer: 42", r"\boxed{42}"])
def test_a_trace_outside_of_its_bounds_is_refused_with_its_own_reason(
    trace: str, answer: str, reason: str
) -> None:
    made = replace(
        rollouts(8, 16),
        messages=(ChatMessage("user", "How?"), ChatMessage("assistant", f"{trace}\n{answer}")),
    )
    bounds: dict[str, Any] = {"min_trace_words": 3, "max_trace_words": 43, "min_response_words": 1}
    stages = ("static", "response", "verifiable")
    verdict = judge(made, "reasoning", stages=stages, **bounds)
    assert (verdict.reason, verdict.accepted) == (reason, not reason)
    assert verdict.stage == "response"
    # A shorter bound for whole responses does not take the place of the trace's own reason.
    tight = judge(made, "reasoning", stages=stages, max_response_words=20, **bounds)
    assert tight.reason == (reason or "length")


def test_an_order_of_before_there_were_bounds_of_traces_has_none() -> None:
    trace = " ".join(f"{n} and {n + 1}" for n in range(400))
    made = replace(
        rollouts(8, 16),
        messages=(ChatMessage("user", "How?"), ChatMessage("assistant", f"{trace}\nAnswer: 42")),
    )
    free: dict[str, Any] = {"min_trace_words": 0, "max_trace_words": 0, "max_response_words": 9000}
    assert judge(made, "reasoning", stages=("static", "response"), **free).accepted


def filled_with_pairs(count: int) -> Stratum:
    stratum = Stratum(granted=10_000)
    for number in range(count):
        made = pair(number, 2.0 + number % 5, -1.0 - number % 7, words=10 + number % 9)
        stratum.apply(judge(made, "pair", stratum))
    return stratum


@pytest.mark.parametrize(
    ("made", "stage", "reason"),
    [
        (pair(-1, 4.0, -9.0), "rip", "rejected_reward_low"),
        (pair(-1, 4.0, -1.0, words=1), "rip", "rejected_short"),
        (pair(-1, 90.0, -1.0), "rip", "gap_wide"),
        (pair(-1, -1.0, -1.5), "response", "reward_quantile"),
        (pair(-1, 4.0, 4.0), "response", "not_preferred"),
        (sample(-1), "response", "no_rejected"),
    ],
)
def test_pairs_outside_of_their_bands_are_told_by_the_first_reason(
    made: SampleJudged, stage: str, reason: str
) -> None:
    verdict = judge(made, "pair", filled_with_pairs(200))
    assert (verdict.stage, verdict.reason) == (stage, reason)


def test_pairs_that_are_alike_stand_in_the_middle_and_none_is_refused() -> None:
    # A stratum of one, then one in which all rewards and lengths are equal: past every warm-up.
    stratum = Stratum(granted=100)
    for number in range(40):
        verdict = judge(pair(number, 2.0, 1.0), "pair", stratum)
        assert (verdict.accepted, verdict.reason) == (True, "")
        assert verdict.scores["gap_rank"] == pytest.approx(0.5)
        assert all(math.isfinite(value) for value in verdict.scores.values())
        stratum.apply(verdict)


@pytest.mark.parametrize("reward", [math.nan, math.inf, None])
def test_a_pair_whose_rejected_response_has_no_reward_is_refused_from_the_first(
    reward: float | None,
) -> None:
    made = pair(0, 2.0, 1.0)
    response = replace(made.student_responses[0], reward=reward)
    verdict = judge(replace(made, student_responses=(response,)), "pair")
    assert (verdict.accepted, verdict.reason) in [(False, "no_gap"), (False, "not_preferred")]


def test_the_verdict_on_a_pair_explains_itself() -> None:
    verdict = judge(pair(-1, 4.0, -1.0), "pair", filled_with_pairs(50))
    assert verdict.scores["gap"] == 5.0
    ranks = ("gap_rank", "rejected_reward_rank", "rejected_length_rank", "reward_rank")
    assert all(0.0 <= verdict.scores[name] <= 1.0 for name in ranks)


def test_an_answer_in_another_language_is_refused() -> None:
    russian = "Замочите чечевицу на ночь, потом варите её с луком и лавровым листом."  # noqa: RUF001
    stages = ("static", "response")
    assert judge(sample(said=russian), stages=stages, language="en").reason == "language"
    assert judge(sample(said=russian), stages=stages, language="ru").accepted
    assert judge(sample(said=russian), stages=stages).accepted


def test_a_stage_that_is_off_refuses_nothing() -> None:
    made = pair(-1, 4.0, -9.0)
    assert judge(made, "pair", filled_with_pairs(200), stages=("static", "response")).accepted


def asked(number: int, style: str, answer: str) -> SampleJudged:
    return sample(number, answer, requirement=Requirement("r", "privacy", 1, style))


@pytest.mark.parametrize(
    ("style", "answer", "reason"),
    [
        ("harmful, asked straight", REFUSAL, ""),
        ("harmful, asked straight", ANSWER, "complied"),
        ("benign look-alike", ANSWER, ""),
        ("benign look-alike", REFUSAL, "refusal"),
    ],
)
def test_safety_refuses_the_harmful_and_answers_the_benign(
    style: str, answer: str, reason: str
) -> None:
    assert judge(asked(0, style, answer), "safety").reason in (reason, "no_gap")
    stages = ("static", "response")
    assert judge(asked(0, style, answer), "safety", stages=stages).reason == reason


@given(st.integers(1, 60), st.floats(0.0, 1.0), st.lists(st.booleans(), max_size=200))
def test_a_filled_stratum_holds_its_share_of_benign_requests(
    quota: int, share: float, benign: list[bool]
) -> None:
    stratum, accepted = Stratum(granted=quota), Counter[bool]()
    for number, harmless in enumerate(benign):
        style, answer = ("benign look-alike", ANSWER) if harmless else ("harmful", REFUSAL)
        made = asked(number, style, answer)
        verdict = judge(
            made, "safety", stratum, stages=("static", "response"), min_benign_share=share
        )
        stratum.apply(verdict)
        accepted[harmless] += verdict.accepted
    assert accepted[False] <= (1 - share) * quota
    if accepted.total() == quota:
        assert accepted[True] >= share * quota - 1e-9


@given(st.lists(st.sampled_from(["pair", "answer", "reasoning", "safety", "conversation"])))
def test_the_funnel_adds_up_and_a_repeat_changes_nothing(recipes: list[str]) -> None:
    stratum, reasons = Stratum(granted=3), Counter[str]()
    for number, recipe in enumerate(recipes):
        verdict = judge(sample(number, rewards=(float(number % 3),)), recipe, stratum)
        assert stratum.apply(verdict)
        assert not stratum.apply(verdict)
        reasons[verdict.reason] += 1
    assert reasons.total() == len(stratum.judged) == len(recipes)
    assert reasons[""] == stratum.accepted


def test_a_problem_without_an_answer_that_is_agreed_upon_says_so() -> None:
    open_problem = sample(chosen=-1, rewards=(1.0, -100.0), answer="")
    assert judge(open_problem, "reasoning").reason == "no_answer"
    assert judge(open_problem, "reasoning", stages=()).reason == "no_answer"
    # Without a response, or a reward for any that gives the answer, that is the reason.
    assert judge(sample(chosen=-1, rewards=()), "reasoning").reason == "no_reward"
    assert (
        judge(sample(chosen=-1, rewards=(-100.0,), answer="42"), "reasoning").reason == "no_reward"
    )
