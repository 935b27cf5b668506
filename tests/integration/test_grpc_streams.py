"""Streams to callers that read, read slowly, or do not read at all."""

import asyncio
from collections.abc import MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from services.runtime.grpc_channels import open_channel
from services.runtime.streams import Fanout
from tests.integration.grpc_probe import connected, probe, refusal, serving, soon, upcoming, watch

Code = grpc.StatusCode
BIG = 256 * 1024


async def subscribed(call: Any) -> Any:
    """Return the call once its headers are here."""
    await call.initial_metadata()
    assert not call.done(), call  # A call that failed has headers too.
    return call


async def read_into(items: list[bytes], call: Any) -> None:
    async for one in call:
        items.append(one)


async def test_every_subscriber_gets_what_it_wants_from_its_headers_on() -> None:
    source: Fanout[bytes] = Fanout()

    async def serve(request: bytes, context: Any) -> None:
        await source.forward(context, lambda item: item.startswith(request), bytes.upper)

    async with connected(probe(watch=serve)) as channel:
        source.publish(b"a-before")
        of_a = await subscribed(watch(channel)(b"a", timeout=30))
        of_all = await subscribed(watch(channel)(b"", timeout=30))
        assert source.subscribers == 2
        for item in (b"a1", b"b1", b"a2"):
            source.publish(item)
        assert [await upcoming(of_a) for _ in range(2)] == [b"A1", b"A2"]
        assert [await upcoming(of_all) for _ in range(3)] == [b"A1", b"B1", b"A2"]


async def test_who_does_not_read_is_ended_and_holds_up_nobody() -> None:
    source: Fanout[bytes] = Fanout(capacity=20)
    slow_ended = asyncio.Event()

    async def serve(request: bytes, context: Any) -> None:
        try:
            await source.forward(context)
        finally:
            if request == b"slow":
                slow_ended.set()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(probe(watch=serve)))
        slow_channel = await stack.enter_async_context(open_channel(server.address))
        fast_channel = await stack.enter_async_context(open_channel(server.address))
        slow = await subscribed(watch(slow_channel)(b"slow", timeout=30))
        fast = await subscribed(watch(fast_channel)(b"fast", timeout=30))
        published = 0
        while source.subscribers == 2:
            assert published < 1000, "the slow one is never ended"
            source.publish(bytes([published % 256]) * BIG)
            # The fast one has read all of them, so only the slow one can be full.
            item = await upcoming(fast)
            assert item == bytes([published % 256]) * BIG
            published += 1
        assert source.subscribers == 1
        # What it had got before is not lost, and then it is told.
        items: list[bytes] = []
        with pytest.raises(grpc.aio.AioRpcError, match="20 items") as caught:
            await read_into(items, slow)
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        assert items == [bytes([n % 256]) * BIG for n in range(len(items))]
        assert 0 < len(items) <= published - 20
        await soon(slow_ended)
        source.publish(b"more")
        assert await upcoming(fast) == b"more"


async def filled(source: Fanout[bytes], logs: Sequence[MutableMapping[str, Any]]) -> None:
    """Publish until the one who does not read is found out, slowly enough to fill the wire."""
    async with asyncio.timeout(10):
        while "slow reader" not in [line["event"] for line in logs]:
            source.publish(b"x" * BIG)
            await asyncio.sleep(0.001)


async def test_who_leaves_instead_of_reading_is_no_bug() -> None:
    source: Fanout[bytes] = Fanout(capacity=20)
    ended = asyncio.Event()

    async def serve(request: bytes, context: Any) -> None:
        try:
            await source.forward(context)
        finally:
            ended.set()

    async with serving(probe(watch=serve)) as server:
        with capture_logs() as logs:
            async with open_channel(server.address) as channel:
                await subscribed(watch(channel)(b"", timeout=30))
                await filled(source, logs)
                assert not ended.is_set()
            await soon(ended)
            await server.stop(600)
    assert [line["event"] for line in logs if line["log_level"] != "debug"] == ["slow reader"]


async def test_a_server_that_stops_leaves_no_error_about_who_did_not_read() -> None:
    source: Fanout[bytes] = Fanout(capacity=20)

    async def serve(request: bytes, context: Any) -> None:
        await source.forward(context)

    async with serving(probe(watch=serve)) as server, open_channel(server.address) as channel:
        with capture_logs() as logs:
            await subscribed(watch(channel)(b"", timeout=30))
            await filled(source, logs)
            await server.stop(0.05)
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_who_leaves_is_forgotten() -> None:
    source: Fanout[bytes] = Fanout()
    ended = asyncio.Event()

    async def serve(request: bytes, context: Any) -> None:
        try:
            await source.forward(context)
        finally:
            ended.set()

    async with connected(probe(watch=serve)) as channel:
        call = await subscribed(watch(channel)(b"", timeout=30))
        assert source.subscribers == 1
        call.cancel()
        await soon(ended)
        assert source.subscribers == 0
        source.publish(b"x")


async def test_a_closed_source_lets_its_subscribers_go_after_what_was_published() -> None:
    source: Fanout[bytes] = Fanout()

    async def serve(request: bytes, context: Any) -> None:
        await source.forward(context)

    async with serving(probe(watch=serve)) as server, open_channel(server.address) as channel:
        call = await subscribed(watch(channel)(b"", timeout=30))
        source.publish(b"last")
        source.close()
        stopping = asyncio.create_task(server.stop(600))
        assert await upcoming(call) == b"last"
        assert (await refusal(call))[0] is Code.UNAVAILABLE
        await asyncio.wait_for(stopping, 10)
        assert source.subscribers == 0


async def test_a_filter_with_a_bug_ends_its_own_stream_only() -> None:
    source: Fanout[bytes] = Fanout()

    async def serve(request: bytes, context: Any) -> None:
        await source.forward(context, (lambda item: bool(item[9])) if request else None)

    async with connected(probe(watch=serve)) as channel:
        broken = await subscribed(watch(channel)(b"broken", timeout=30))
        good = await subscribed(watch(channel)(b"", timeout=30))
        source.publish(b"x")
        assert await upcoming(good) == b"x"
        assert (await refusal(broken))[0] is Code.INTERNAL
