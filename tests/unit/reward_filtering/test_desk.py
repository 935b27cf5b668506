"""What the desk makes of a judge that gives no verdict, or none that can be used."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from services.events import FilterSpec
from services.kinds import load_kinds
from services.reward_filtering.recipes.desk import UNJUDGED, Desk, recorded
from services.reward_filtering.verdicts import best_of
from services.runtime.dry_runs import unrecorded
from services.runtime.errors import Rejected
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Role

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
    return await Desk(unit, JUDGE, FilterSpec(), no_code).rewards("judge", "How?", responses)


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
