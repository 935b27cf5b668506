"""A collector of traces: takes spans by OTLP over gRPC, as any does, and keeps them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


@dataclass(frozen=True)
class Seen:
    """A span that was sent."""

    service: str
    replica: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    """Empty at the root of a trace."""
    began: int
    ended: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    """Trace and span of each."""
    events: tuple[str, ...]
    failed: bool


@dataclass
class Collected:
    """All spans so far."""

    port: int = 0
    spans: list[Seen] = field(default_factory=list)
    requests: int = 0
    stop: Callable[[], None] = lambda: None
    """Have it go away at once."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name.startswith(name)]

    def by_id(self) -> dict[str, Seen]:
        return {span.id: span for span in self.spans}

    def ancestors(self, span: Seen) -> Iterator[Seen]:
        """Yield a span, its parent, and so on to the root; fails where one was not sent."""
        known = self.by_id()
        while True:
            yield span
            if not span.parent:
                return
            assert span.parent in known, f"the parent of {span.name!r} was not sent"
            assert known[span.parent].trace == span.trace
            span = known[span.parent]

    def tree(self, trace: str) -> list[str]:
        """Return a trace as lines of text."""
        children = defaultdict(list)
        for span in sorted(self.spans, key=lambda each: each.began):
            if span.trace == trace:
                children[span.parent].append(span)

        def lines(parent: str, depth: int) -> Iterator[str]:
            for span in children[parent]:
                milliseconds = (span.ended - span.began) / 1e6
                linked = f"  -> {len(span.links)} linked" if span.links else ""
                yield f"{'  ' * depth}{span.name}  [{span.service}] {milliseconds:.1f} ms{linked}"
                yield from lines(span.id, depth + 1)

        return list(lines("", 0))

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - spans come from a thread of the SDK
                await asyncio.sleep(0.02)


class _Servicer(TraceServiceServicer):
    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> Any:
        self._collected.requests += 1
        for of_resource in request.resource_spans:
            resource = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                self._collected.spans += [_seen(span, resource) for span in scope.spans]
        return ExportTraceServiceResponse()


@contextmanager
def collector(port: int = 0) -> Iterator[Collected]:
    """Run a collector; at the end it is gone, and what it had is still there.

    In threads of its own: who ends waits for what is left to be sent, and may block the event loop.
    """
    collected = Collected()
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    add_TraceServiceServicer_to_server(_Servicer(collected), server)  # type: ignore[no-untyped-call]
    collected.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()

    def stop() -> None:
        server.stop(0).wait()

    collected.stop = stop
    try:
        yield collected
    finally:
        collected.stop()


def _seen(span: SpanMessage, resource: dict[str, Any]) -> Seen:
    return Seen(
        resource["service.name"],
        resource.get("service.instance.id", ""),
        span.name,
        SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        tuple(event.name for event in span.events),
        span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _attributes(found: Sequence[KeyValue]) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in found}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
