"""Tracing for the time of a test, whose spans are kept in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime import trace_export
from services.runtime.settings import TracingSettings
from services.runtime.tracing import traced


class Kept:
    """What was sent, once tracing has ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def __len__(self) -> int:
        return len(self.exporter.get_finished_spans())


@contextmanager
def tracing_in_memory(ratio: float = 1.0, prompts: bool = False) -> Iterator[Kept]:
    kept = Kept()
    settings = TracingSettings(endpoint="http://nowhere:4317", sample_ratio=ratio, prompts=prompts)
    with (
        patch.object(trace_export, "_exporter", lambda settings: kept.exporter),
        traced(settings, "test", "r1"),
    ):
        yield kept
