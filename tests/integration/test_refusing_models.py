"""A refused prompt is a verdict; a model that refuses everything is a failure."""

import pytest

from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.endpoints import Endpoint
from services.runtime.errors import Rejected, Retryable
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatAnswer, ChatRequest, Message, Role
from services.runtime.refusals import ProbedModel

SHORT = ChatRequest((Message("user", "Name a colour."),), 20)
LONG = ChatRequest((Message("user", "Name a colour. " * 200),), 20)
ROLES: tuple[Role, ...] = ("simulator", "teacher")


async def ask(request: ChatRequest, max_model_len: int, model: str = "simulated") -> ChatAnswer:
    simulator = Simulator(SimulatorSettings(max_model_len=max_model_len))
    endpoints = dict.fromkeys(ROLES, Endpoint(await simulator.start(), model))
    try:
        async with HttpModels(endpoints, ModelMetrics(), 1, CallSettings(30.0, 0.0)) as models:
            return await ProbedModel(models).chat("teacher", "instruction", request)
    finally:
        await simulator.stop()


async def test_a_sound_model_answers() -> None:
    answer = await ask(SHORT, 200)
    assert answer.completions[0].text


async def test_a_model_that_answers_others_has_judged_the_prompt() -> None:
    with pytest.raises(Rejected, match="HTTP 400"):
        await ask(LONG, 200)


@pytest.mark.parametrize(("length", "model"), [(8, "simulated"), (200, "another")])
async def test_a_model_that_refuses_everything_has_failed(length: int, model: str) -> None:
    with pytest.raises(Retryable, match=r"HTTP 40.*refuses any other request, too.*API key"):
        await ask(SHORT, length, model)
