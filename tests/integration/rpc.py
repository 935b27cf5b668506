"""Replicas of a service on real gRPC servers that know each other, and calls to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.runtime.answering import Replicas
from services.runtime.grpc_channels import open_channel
from services.runtime.grpc_handlers import Context
from services.runtime.grpc_server import GrpcServer, Served
from services.runtime.peers import Method, Peers, new_replica
from services.runtime.settings import GrpcSettings

Code = grpc.StatusCode
DEADLINE = 20.0
FORWARDED = (("matrix-forwarded", "1"),)
"""Metadata of a call that another replica passes on."""


class Linked:
    """The other replicas, whose addresses are known only once all servers have started."""

    def __init__(self) -> None:
        self.peers: Peers | None = None

    def _there(self) -> Peers:
        assert self.peers is not None
        return self.peers

    async def first(self, method: Method[Any], request: Any, context: Context | None = None) -> Any:
        return await self._there().first(method, request, context)

    async def gather(
        self, method: Method[Any], request: Any, context: Context | None = None
    ) -> Sequence[Any]:
        return await self._there().gather(method, request, context)

    async def survey(
        self, method: Method[Any], request: Any, context: Context, seconds: float
    ) -> tuple[Sequence[Any], dict[str, str]]:
        return await self._there().survey(method, request, context, seconds)


@asynccontextmanager
async def replicas(
    add: Callable[[Any, Any], None], name: str, *builds: Callable[[Replicas], object]
) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Serve the servicers that are built, and give a channel to each."""
    async with AsyncExitStack() as stack:
        links, ids, servers = [Linked() for _ in builds], [new_replica() for _ in builds], []
        for link, replica, build in zip(links, ids, builds, strict=True):
            server = GrpcServer(GrpcSettings(), [Served(add, build(link), name)], replica=replica)
            await server.start()
            stack.push_async_callback(server.stop, 0)
            servers.append(server)
        settings = GrpcSettings(peers=",".join(server.address for server in servers))
        for link, replica in zip(links, ids, strict=True):
            link.peers = Peers(settings, replica)
            stack.push_async_callback(link.peers.close)
        channels = [open_channel(server.address) for server in servers]
        for channel in channels:
            stack.push_async_callback(channel.close)
        yield channels


def path_of(method: Any) -> str:
    """Return the name by which an RPC is called."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _method(request: Message) -> Any:
    for service in request.DESCRIPTOR.file.services_by_name.values():
        for method in service.methods:
            if method.input_type.full_name == request.DESCRIPTOR.full_name:
                return method
    raise AssertionError(f"no RPC takes {request.DESCRIPTOR.full_name}")


async def ask(channel: grpc.aio.Channel, request: Message, metadata: Any = ()) -> Any:
    """Call the unary RPC that takes such a request."""
    method = _method(request)
    parse = GetMessageClass(method.output_type).FromString
    call = channel.unary_unary(path_of(method), type(request).SerializeToString, parse)
    return await call(request, timeout=DEADLINE, metadata=metadata)


async def send(channel: grpc.aio.Channel, *requests: Message) -> Any:
    """Call the RPC that takes a stream of such requests."""
    method = _method(requests[0])
    parse = GetMessageClass(method.output_type).FromString
    call = channel.stream_unary(path_of(method), type(requests[0]).SerializeToString, parse)
    return await call(iter(requests), timeout=DEADLINE)


def listen(channel: grpc.aio.Channel, request: Message) -> Any:
    """Call the RPC that answers such a request with a stream."""
    method = _method(request)
    parse = GetMessageClass(method.output_type).FromString
    call = channel.unary_stream(path_of(method), type(request).SerializeToString, parse)
    return call(request, timeout=DEADLINE)


async def listening(channel: grpc.aio.Channel, request: Message) -> Any:
    """Call such an RPC; what happens from now on is sent."""
    stream = listen(channel, request)
    await stream.initial_metadata()
    return stream


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """Return how a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def ending(stream: Any) -> tuple[list[Any], grpc.StatusCode, str]:
    """Return what a stream sends, and how it is ended."""
    got: list[Any] = []

    async def read() -> None:
        async for message in stream:
            got.append(message)

    code, details = await refusal(read())
    return got, code, details


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)


def check_permissions(name: str, module: Any, permissions: dict[str, str]) -> None:
    """Check that every RPC of a service has its permission, and nothing else has."""
    service = module.DESCRIPTOR.services_by_name[name.rpartition(".")[2]]
    assert service.full_name == name
    assert set(permissions) == {path_of(method) for method in service.methods}
