from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.local.log import Log
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.asking import ask_decision, ask_text
from services.runtime.endpoints import Endpoint
from services.runtime.errors import Retryable
from services.runtime.journal import ModelJournal
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatRequest, Message

TOPIC = "matrix.model-answers.v1"
PLAUSIBLE = {
    "type": "object",
    "properties": {"plausible": {"type": "boolean"}},
    "required": ["plausible"],
}
TOKENS = 6
"""Tokens of an answer of that form by the simulated model."""


@dataclass
class Desk:
    log: Log
    models: HttpModels
    simulator: Simulator
    metrics: ModelMetrics
    journal: ModelJournal

    async def restart(self) -> None:
        self.journal = ModelJournal(TOPIC, self.models, self.log, metrics=self.metrics)
        self.journal.restore(await self.log.history(TOPIC))

    async def decide(self, tokens: int, schema: dict[str, Any] = PLAUSIBLE) -> Any:
        return await ask_decision(
            self.journal.unit("route/g/1", "g"),
            "plausible/0",
            "simulator",
            "plausibility",
            request("Can this action happen now?", tokens, schema),
        )


def request(text: str, tokens: int, schema: dict[str, Any] | None = None) -> ChatRequest:
    return ChatRequest((Message("user", text),), tokens, temperature=0.0, json_schema=schema)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = Log(tmp_path / "log.db", compacted={TOPIC})
    simulator = Simulator(SimulatorSettings(max_model_len=200))
    endpoint = Endpoint(await simulator.start(), "simulated")
    calls = CallSettings(patience_seconds=0.0)
    metrics = ModelMetrics()
    async with HttpModels({"simulator": endpoint}, metrics, 8, calls) as models:
        journal = ModelJournal(TOPIC, models, log, metrics=metrics)
        yield Desk(log, models, simulator, metrics, journal)
    await simulator.stop()
    await log.close()


async def test_a_decision_is_the_object_that_was_asked_for(desk: Desk) -> None:
    assert await desk.decide(TOKENS) == {"plausible": True}
    assert (desk.simulator.calls, desk.metrics.malformed) == (1, {})


async def test_a_decision_that_was_cut_off_is_asked_for_once_more_with_twice_the_tokens(
    desk: Desk,
) -> None:
    assert await desk.decide(TOKENS // 2) == {"plausible": True}
    assert (desk.simulator.calls, desk.metrics.malformed) == (2, {"plausibility": 1})


@pytest.mark.parametrize(
    ("tokens", "schema"),
    [(1, PLAUSIBLE), (40, {"type": "array", "items": {"type": "integer"}}), (40, {"type": "null"})],
)
async def test_after_two_malformed_answers_there_is_no_decision(
    tokens: int, schema: dict[str, Any], desk: Desk
) -> None:
    assert await desk.decide(tokens, schema) is None
    assert (desk.simulator.calls, desk.metrics.malformed) == (2, {"plausibility": 2})


@pytest.mark.parametrize("tokens", [1, TOKENS // 2, TOKENS])
async def test_after_a_restart_the_same_is_decided_without_asking(tokens: int, desk: Desk) -> None:
    decided = await desk.decide(tokens)
    asked = desk.simulator.calls
    await desk.restart()
    assert await desk.decide(tokens) == decided
    assert desk.simulator.calls == asked


async def test_a_refused_question_is_no_decision_and_no_malformed_answer(desk: Desk) -> None:
    assert await desk.decide(1000) is None
    assert (desk.simulator.calls, desk.metrics.malformed) == (0, {})


async def test_a_text_comes_in_whole_sentences_and_is_empty_when_refused(desk: Desk) -> None:
    unit = desk.journal.unit("step/g/1", "g")
    text = await ask_text(unit, "a", "simulator", "act", request("What do you bake?", 30))
    assert text.endswith((".", "!", "?"))
    assert await ask_text(unit, "b", "simulator", "act", request("bread " * 300, 30)) == ""


async def test_a_model_that_is_gone_is_nobodys_decision(desk: Desk) -> None:
    await desk.simulator.stop()
    unit = desk.journal.unit("step/g/1", "g")
    with pytest.raises(Retryable):
        await desk.decide(TOKENS)
    with pytest.raises(Retryable):
        await ask_text(unit, "a", "simulator", "act", request("What do you bake?", 30))
