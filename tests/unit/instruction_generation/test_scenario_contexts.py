"""Instructions are made in the traces of their scenarios, as far as these are remembered."""

from typing import Any

import pytest

from services.events import Requirement, ScenarioExtracted
from services.instruction_generation import scenario_contexts
from services.instruction_generation.domain import Claim
from services.instruction_generation.scenario_contexts import ScenarioContexts
from services.runtime.ports import Delivery
from tests.unit.runtime.spans import tracing_in_memory


def header(number: int, sampled: bool = True) -> str:
    return f"00-{number:032x}-{number:016x}-0{int(sampled)}"


def note(contexts: ScenarioContexts, number: int, text: str) -> None:
    event = ScenarioExtracted(str(number), "g", "r", 0, 0, 2, "s", (), ())
    contexts.note(event, Delivery("t", 0, number, "g", b"", {"traceparent": text}))


def claim(scenario: int) -> Claim:
    return Claim("c", "d", "s", str(scenario), "a", 0, Requirement("q", "x", 3, "z"))


def trace_of(contexts: ScenarioContexts, scenario: int) -> Any:
    with contexts.instruction(claim(scenario)) as span:
        return None if span is None else span.get_span_context().trace_id


def test_an_instruction_is_in_the_trace_of_its_scenario() -> None:
    with tracing_in_memory() as kept:
        contexts = ScenarioContexts()
        note(contexts, 7, header(7))
        note(contexts, 7, header(8))  # The same scenario, sent again.
        note(contexts, 9, header(9, sampled=False))
        note(contexts, 10, "junk")
        contexts.note("another event", Delivery("t", 0, 1, "g", b"", {"traceparent": header(11)}))
        assert trace_of(contexts, 7) == 7
        assert [trace_of(contexts, number) for number in (9, 10, 11, 12)] == [None] * 4
    assert len(kept) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_contexts, "MOST_SCENARIOS", 10)
    with tracing_in_memory():
        contexts = ScenarioContexts()
        for number in range(1, 101):
            note(contexts, number, header(number))
        assert trace_of(contexts, 90) is None
        assert trace_of(contexts, 91) == 91


def test_without_tracing_nothing_is_remembered() -> None:
    contexts = ScenarioContexts()
    note(contexts, 7, header(7))
    with tracing_in_memory():
        assert trace_of(contexts, 7) is None
