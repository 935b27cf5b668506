"""JudgeSample on real servers: the verdict that an instruction would get, with nothing kept."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from matrix.instruction_generation.v1.service_pb2 import FilterOverrides
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.events.topics import SAMPLES_JUDGED
from services.reward_filtering.servicer import NAME, PERMISSIONS
from tests.integration.reward_filtering_rpc import serving
from tests.integration.rpc import Code, ask, check_permissions, refusal

QUESTION = "How do I bake a light rye bread with a sourdough starter in an old oven?"
ANSWER = "Feed the starter overnight, mix it with rye flour, water and salt, then bake it hot."


def test_every_rpc_has_a_permission() -> None:
    check_permissions(NAME, pb, dict(PERMISSIONS))
    assert [n for n, p in PERMISSIONS.items() if p == "operate"] == [f"/{NAME}/JudgeSample"]


async def test_a_dry_run_gives_responses_rewards_and_the_verdict_and_keeps_nothing(
    tmp_path: Path,
) -> None:
    request = pb.JudgeSampleRequest(
        instruction=f"Instruction: {QUESTION}", filter=FilterOverrides(responses=3)
    )
    async with serving(tmp_path) as ((replica,), (channel,)):
        verdict = await ask(channel, request)
        for topic in ("matrix.model-answers.v1", SAMPLES_JUDGED.name):
            assert await replica.parts.log.history(topic) == []
    assert verdict.instruction == QUESTION
    assert (len(verdict.responses), len(verdict.rewards)) == (3, 3)
    assert verdict.rewards[verdict.chosen] == max(verdict.rewards)
    assert verdict.accepted == (not verdict.reason)
    assert (verdict.stage, verdict.static_reason) == ("response", "")
    assert verdict.usage.calls == 4
    assert verdict.response_model
    assert verdict.reward_model


async def test_a_dry_run_judges_the_responses_that_it_is_given(tmp_path: Path) -> None:
    responses = ["I'm sorry, but I can't help with that.", ANSWER]
    request = pb.JudgeSampleRequest(instruction=QUESTION, responses=responses, kind="sft")
    async with serving(tmp_path) as ((replica,), (channel,)):
        verdict = await ask(channel, request)
        assert replica.parts.calls == 2
    assert list(verdict.responses) == responses
    assert len(verdict.rewards) == 2
    assert verdict.chosen in (0, 1)
    assert verdict.response_model == ""
    assert verdict.usage.calls == 2


async def test_a_dry_run_stops_at_the_static_stage_before_any_model(tmp_path: Path) -> None:
    mail = "Please write to ada.lovelace@example.com about the rye bread of next week."
    async with serving(tmp_path) as ((replica,), (channel,)):
        verdict = await ask(channel, pb.JudgeSampleRequest(instruction=mail))
        assert replica.parts.calls == 0
        loose = FilterOverrides(stages=["response"])
        without = await ask(channel, pb.JudgeSampleRequest(instruction=mail, filter=loose))
    assert not verdict.accepted
    assert (verdict.static_reason, verdict.reason, verdict.stage) == ("pii", "pii", "static")
    assert (list(verdict.responses), verdict.chosen) == ([], -1)
    assert without.static_reason == ""
    assert without.responses


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"instruction": "  "}, Code.INVALID_ARGUMENT),
        ({"instruction": "x" * 100_001}, Code.INVALID_ARGUMENT),
        ({"instruction": QUESTION, "responses": ["a"] * 65}, Code.INVALID_ARGUMENT),
        ({"instruction": QUESTION, "kind": "poems"}, Code.NOT_FOUND),
        (
            {"instruction": QUESTION, "filter": FilterOverrides(reward_quantile=1.0)},
            Code.INVALID_ARGUMENT,
        ),
    ],
)
async def test_a_dry_run_refuses_what_it_cannot_judge(
    tmp_path: Path, fields: dict[str, Any], code: grpc.StatusCode
) -> None:
    async with serving(tmp_path) as (_, (channel,)):
        status, _ = await refusal(ask(channel, pb.JudgeSampleRequest(**fields)))
    assert status is code
