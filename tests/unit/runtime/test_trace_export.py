"""A collector that is away is told of once, and once more when it is back."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from services.runtime.trace_export import Patient

SPANS = [ReadableSpan("a"), ReadableSpan("b")]


class Moody(SpanExporter):
    def __init__(self) -> None:
        self.mood: SpanExportResult | Exception = SpanExportResult.SUCCESS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if isinstance(self.mood, Exception):
            raise self.mood
        return self.mood


@pytest.mark.parametrize("mood", [SpanExportResult.FAILURE, RuntimeError("broken")])
def test_the_log_is_told_once_and_how_many_spans_were_lost(mood: SpanExportResult) -> None:
    now = 100.0
    moody = Moody()
    patient = Patient(moody, "http://there:4317", lambda: now)
    with capture_logs() as lines:
        assert patient.export(SPANS) is SpanExportResult.SUCCESS
        moody.mood = mood
        for _ in range(50):
            assert patient.export(SPANS) is SpanExportResult.FAILURE
        now, moody.mood = 160.0, SpanExportResult.SUCCESS
        for _ in range(2):
            assert patient.export(SPANS) is SpanExportResult.SUCCESS
    away, back = lines
    assert (away["event"], away["endpoint"]) == ("collector of traces is away", "http://there:4317")
    assert (back["event"], back["seconds"], back["lost_spans"]) == (
        "collector answers again",
        60.0,
        100,
    )
