"""A server's life: health, reflection, ports, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from services.runtime.errors import Rejected
from services.runtime.grpc_channels import open_channel
from services.runtime.grpc_server import GrpcServer
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_probe import (
    SERVICE,
    ask,
    echo,
    health,
    probe,
    reflection,
    refusal,
    serving,
    soon,
    upcoming,
    watch,
)

Code = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def status(channel: grpc.aio.Channel, name: str) -> int:
    answer: health_pb2.HealthCheckResponse = await health(channel).Check(
        health_pb2.HealthCheckRequest(service=name)
    )
    return answer.status


async def test_a_server_lives_at_once_and_is_ready_when_told_so() -> None:
    async with serving(probe(echo)) as server, open_channel(server.address) as channel:
        for name in ("", SERVICE):
            assert await status(channel, name) == NOT_SERVING
        assert await status(channel, "liveness") == SERVING
        server.set_ready(True)
        for name in ("", SERVICE, "liveness"):
            assert await status(channel, name) == SERVING
        server.set_ready(False)
        assert await status(channel, SERVICE) == NOT_SERVING
        unknown = health_pb2.HealthCheckRequest(service="nobody")
        code, text = await refusal(health(channel).Check(unknown))
        assert (code, SERVICE in text) == (Code.NOT_FOUND, True)


async def test_who_watches_health_sees_changes_and_is_let_go_by_a_drain() -> None:
    async with serving(probe(echo)) as server, open_channel(server.address) as channel:
        call = health(channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=30)
        assert (await upcoming(call)).status == NOT_SERVING
        server.set_ready(True)
        assert (await upcoming(call)).status == SERVING
        # No watcher holds up the end until the grace is over.
        stopping = asyncio.create_task(server.stop(600))
        assert [one.status async for one in call] == [NOT_SERVING]
        await asyncio.wait_for(stopping, 10)


async def test_reflection_tells_a_stranger_what_is_served() -> None:
    async with serving(probe(echo)) as server, open_channel(server.address) as channel:
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ]
        answers = reflection(channel)(iter(requests))
        listed, described = [answer async for answer in answers]
        names = {service.name for service in listed.list_services_response.service}
        assert {SERVICE, "grpc.health.v1.Health"} < names
        [file] = described.file_descriptor_response.file_descriptor_proto
        assert b"HealthCheckRequest" in file


async def test_a_taken_port_is_refused_with_its_address() -> None:
    async with serving(probe(echo)) as server:
        second = GrpcServer(GrpcSettings(port=server.port), [probe(echo)])
        with pytest.raises(Rejected, match=f"127.0.0.1:{server.port}"):
            await second.start()
        await second.stop()


async def test_a_drain_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def work(request: bytes, context: Any) -> bytes:
        started.set()
        await go_on.wait()
        return b"done"

    async with serving(probe(work)) as server:
        server.set_ready(True)
        async with open_channel(server.address) as channel:
            in_flight = asyncio.ensure_future(ask(channel)(b""))
            await soon(started)
            watching = health(channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=30)
            await upcoming(watching)
            stopping = asyncio.create_task(server.stop(30))
            assert [one.status async for one in watching] == [NOT_SERVING]  # The drain has begun.
            server.set_ready(True)  # Somebody does not know yet.
            assert not server.ready
            async with open_channel(server.address) as another:
                assert (await refusal(ask(another)(b"")))[0] is Code.UNAVAILABLE
            assert (await refusal(ask(channel)(b"")))[0] is Code.UNAVAILABLE
            assert not in_flight.done()
            go_on.set()
            assert await in_flight == b"done"
            await asyncio.wait_for(stopping, 10)


async def test_what_outlasts_the_grace_is_cancelled() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(request: bytes, context: Any) -> bytes:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    async with serving(probe(hang)) as server, open_channel(server.address) as channel:
        call = asyncio.ensure_future(refusal(ask(channel)(b"")))
        await soon(started)
        await asyncio.wait_for(server.stop(0.05), 10)
        await soon(ended)
        # gRPC itself words this one.
        assert (await call)[0] in (Code.UNAVAILABLE, Code.CANCELLED)


async def test_stopping_twice_or_before_the_start_is_harmless() -> None:
    server = GrpcServer(GrpcSettings(), [probe(echo)])
    await server.stop()
    await server.start()
    await server.stop(0)
    await server.stop(0)


async def test_a_stream_that_is_left_closes_its_generator_at_once() -> None:
    closed = asyncio.Event()

    async def endless(request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with (
        serving(probe(watch=endless)) as server,
        open_channel(server.address) as channel,
    ):
        call = watch(channel)(b"")
        assert await upcoming(call) == b"x"
        call.cancel()
        await soon(closed)


async def test_a_server_open_to_the_network_says_that_anyone_may_do_everything() -> None:
    with capture_logs() as logs:
        async with serving(probe(echo), GrpcSettings(host="0.0.0.0")):
            pass
    assert [line["log_level"] for line in logs if "anyone" in line["event"]] == ["warning"]
    with capture_logs() as logs:
        async with serving(probe(echo)):
            pass
    assert not [line for line in logs if line["log_level"] == "warning"]
