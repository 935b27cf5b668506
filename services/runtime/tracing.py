"""Spans of this process: none until tracing is opened, and nearly free where nothing is sampled.

Whether a trace is sampled is decided where it begins (`root`); all else joins what is current, or
is told where it belongs. Of what is not sampled no span is made at all, so that the code between
asks `is None` and builds no attributes. No span holds the text of an error: it may quote a prompt.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode

from services.runtime.settings import TracingSettings
from services.runtime.trace_context import TRACEPARENT, told

Spanning = AbstractContextManager[Span | None]
"""A span for the time of a `with`; None where nothing is recorded."""


@dataclass(slots=True)
class _Process:
    """What is so for the whole process."""

    tracer: trace.Tracer | None = None
    ratio: float = 0.0
    prompts: bool = False


_process = _Process()
_NOTHING: Spanning = nullcontext()
_OUTSIDE = Context()


@contextmanager
def traced(settings: TracingSettings, service: str, replica: str = "") -> Iterator[None]:
    """Make spans for the time of this `with`, and send what is left at its end.

    Without an endpoint nothing is made, and nothing of the SDK is loaded.

    Args:
        settings: where to, and how many.
        service: its name; spans are of `matrix-NAME`.
        replica: id of this process among those of the service.

    Raises:
        Rejected: the authorities' file cannot be read.
    """
    if not settings.endpoint:
        yield
        return
    from services.runtime.trace_export import Export

    export = Export(settings, service, replica)
    before = _process.tracer, _process.ratio, _process.prompts
    _process.tracer = export.tracer
    _process.ratio, _process.prompts = settings.sample_ratio, settings.prompts
    try:
        yield
    finally:
        _process.tracer, _process.ratio, _process.prompts = before
        export.close()


def enabled() -> bool:
    """Return whether this process makes spans."""
    return _process.tracer is not None


def prompts_wanted() -> bool:
    """Return whether prompts and answers are to stand in spans."""
    return _process.prompts


def current() -> Span | None:
    """Return the span that is current and recorded; None where there is none."""
    if _process.tracer is None:
        return None
    span = trace.get_current_span()
    return span if span.is_recording() else None


def current_context() -> SpanContext | None:
    """Return where the current span is; None where nothing is recorded."""
    span = current()
    return None if span is None else span.get_span_context()


def traceparent() -> str:
    """Return the header of the current span; empty where nothing is recorded."""
    context = current_context()
    return "" if context is None else told(context)


def headers() -> dict[str, str]:
    """Return the headers that carry the current span on; none where nothing is recorded."""
    text = traceparent()
    return {TRACEPARENT: text} if text else {}


def exemplar() -> dict[str, str] | None:
    """Return the ids of the current span for an exemplar; None where nothing is recorded."""
    context = current_context()
    if context is None:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def child(name: str, kind: SpanKind = SpanKind.INTERNAL, links: Sequence[Link] = ()) -> Spanning:
    """Return a span in what is current; nothing where nothing is recorded."""
    return _NOTHING if current() is None else _spanning(name, None, kind, links)


def child_of(
    parent: SpanContext | None,
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Sequence[Link] = (),
) -> Spanning:
    """Return a span in `parent`; without one nothing, and nothing is current either."""
    if _process.tracer is None:
        return _NOTHING
    if parent is None:
        return outside()
    return _spanning(name, _inside(parent), kind, links)


def root(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Sequence[Link] = (),
    ratio: float | None = None,
) -> Spanning:
    """Return the span that begins a trace, if chance has it sampled; else as `outside`.

    Args:
        name: of the span.
        kind: of the span.
        links: to what it follows from.
        ratio: of such traces that are sampled; by default as the settings say.
    """
    if _process.tracer is None:
        return _NOTHING
    if random.random() >= (_process.ratio if ratio is None else ratio):
        return outside()
    return _spanning(name, _OUTSIDE, kind, links)


def outside() -> Spanning:
    """Return what lets nothing be current: a task may have begun inside somebody else's span."""
    return _NOTHING if current() is None else _detached()


def record(
    parent: SpanContext,
    name: str,
    began_ns: int,
    links: Sequence[Link],
    attributes: Mapping[str, str | int],
) -> None:
    """Make a span of what has just ended, and began at `began_ns` (since the epoch)."""
    if _process.tracer is not None:
        span = _process.tracer.start_span(
            name, _inside(parent), links=links, start_time=began_ns, attributes=attributes
        )
        span.end()


def failed(span: Span, error: BaseException) -> None:
    """Note in a span that what it is about failed, and how; not why, which may quote a prompt."""
    span.set_attribute("error.type", type(error).__name__)
    if isinstance(error, Exception):
        span.set_status(StatusCode.ERROR)


def buried(span: Span) -> None:
    """Note in a span that its message became a dead letter."""
    span.set_attribute("error.type", "dead_letter")
    span.set_status(StatusCode.ERROR)


def _inside(parent: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent), _OUTSIDE)


@contextmanager
def _spanning(
    name: str, parent: Context | None, kind: SpanKind, links: Sequence[Link]
) -> Iterator[Span]:
    assert _process.tracer is not None
    span = _process.tracer.start_span(name, parent, kind, links=links)
    token = contexts.attach(trace.set_span_in_context(span))
    try:
        yield span
    except BaseException as error:
        failed(span, error)
        raise
    finally:
        contexts.detach(token)
        span.end()


@contextmanager
def _detached() -> Iterator[None]:
    token = contexts.attach(_OUTSIDE)
    try:
        yield
    finally:
        contexts.detach(token)
