"""A gRPC service over plain bytes, whose RPCs are functions of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_server import GrpcServer, Served
from services.runtime.settings import GrpcSettings

SERVICE = "matrix.probe.v1.Probe"

Unary = Callable[[bytes, Any], Awaitable[bytes]]
Stream = Callable[[bytes, Any], Any]
Collect = Callable[[AsyncIterator[bytes], Any], Awaitable[bytes]]


def probe(
    ask: Unary | None = None,
    watch: Stream | None = None,
    collect: Collect | None = None,
    **handlers: grpc.RpcMethodHandler[Any, Any],
) -> Served:
    """Return the service: Ask (unary), Watch (server stream), Collect (client stream), others."""
    if ask is not None:
        handlers["Ask"] = grpc.unary_unary_rpc_method_handler(ask)
    if watch is not None:
        handlers["Watch"] = grpc.unary_stream_rpc_method_handler(watch)
    if collect is not None:
        handlers["Collect"] = grpc.stream_unary_rpc_method_handler(collect)

    def add(servicer: object, server: Any) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    return Served(add, None, SERVICE)


def ask(
    channel: grpc.aio.Channel, name: str = "Ask"
) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(f"/{SERVICE}/{name}")


def watch(
    channel: grpc.aio.Channel, name: str = "Watch"
) -> grpc.aio.UnaryStreamMultiCallable[bytes, bytes]:
    return channel.unary_stream(f"/{SERVICE}/{name}")


def collect(
    channel: grpc.aio.Channel, name: str = "Collect"
) -> grpc.aio.StreamUnaryMultiCallable[bytes, bytes]:
    return channel.stream_unary(f"/{SERVICE}/{name}")


def health(channel: grpc.aio.Channel) -> Any:
    stub: Any = health_pb2_grpc.HealthStub
    return stub(channel)


def reflection(channel: grpc.aio.Channel) -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub
    return stub(channel).ServerReflectionInfo


async def echo(request: bytes, context: Any) -> bytes:
    return request


@asynccontextmanager
async def serving(
    served: Served, settings: GrpcSettings | None = None, replica: str = "", **options: Any
) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(settings or GrpcSettings(), [served], replica=replica, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def connected(
    served: Served,
    settings: GrpcSettings | None = None,
    access: Access | None = None,
    **options: Any,
) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        serving(served, settings, **options) as server,
        open_channel(server.address, access) as channel,
    ):
        yield channel


async def upcoming(call: Any) -> Any:
    """Return the next item of a stream; `read()` drops items once the status is there."""
    return await anext(aiter(call))


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Return with which status and text a call fails."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call succeeded")


async def soon(event: asyncio.Event) -> None:
    """Wait for something that has to come."""
    await asyncio.wait_for(event.wait(), 10)
