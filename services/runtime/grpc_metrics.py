"""Counts the calls that a server serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from services.runtime import tracing
from services.runtime.grpc_handlers import Context, Handler, Next, inside
from services.runtime.transport_metrics import GrpcMetrics

_UNCOUNTED = ("grpc.health.", "grpc.reflection.")
"""Asked by machines, every few seconds."""


class CallMetrics(grpc.aio.ServerInterceptor):
    """Counts calls by method and status; the outermost interceptor, so that it sees every one.

    Only methods that are served have a handler and are counted: callers cannot make up labels.
    """

    def __init__(self, metrics: GrpcMetrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self, continuation: Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the handler with its calls counted."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.removeprefix("/")
        if handler is None or method.startswith(_UNCOUNTED):
            return handler
        metrics = self._metrics
        unary = not (handler.request_streaming or handler.response_streaming)

        @asynccontextmanager
        async def counted(context: Context) -> AsyncIterator[None]:
            began, code = time.monotonic(), ""
            metrics.open[method] = metrics.open.get(method, 0) + 1
            try:
                yield
            except asyncio.CancelledError:
                code = _broken_off(context)
                raise
            finally:
                metrics.open[method] -= 1
                metrics.calls[method, code or _code(context)] += 1
                if unary:
                    seconds = time.monotonic() - began
                    metrics.seconds.labels(method).observe(seconds, tracing.exemplar())

        return inside(handler, counted)


def _code(context: Context) -> str:
    code = context.code()  # None while nobody set one.
    return code.name if isinstance(code, grpc.StatusCode) else "OK"


def _broken_off(context: Context) -> str:
    """Return the status of a call that gRPC has cancelled."""
    left = context.time_remaining()
    return "CANCELLED" if left is None or left > 0 else "DEADLINE_EXCEEDED"
