"""PreviewInstruction on real servers: one instruction, and nothing of it is kept."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from matrix.instruction_generation.v1 import service_pb2 as pb

from tests.integration.instruction_generation_rpc import serving
from tests.integration.rpc import Code, ask, refusal


async def test_a_preview_makes_one_instruction_and_keeps_nothing(tmp_path: Path) -> None:
    request = pb.PreviewInstructionRequest(
        scenario_id="bread", agent_id="bread1", kind="domain", requirement="baking"
    )
    async with serving(tmp_path) as ((replica,), (channel,)):
        made = await ask(channel, request)
        assert replica.parts.calls == 1
        log = replica.parts.log
        assert await log.history("matrix.model-answers.v1") == []
        assert await log.history("matrix.instructions-generated.v1") == []
        request.agent_id = ""
        assert (await ask(channel, request)).agent_id == "bread0"
    assert made.instruction
    assert made.requirement.text == "baking"
    assert (made.agent_id, made.usage.calls) == ("bread1", 1)
    assert "Person 1" in made.prompt
    assert made.model


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scenario_id": "x"}, Code.NOT_FOUND),
        ({"agent_id": "x"}, Code.NOT_FOUND),
        ({"kind": "x"}, Code.NOT_FOUND),
        ({"requirement": "x"}, Code.INVALID_ARGUMENT),
    ],
)
async def test_a_preview_of_what_is_not_there_is_refused(
    tmp_path: Path, changes: dict[str, str], code: grpc.StatusCode
) -> None:
    fields: dict[str, Any] = {"scenario_id": "bread", "kind": "sft", **changes}
    async with serving(tmp_path) as ((replica,), (channel,)):
        status, _ = await refusal(ask(channel, pb.PreviewInstructionRequest(**fields)))
        assert replica.parts.calls == 0
    assert status is code
