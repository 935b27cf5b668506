"""In which trace a scenario is when its steps are sampled each for itself."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from services.runtime import tracing
from services.scenario_extraction import window_spans
from services.scenario_extraction.window_spans import WindowSpans
from tests.unit.runtime.spans import Kept, tracing_in_memory


def window(*sampled: bool) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Return the span of the scenario of a window, and those of its sampled steps, in order."""
    with tracing_in_memory() as kept:
        spans = WindowSpans()
        for number, is_sampled in enumerate(sampled):
            with tracing.root(f"step {number}", ratio=float(is_sampled)):
                spans.note("g")
                if number == len(sampled) - 1:
                    with spans.scenario("g"):
                        pass
    return kept.spans["scenario"], steps(kept)


def steps(kept: Kept) -> list[ReadableSpan]:
    found = [span for span in kept.exporter.get_finished_spans() if span.name.startswith("step")]
    return sorted(found, key=lambda span: span.name)


def linked(scenario: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in scenario.links]


@pytest.mark.parametrize(
    "sampled",
    [(True, True, True), (False, False, True), (True, False, True), (True,)],
    ids=str,
)
def test_it_is_in_the_trace_of_the_step_that_closes_its_window(sampled: tuple[bool, ...]) -> None:
    scenario, (*others, closing) = window(*sampled)
    assert scenario.parent is not None
    assert scenario.parent.span_id == closing.context.span_id
    assert linked(scenario) == [other.context.span_id for other in others]


@pytest.mark.parametrize("sampled", [(True, True, False), (True, False, False)], ids=str)
def test_or_else_in_that_of_the_newest_sampled_one(sampled: tuple[bool, ...]) -> None:
    scenario, (*others, newest) = window(*sampled)
    assert scenario.parent is not None
    assert scenario.parent.span_id == newest.context.span_id
    assert scenario.context.trace_id == newest.context.trace_id
    assert linked(scenario) == [other.context.span_id for other in others]


def test_without_a_sampled_step_there_is_none() -> None:
    with pytest.raises(KeyError):
        window(False, False, False)


def test_the_next_window_begins_anew_but_a_failed_attempt_is_made_again() -> None:
    with tracing_in_memory() as kept:
        spans = WindowSpans()
        with tracing.root("step 0"):
            spans.note("g")
        with pytest.raises(RuntimeError), spans.scenario("g"):
            raise RuntimeError
        with spans.scenario("g"):
            pass
        with tracing.root("step 1"):
            spans.note("g")
            spans.note("g")
            with spans.scenario("g"):
                pass
        with tracing.root("step 2"):
            spans.note("g")
        spans.forget("g")
        with spans.scenario("g") as span:
            assert span is None
    scenarios = [s for s in kept.exporter.get_finished_spans() if s.name == "scenario"]
    first, second, _ = steps(kept)
    parents = [s.parent.span_id for s in scenarios if s.parent is not None]
    assert parents == [first.context.span_id, first.context.span_id, second.context.span_id]
    assert [linked(each) for each in scenarios] == [[], [], []]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_spans, "MOST_WINDOWS", 10)
    with tracing_in_memory():
        spans = WindowSpans()
        for group in range(100):
            for _ in range(50):
                with tracing.root("step"):
                    spans.note(str(group))
        with spans.scenario("0") as forgotten:
            assert forgotten is None
        with spans.scenario("99") as kept:
            assert kept is not None
