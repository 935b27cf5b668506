"""What every server interceptor does with a handler: run each of its calls inside something.

Servicer methods are `async def`, with or without `yield`; a request stream is read by iterating.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from inspect import isasyncgen
from typing import Any, TypeAlias

import grpc
import grpc.aio

from services.runtime.errors import Rejected

# In quotes: these are generic in the stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Around: TypeAlias = "Callable[[Context], AbstractAsyncContextManager[None]]"
Next: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"


def inside(handler: Handler, around: Around) -> Handler:
    """Return a handler each of whose calls runs inside `around(context)`.

    Messages are decoded and encoded inside too: what is refused is not parsed, and what cannot be
    parsed is an error like any other.
    """
    call: Any = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    decode = _decoder(handler)
    encode = handler.response_serializer or _as_it_is

    async def unary(request: Any, context: Context) -> Any:
        async with around(context):
            return encode(await call(_decoded(request), context))

    async def streaming(request: Any, context: Context) -> None:
        async with around(context):
            answers = call(_decoded(request), context)
            if not isasyncgen(answers):
                await answers  # It writes by itself.
                return
            # Closed here, so that a generator's own clean-up does not wait for the collector.
            async with aclosing(answers):
                async for answer in answers:
                    await context.write(answer)

    def _decoded(request: Any) -> Any:
        return _each(decode, request) if handler.request_streaming else decode(request)

    if handler.response_streaming:
        build = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        return build(streaming, None, handler.response_serializer)
    plain = (
        grpc.stream_unary_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return plain(unary, None, None)


def _as_it_is(message: Any) -> Any:
    return message


def _decoder(handler: Handler) -> Callable[[Any], Any]:
    deserialize = handler.request_deserializer
    if deserialize is None:
        return _as_it_is

    def decode(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except Exception as error:
            raise Rejected(
                f"the request of {len(raw)} bytes is no message of the type that this RPC takes: "
                "check the client against the service's protos"
            ) from error

    return decode


async def _each(decode: Callable[[Any], Any], requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield decode(request)
