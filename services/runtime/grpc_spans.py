"""Spans of RPCs, on both sides, by the OpenTelemetry conventions of RPC.

OpenTelemetry's own interceptors are not used: on the server they take every stream for a generator,
and ours write by themselves; on the client they hide that a stream can be cancelled; and both keep
texts of errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
from opentelemetry.trace import Span, SpanKind, StatusCode

from services.runtime import tracing
from services.runtime.grpc_handlers import Context, Handler, Next, inside
from services.runtime.trace_context import TRACEPARENT, sampled_parent

_Go: TypeAlias = Callable[[grpc.aio.ClientCallDetails, Any], Any]
_PLAIN = ("/grpc.health.", "/grpc.reflection.", "/opentelemetry.")
"""Calls of which nobody wants spans."""
_SERVER_FAULTS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


class ServedSpans(grpc.aio.ServerInterceptor):
    """Makes a span of each call: in its caller's trace, or else at the root of one."""

    async def intercept_service(
        self, continuation: Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the handler with a span around each of its calls."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not tracing.enabled() or method.startswith(_PLAIN):
            return handler
        given = dict(handler_call_details.invocation_metadata).get(TRACEPARENT)

        @asynccontextmanager
        async def spanned(context: Context) -> AsyncIterator[None]:
            name, aborted = method.removeprefix("/"), None
            with (
                tracing.root(name, SpanKind.SERVER)
                if given is None
                else tracing.child_of(sampled_parent(str(given)), name, SpanKind.SERVER)
            ) as span:
                cancelled = False
                try:
                    yield
                except grpc.aio.AbortError as error:
                    aborted = error  # How the call ends, and no failure of the span's own.
                except asyncio.CancelledError:
                    cancelled = True
                    raise
                finally:
                    if span is not None:
                        code = grpc.StatusCode.CANCELLED if cancelled else _code(context.code())
                        _note(span, name, code, _SERVER_FAULTS)
            if aborted is not None:
                raise aborted

        return inside(handler, spanned)


def client_interceptors() -> tuple[grpc.aio.ClientInterceptor, ...]:
    """Return what carries the current span to servers; none where nothing is traced.

    A call that answers once is a span of its own. One that streams is not: it may last for days,
    and what happens in it is told by the server.
    """
    if not tracing.enabled():
        return ()
    return _UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: _Go, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        name = _name(client_call_details)
        if name.startswith(tuple(each.removeprefix("/") for each in _PLAIN)):
            return await continuation(client_call_details, request)
        with tracing.child(name, SpanKind.CLIENT) as span:
            call = await continuation(_carrying(client_call_details), request)
            if span is not None:
                try:
                    code = await call.code()
                except asyncio.CancelledError:
                    call.cancel()
                    raise
                _note(span, name, code, set(grpc.StatusCode) - {grpc.StatusCode.OK})
            return call


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: _Go, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_carrying(client_call_details), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: _Go,
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await continuation(_carrying(client_call_details), request_iterator)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self,
        continuation: _Go,
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await continuation(_carrying(client_call_details), request_iterator)


def _name(details: grpc.aio.ClientCallDetails) -> str:
    method: Any = details.method
    return (method.decode() if isinstance(method, bytes) else str(method)).removeprefix("/")


def _carrying(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    text = tracing.traceparent()
    if not text:
        return details
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata.add(TRACEPARENT, text)
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


def _code(given: Any) -> grpc.StatusCode:
    """Return the status of a call that is served; it is a number or nothing before its end."""
    for code in grpc.StatusCode:
        if given is code or given == code.value[0]:
            return code
    return grpc.StatusCode.OK


def _note(span: Span, method: str, code: grpc.StatusCode, faults: set[grpc.StatusCode]) -> None:
    span.set_attributes(
        {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code.name}
    )
    if code in faults:
        span.set_attribute("error.type", code.name)
        span.set_status(StatusCode.ERROR)
