import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.verdicts import (
    ResponseLimits,
    best_of,
    release_due,
    response_reason,
    reward_from_logprobs,
)

RESPONSE = "Soak the lentils overnight, then simmer them with an onion and a bay leaf."
LIMITS = ResponseLimits(min_words=5, max_words=50)
REFUSED = "I'm sorry, but I can't help with that. Please ask a professional instead."


def reason_of(
    response: str = RESPONSE,
    reward: float | None = 1.0,
    threshold: float | None = 0.0,
    seen: int = 100,
    may_refuse: bool = False,
) -> str:
    return response_reason(
        response,
        reward,
        limits=LIMITS,
        threshold=threshold,
        seen=seen,
        may_refuse=may_refuse,
    )


def test_best_of_takes_the_highest_finite_reward_and_the_first_of_equals() -> None:
    assert best_of([0.5, None, 2.0, math.nan, 2.0, math.inf]) == 2
    assert best_of([-math.inf, -7.0]) == 1


@given(st.lists(st.none() | st.floats()))
def test_best_of_is_no_worse_than_any(rewards: list[float | None]) -> None:
    best = best_of(rewards)
    finite = [reward for reward in rewards if reward is not None and math.isfinite(reward)]
    if not finite:
        assert best == -1
    else:
        assert rewards[best] == max(finite)


def test_log_odds_of_two_listed_words() -> None:
    logprobs = {"yes": math.log(0.75), "no": math.log(0.25)}
    assert reward_from_logprobs(logprobs) == pytest.approx(math.log(3))


def test_variants_of_a_word_add_up() -> None:
    logprobs = {
        "Yes": math.log(0.2),
        " yes": math.log(0.1),
        "\u2581YES": math.log(0.1),
        "\u0120yes.": math.log(0.1),
        "No": math.log(0.25),
        "yesterday": math.log(0.1),
    }
    assert reward_from_logprobs(logprobs) == pytest.approx(math.log(0.5 / 0.25))


def test_an_unlisted_side_is_no_more_probable_than_the_least_listed_token() -> None:
    logprobs = {"Yes": math.log(0.5), "Perhaps": math.log(0.1), "Well": math.log(0.02)}
    assert reward_from_logprobs(logprobs) == pytest.approx(math.log(0.5 / 0.02))
    swapped = {"No": math.log(0.5), "Perhaps": math.log(0.1), "Well": math.log(0.02)}
    assert reward_from_logprobs(swapped) == pytest.approx(math.log(0.02 / 0.5))


def test_an_unlisted_side_is_no_more_probable_than_what_is_left() -> None:
    assert reward_from_logprobs({"yes": math.log(0.9)}) == pytest.approx(math.log(9))
    certain = reward_from_logprobs({"yes": 0.0})
    assert certain == pytest.approx(-math.log(1e-6))


def test_no_verdict_without_either_word() -> None:
    assert reward_from_logprobs({}) is None
    assert reward_from_logprobs({"Maybe": -0.1, "yes": math.nan}) is None


def test_other_words_can_say_yes() -> None:
    logprobs = {"Good": math.log(0.6), "A": math.log(0.1), "Bad": math.log(0.3)}
    assert reward_from_logprobs(logprobs, yes=("good", "a"), no=("bad",)) == pytest.approx(
        math.log(0.7 / 0.3)
    )


@given(
    st.dictionaries(
        st.sampled_from(["yes", "Yes", " yes", "no", "No", " no", "maybe", "the", "I"]),
        st.floats(max_value=0.0, allow_nan=False) | st.just(-9999.0) | st.just(math.nan),
    )
)
def test_rewards_are_finite_and_change_sign_with_the_sides(logprobs: dict[str, float]) -> None:
    reward = reward_from_logprobs(logprobs)
    opposite = reward_from_logprobs(logprobs, yes=("no",), no=("yes",))
    if reward is None:
        assert opposite is None
    else:
        assert math.isfinite(reward)
        assert opposite == pytest.approx(-reward)


def test_a_good_response_is_accepted() -> None:
    assert reason_of() == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reward": None}, "no_reward"),
        ({"reward": math.nan}, "no_reward"),
        ({"response": REFUSED}, "refusal"),
        ({"response": "Soak them."}, "length"),
        ({"response": ", ".join(f"item {i}" for i in range(40))}, "length"),
        ({"response": "and then we went home " * 8}, "repetitive"),
        ({"reward": -0.1}, "reward_quantile"),
    ],
)
def test_reasons_of_the_response_stage(changes: dict[str, object], expected: str) -> None:
    assert reason_of(**changes) == expected  # type: ignore[arg-type]


def test_a_reward_at_the_quantile_is_enough() -> None:
    assert not reason_of(reward=0.3, threshold=0.3)


def test_the_quantile_counts_once_the_warm_up_is_over() -> None:
    assert not reason_of(reward=-5.0, seen=7)
    assert reason_of(reward=-5.0, seen=8) == "reward_quantile"
    assert not reason_of(reward=-5.0, seen=0, threshold=None)


def test_a_refusal_may_be_what_is_called_for() -> None:
    assert not reason_of(response=REFUSED, may_refuse=True)


@given(
    reward=st.none() | st.floats(),
    threshold=st.none() | st.floats(-10, 10),
    seen=st.integers(0, 20),
    may_refuse=st.booleans(),
    response=st.sampled_from([RESPONSE, REFUSED, "", "no no no no no no no no no no no no"]),
)
def test_what_has_no_reason_keeps_every_rule(
    reward: float | None, threshold: float | None, seen: int, may_refuse: bool, response: str
) -> None:
    told = reason_of(response, reward, threshold, seen, may_refuse)
    if told:
        return
    assert reward is not None
    assert math.isfinite(reward)
    assert response == RESPONSE or (may_refuse and response == REFUSED)
    assert threshold is None or seen < LIMITS.warmup or reward >= threshold


def test_a_stratum_gives_back_what_it_owes_from_the_room_it_has() -> None:
    assert release_due(granted=10, recall=4, released=0, accepted=3) == 4
    assert release_due(granted=10, recall=4, released=4, accepted=3) == 0
    assert release_due(granted=10, recall=8, released=0, accepted=7) == 3
    assert release_due(granted=10, recall=0, released=0, accepted=0) == 0


@given(*[st.integers(0, 50)] * 4)
def test_a_release_never_exceeds_room_or_debt(
    granted: int, recall: int, released: int, accepted: int
) -> None:
    due = release_due(granted, recall, released, accepted)
    assert due >= 0
    if due:
        assert released + due <= recall
        assert granted - (released + due) - accepted >= 0
