"""Where a span is, as text: the `traceparent` of W3C, for headers of messages, HTTP and gRPC."""

import re

from opentelemetry.trace import SpanContext, TraceFlags

TRACEPARENT = "traceparent"
"""Name of the header."""
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)


def told(context: SpanContext) -> str:
    """Return a context as text."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def sampled_parent(text: str) -> SpanContext | None:
    """Return the context that a header tells; None where it is none, or its trace not sampled.

    Anybody may have written it: what is not of that form, whatever it is, counts as no header.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    context = SpanContext(
        int(match[1], 16),
        int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )
    return context if context.is_valid and context.trace_flags.sampled else None
