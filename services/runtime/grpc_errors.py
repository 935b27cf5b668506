"""From what a servicer raises to the status that the caller sees: one interceptor for all RPCs.

NotFound is NOT_FOUND, Unprepared FAILED_PRECONDITION, any other Rejected INVALID_ARGUMENT,
Retryable UNAVAILABLE, a time-out DEADLINE_EXCEEDED; `context.abort` passes as it is. Anything else
is a bug: INTERNAL with a number under which the log has the details, and the server goes on.
"""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate

import grpc
import grpc.aio
import structlog

from services.runtime.errors import NotFound, Rejected, Retryable, Unprepared
from services.runtime.grpc_handlers import Context, Handler, Next, inside

_log = structlog.get_logger(__name__)

_STATUS = {
    NotFound: grpc.StatusCode.NOT_FOUND,
    Unprepared: grpc.StatusCode.FAILED_PRECONDITION,
    Rejected: grpc.StatusCode.INVALID_ARGUMENT,
    Retryable: grpc.StatusCode.UNAVAILABLE,
}
_MAX_DETAILS = 4096
"""Bytes of a status text on the wire; all trailers together have 8 KB."""


class ErrorMapping(grpc.aio.ServerInterceptor):
    """Turns errors into statuses, and ends unary calls whose caller set no deadline."""

    def __init__(self, default_deadline_seconds: float) -> None:
        self._default_deadline = default_deadline_seconds

    async def intercept_service(
        self, continuation: Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the handler with its errors mapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        unary = not (handler.request_streaming or handler.response_streaming)

        @asynccontextmanager
        async def mapped(context: Context) -> AsyncIterator[None]:
            # A deadline that the caller set is kept by gRPC itself, which cancels the call.
            own = unary and context.time_remaining() is None
            seconds = self._default_deadline if own else None
            try:
                async with asyncio.timeout(seconds) as deadline:
                    yield
            except grpc.aio.AbortError:
                raise
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # The caller went away, or its deadline passed: nobody reads a status.
                # Nobody cancelled the call, only something that the servicer awaited.
                await _abort(context, method, error)
            except TimeoutError as error:
                late = TimeoutError(
                    f"not done within {seconds or 0:g} s, the default for calls without a "
                    "deadline: set a deadline of your own"
                )
                await _abort(context, method, late if deadline.expired() else error)
            except Exception as error:
                await _abort(context, method, error)

        return inside(handler, mapped)


def fitting(details: str) -> str:
    """Return the text of a status, cut so that it is small enough for the wire."""
    raw = details.encode(errors="replace")
    # What is not printable ASCII is percent-encoded.
    sizes = accumulate(1 if 32 <= byte < 127 and byte != ord("%") else 3 for byte in raw)
    length = sum(size <= _MAX_DETAILS for size in sizes)
    cut = raw[:length].decode(errors="ignore")
    return cut if length == len(raw) else f"{cut} ..."


async def _abort(context: Context, method: str, error: BaseException) -> None:
    if isinstance(error, tuple(_STATUS)):
        code = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        details = str(error)
        _log.debug("call refused", method=method, status=code.name, reason=details)
    elif isinstance(error, TimeoutError):
        code = grpc.StatusCode.DEADLINE_EXCEEDED
        details = str(error) or "something that the service waits for did not answer in time"
        _log.warning("call timed out", method=method, reason=details)
    elif isinstance(error, grpc.aio.InternalError):
        # A write to a caller that has just gone: mostly nobody is there to read this.
        code, details = grpc.StatusCode.UNAVAILABLE, "the connection broke off"
        _log.debug("connection broke off", method=method)
    else:
        code = grpc.StatusCode.INTERNAL
        number = secrets.token_hex(4)
        details = f"a bug of the service: its log has the details as error {number}"
        # As text: renderers of exceptions may show local variables, and with them tokens.
        _log.error("call failed", method=method, error_id=number, traceback=_text(error))
    if context.done():
        return  # The status is out already: the caller has its answer.
    await context.abort(code, fitting(details))


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
