"""Spans of RPCs: who called whom, how it ended, and that streams and cancelling work as ever."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from services.runtime import tracing
from services.runtime.errors import NotFound
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_spans import ServedSpans
from services.runtime.peers import Peers
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_probe import (
    SERVICE,
    ask,
    collect,
    echo,
    health,
    probe,
    refusal,
    serving,
    watch,
)
from tests.unit.runtime.spans import Kept, tracing_in_memory

SPANS = [ServedSpans()]
PARENT = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
ASK = f"{SERVICE}/Ask"


def of_kind(kept: Kept, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in kept.exporter.get_finished_spans() if span.kind is kind]


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def numbers(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for number in range(3):
        yield bytes([number])


async def writes(request: bytes, context: Any) -> None:
    for number in range(3):
        await context.write(bytes([number]))


async def joined(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b"".join([request async for request in requests])


async def missing(request: bytes, context: Any) -> bytes:
    raise NotFound("nothing of the secret name")


async def crashes(request: bytes, context: Any) -> bytes:
    raise RuntimeError("secret")


async def test_a_call_joins_the_trace_of_its_caller_on_both_sides() -> None:
    with tracing_in_memory() as kept:
        async with (
            serving(probe(echo), interceptors=SPANS) as server,
            open_channel(server.address) as channel,
        ):
            with tracing.root("command"):
                assert await ask(channel)(b"x") == b"x"
    [client], [served] = of_kind(kept, SpanKind.CLIENT), of_kind(kept, SpanKind.SERVER)
    command = kept.spans["command"]
    assert (client.name, served.name) == (ASK, ASK)
    assert client.parent is not None
    assert client.parent.span_id == command.context.span_id
    assert served.parent is not None
    assert served.parent.span_id == client.context.span_id
    for span in (client, served):
        assert told(span) == {
            "rpc.system.name": "grpc",
            "rpc.method": ASK,
            "rpc.response.status_code": "OK",
        }


async def test_a_strangers_call_begins_a_trace_or_joins_the_one_it_tells() -> None:
    with tracing_in_memory() as kept:
        async with (
            serving(probe(echo), interceptors=SPANS) as server,
            open_channel(server.address) as channel,
        ):
            call = ask(channel)
            for metadata in ((), (PARENT,), (("traceparent", PARENT[1][:-1] + "0"),)):
                await call(b"x", metadata=metadata)
            await call(b"x", metadata=(("traceparent", "junk" * 500),))
    begun, joined_ = of_kind(kept, SpanKind.SERVER)
    assert begun.parent is None
    assert joined_.parent is not None
    assert f"{joined_.context.trace_id:032x}" in PARENT[1]
    assert not of_kind(kept, SpanKind.CLIENT)


async def test_streams_of_every_kind_pass_and_carry_the_trace() -> None:
    with tracing_in_memory() as kept:
        for stream in (numbers, writes):
            async with (
                serving(probe(echo, stream, joined), interceptors=SPANS) as server,
                open_channel(server.address) as channel,
            ):
                with tracing.root("command"):
                    answers = [each async for each in watch(channel)(b"")]
                    assert answers == [b"\0", b"\1", b"\2"]
                    assert await collect(channel)(iter([b"a", b"b"])) == b"ab"
    commands = [s for s in kept.exporter.get_finished_spans() if s.name == "command"]
    served = of_kind(kept, SpanKind.SERVER)
    assert [span.name for span in served] == [f"{SERVICE}/Watch", f"{SERVICE}/Collect"] * 2
    parents = [span.parent.span_id for span in served if span.parent is not None]
    assert parents == [command.context.span_id for command in commands for _ in range(2)]


async def test_a_stream_can_still_be_cancelled_and_written_to() -> None:
    async def endless(request: bytes, context: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0)

    with tracing_in_memory() as kept:
        async with (
            serving(probe(None, endless, joined), interceptors=SPANS) as server,
            open_channel(server.address) as channel,
        ):
            with tracing.root("command"):
                call = watch(channel)(b"")
                assert await anext(aiter(call)) == b"x"
                assert call.cancel()
                writing = collect(channel)()
                await writing.write(b"a")
                await writing.done_writing()
                assert await writing == b"a"
    assert kept.spans[f"{SERVICE}/Collect"].parent is not None


async def test_how_a_call_failed_is_told_and_nothing_of_the_text() -> None:
    with tracing_in_memory() as kept:
        async with (
            serving(probe(missing), interceptors=SPANS) as server,
            open_channel(server.address) as channel,
        ):
            with tracing.root("command"):
                assert (await refusal(ask(channel)(b"x")))[0] is grpc.StatusCode.NOT_FOUND
        async with (
            serving(probe(crashes), interceptors=SPANS) as server,
            open_channel(server.address) as channel,
        ):
            assert (await refusal(ask(channel)(b"x")))[0] is grpc.StatusCode.INTERNAL
    [client] = of_kind(kept, SpanKind.CLIENT)
    not_found, crashed = of_kind(kept, SpanKind.SERVER)
    assert told(client)["error.type"] == "NOT_FOUND"
    assert told(not_found)["rpc.response.status_code"] == "NOT_FOUND"
    assert not_found.status.is_unset  # It is no fault of the server.
    assert told(crashed)["error.type"] == "INTERNAL"
    assert not any("secret" in each.to_json() for each in kept.exporter.get_finished_spans())


async def test_a_call_that_its_caller_gives_up_ends_at_the_server_too() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(request: bytes, context: Any) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    with tracing_in_memory() as kept:
        async with (
            serving(probe(waits), interceptors=SPANS) as server,
            open_channel(server.address) as channel,
        ):
            with tracing.root("command"):
                call = ask(channel)(b"x")
                task = asyncio.ensure_future(_answer(call))
                await asyncio.wait_for(begun.wait(), 10)
                task.cancel()
                await asyncio.wait([task])
                await asyncio.wait_for(ended.wait(), 10)
    [served] = of_kind(kept, SpanKind.SERVER)
    assert told(served)["rpc.response.status_code"] == "CANCELLED"
    assert len(of_kind(kept, SpanKind.CLIENT)) == 1


async def _answer(call: Any) -> Any:
    return await call


async def test_health_makes_no_spans_and_what_is_not_sampled_none_either() -> None:
    for ratio, expected in ((1.0, 1), (0.0, 0)):
        with tracing_in_memory(ratio) as kept:
            async with (
                serving(probe(echo), interceptors=SPANS) as server,
                open_channel(server.address, Access()) as channel,
            ):
                with tracing.root("command"):
                    await health(channel).Check(health_pb2.HealthCheckRequest(service="liveness"))
                    await ask(channel)(b"x")
        assert len(of_kind(kept, SpanKind.SERVER)) == expected
        assert len(of_kind(kept, SpanKind.CLIENT)) == expected


@pytest.mark.parametrize("own", [True, False])
async def test_a_call_between_replicas_is_in_the_trace_of_the_call_it_is_for(own: bool) -> None:
    with tracing_in_memory() as kept:
        async with serving(probe(echo), interceptors=SPANS, replica="other") as server:
            peers = Peers(GrpcSettings(peers=server.address), "this")
            try:
                with tracing.root("outer") if own else tracing.outside():
                    assert await peers.first(lambda channel: ask(channel), b"x") == b"x"
            finally:
                await peers.close()
    [served] = of_kind(kept, SpanKind.SERVER)
    assert (served.parent is not None) == own
