"""What the desk asks of models, and what it makes of a judge that gives no verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from services.events import FilterSpec
from services.kinds import load_kinds
from services.reward_filtering.recipes.desk import UNJUDGED, Desk, Policy, recorded
from services.reward_filtering.verdicts import best_of
from services.runtime.dry_runs import unrecorded
from services.runtime.errors import Rejected
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Message, Role

ASKED = Message("user", "How do I bake bread?")
TOLD = "Answer in 50 to 300 words, in the language of the message."


class Recording:
    """A model that says one thing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Message, ...]] = []

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request.messages)
        return ChatAnswer((Completion("Knead it.", "stop"),), "model", 1, 1)


async def sent(
    tell: bool, *messages: Message, policy: Policy = "teacher", stage: str = "response"
) -> tuple[Message, ...]:
    """Return what the model is sent for these messages."""

    async def run_tests(solution: str, tests: str) -> str:
        raise AssertionError("nothing is to be run")

    model = Recording()
    judge = load_kinds()["safety"].prompts["judge"]
    spec = FilterSpec(min_response_words=50, max_response_words=300, tell_response_words=tell)
    desk = Desk(unrecorded(model).unit("candidate", "d/r00"), judge, spec, run_tests)
    assert await desk.texts("responses", policy, messages, 1, stage) == ["Knead it."]
    (asked,) = model.asked
    return asked


async def test_a_teacher_is_told_the_length_in_a_system_message() -> None:
    assert await sent(True, ASKED) == (Message("system", TOLD), ASKED)


async def test_the_length_follows_what_the_prompt_of_the_kind_says() -> None:
    kind = Message("system", "You solve problems step by step.")
    together = Message("system", f"{kind.content}\n{TOLD}")
    assert await sent(True, kind, ASKED) == (together, ASKED)


@pytest.mark.parametrize(
    ("tell", "policy", "stage"),
    [
        (False, "teacher", "response"),
        (True, "student", "rollout"),
        (True, "teacher", "tests"),
    ],
)
async def test_nobody_else_is_told(tell: bool, policy: Policy, stage: str) -> None:
    assert await sent(tell, ASKED, policy=policy, stage=stage) == (ASKED,)


JUDGE = load_kinds()["safety"].prompts["judge"]


@dataclass
class Judge:
    """A judge with the same log-probabilities for everything but the word `good`."""

    logprobs: Mapping[str, float] | None

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        if self.logprobs is None:
            raise Rejected("logprobs are not offered here")
        good = "good" in request.messages[-1].content.split("<answer>")[-1].split("</answer>")[0]
        given = {"Yes": -0.1, "No": -3.0} if good else self.logprobs
        return ChatAnswer((Completion("Perhaps", "length", given),), "judge", 1, 1)


async def rewards(logprobs: Mapping[str, float] | None, *responses: str) -> list[float | None]:
    async def no_code(solution: str, tests: str) -> str:
        raise AssertionError("nothing is run")

    unit = unrecorded(Judge(logprobs)).unit("verdict/s", "d/r00")
    return await Desk(unit, JUDGE, FilterSpec(), no_code).rewards(
        "judge", (Message("user", "How?"),), responses
    )


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"Perhaps": -0.2, "Maybe": -2.0},
        {"Yes": math.nan, "No": math.nan},
        {"Yes": math.nan, "Perhaps": -0.1},
    ],
)
async def test_a_response_without_a_verdict_has_no_reward_and_is_not_taken(
    logprobs: Mapping[str, float] | None,
) -> None:
    found = await rewards(logprobs, "one thing", "another")
    assert found == [None, None]
    assert best_of(found) == -1
    assert recorded(found) == (UNJUDGED, UNJUDGED)
    if logprobs is not None:
        found = await rewards(logprobs, "one thing", "a good one")
        assert best_of(found) == 1


async def test_an_empty_response_is_not_shown_to_the_judge() -> None:
    assert await rewards(None, "") == [None]
