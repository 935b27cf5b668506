"""Replicas that ask each other, over real connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.grpc_channels import open_channel
from services.runtime.grpc_server import GrpcServer
from services.runtime.peers import Peers, is_forwarded, new_replica
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_probe import ask, echo, probe, refusal, serving, soon

Code = grpc.StatusCode


@dataclass
class Replica:
    """Owns some keys; asks the others for all other keys."""

    name: str
    keys: set[bytes] = field(default_factory=set)
    asked: list[bytes] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    deadlines: list[float | None] = field(default_factory=list)
    id: str = field(default_factory=new_replica)
    peers: Peers | None = None

    def __post_init__(self) -> None:
        self.server = GrpcServer(GrpcSettings(), [probe(self.answer)], replica=self.id)

    async def answer(self, request: bytes, context: Any) -> bytes:
        if is_forwarded(context):
            self.asked.append(request)
            self.deadlines.append(context.time_remaining())
        if request in self.keys:
            return self.name.encode()
        if request == b"hang":
            self.hanging.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if request == b"bad":
            raise Rejected("bad: no key")
        if self.peers is not None and not is_forwarded(context):
            return await self.peers.first(ask, request, context)
        raise NotFound(f"{request.decode()}: not here")


@asynccontextmanager
async def replicas(
    *names: str, more: str = "", deadline: float = 10.0
) -> AsyncIterator[list[Replica]]:
    async with AsyncExitStack() as stack:
        all_of_them = [Replica(name) for name in names]
        for replica in all_of_them:
            await replica.server.start()
            stack.push_async_callback(replica.server.stop, 0)
        addresses = ",".join([r.server.address for r in all_of_them] + ([more] if more else []))
        settings = GrpcSettings(peers=addresses, default_deadline_seconds=deadline)
        for replica in all_of_them:
            replica.peers = Peers(settings, replica.id)
            stack.push_async_callback(replica.peers.close)
        yield all_of_them


async def unused_address() -> str:
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    return f"127.0.0.1:{port}"


async def test_any_replica_answers_for_the_key_of_another() -> None:
    async with replicas("a", "b", "c") as (a, b, c):
        c.keys.add(b"k")
        for replica in (a, b, c):
            async with open_channel(replica.server.address) as channel:
                assert await ask(channel)(b"k") == b"c"
        # The owner was asked by both others, who may have been spared each other's question.
        assert c.asked == [b"k", b"k"]
        assert a.asked in ([], [b"k"])
        assert b.asked in ([], [b"k"])


async def test_a_key_of_nobody_is_not_found_and_is_not_passed_round() -> None:
    async with replicas("a", "b", "c") as (a, b, c):
        async with open_channel(a.server.address) as channel:
            for _ in range(2):
                assert await refusal(ask(channel)(b"k")) == (Code.NOT_FOUND, "k: not here")
        assert (a.asked, b.asked, c.asked) == ([], [b"k"] * 2, [b"k"] * 2)


async def test_the_first_answer_ends_the_other_calls() -> None:
    async with replicas("a", "b", "c") as (a, b, c):
        c.keys.add(b"hang")
        assert a.peers is not None
        started = asyncio.create_task(soon(b.hanging))

        async def answer_late(request: bytes, context: Any) -> bytes:
            await started
            return b"late"

        async with AsyncExitStack() as stack:
            late = GrpcServer(GrpcSettings(), [probe(answer_late)])
            await late.start()
            stack.push_async_callback(late.stop, 0)
            peers = Peers(GrpcSettings(peers=f"{b.server.address},{late.address}"), new_replica())
            stack.push_async_callback(peers.close)
            assert await peers.first(ask, b"hang") == b"late"
            await soon(b.left)


async def test_a_replica_that_is_away_makes_not_found_uncertain_but_hides_no_answer() -> None:
    away = await unused_address()
    async with replicas("a", "b", more=away) as (a, b):
        b.keys.add(b"k")
        async with open_channel(a.server.address) as channel:
            assert await ask(channel)(b"k") == b"b"
            code, text = await refusal(ask(channel)(b"nobody's"))
            assert code is Code.UNAVAILABLE
            assert "1 of 2 other replicas did not answer" in text
            assert away in text


async def test_a_replica_that_hangs_counts_as_away_before_the_caller_gives_up() -> None:
    async with replicas("a", "b", "c") as (a, b, c):
        assert a.peers is not None
        b.keys.add(b"x")

        async def pass_on(request: bytes, context: Any) -> bytes:
            assert a.peers is not None
            answers = await a.peers.gather(ask, b"hang", context)
            return b",".join(answers)

        front = GrpcServer(GrpcSettings(), [probe(pass_on)], replica=a.id)
        await front.start()
        try:
            async with open_channel(front.address) as channel:
                code, text = await refusal(ask(channel)(b"", timeout=1.0))
            assert code is Code.UNAVAILABLE
            assert "2 of 2 other replicas did not answer" in text
            [left] = b.deadlines
            assert left is not None
            assert left < 1.0
            await soon(b.left)
            await soon(c.left)
        finally:
            await front.stop(0)


async def test_a_refusal_of_the_owner_is_the_answer() -> None:
    async with replicas("a", "b", "c") as (a, _, _):
        assert a.peers is not None
        with pytest.raises(Rejected, match="bad: no key"):
            await a.peers.first(ask, b"bad")
        with pytest.raises(Rejected, match="bad: no key"):
            await a.peers.gather(ask, b"bad")


async def test_listings_are_gathered_from_all_others_in_a_fixed_order() -> None:
    async with replicas("a", "b", "c", "d") as (a, b, c, d):
        assert a.peers is not None
        for replica in (a, b, c):
            replica.keys.add(b"all")
        by_address = sorted((r.server.address, r.name.encode()) for r in (b, c))
        for _ in range(3):
            assert await a.peers.gather(ask, b"all") == [name for _, name in by_address]
        assert a.asked == []
        assert d.asked == [b"all"] * 3


async def test_a_listing_without_an_answer_of_each_is_no_listing() -> None:
    async with replicas("a", "b", more=await unused_address()) as (a, b):
        assert a.peers is not None
        b.keys.add(b"all")
        with pytest.raises(Retryable, match="1 of 2"):
            await a.peers.gather(ask, b"all")


async def test_a_bug_of_another_replica_is_not_the_callers_fault() -> None:
    async with replicas("a", "b") as (a, b):
        assert a.peers is not None

        async def buggy(request: bytes, context: Any) -> bytes:
            raise ZeroDivisionError

        broken = GrpcServer(GrpcSettings(), [probe(buggy)])
        await broken.start()
        peers = Peers(GrpcSettings(peers=f"{b.server.address},{broken.address}"), a.id)
        try:
            with pytest.raises(Retryable, match="1 of 2"):
                await peers.first(ask, b"k")
        finally:
            await peers.close()
            await broken.stop(0)


async def test_a_single_replica_has_nobody_to_ask() -> None:
    async with replicas("a") as (a,):
        assert a.peers is not None
        with pytest.raises(NotFound, match="no other replica"):
            await a.peers.first(ask, b"k")
        assert await a.peers.gather(ask, b"k") == []
        assert a.asked == []
    none = Peers(GrpcSettings(), new_replica())
    with pytest.raises(NotFound, match="no other replica"):
        await none.first(ask, b"k")


async def test_a_replica_asks_itself_only_once() -> None:
    counted: list[str] = []

    class Counting(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            counted.append(handler_call_details.method)
            return await continuation(handler_call_details)

    itself = new_replica()
    async with serving(probe(echo), replica=itself, interceptors=[Counting()]) as server:
        peers = Peers(GrpcSettings(peers=server.address), itself)
        for _ in range(3):
            assert await peers.gather(ask, b"x") == []
        await peers.close()
    assert len(counted) == 1


async def test_replicas_behind_one_name_are_found_and_a_lost_name_says_so() -> None:
    async with replicas("a", "b") as (a, b):
        b.keys.add(b"k")
        host, _, port = b.server.address.partition(":")
        named = Peers(GrpcSettings(peers=f"dns:///localhost:{port}"), a.id)
        itself = Peers(GrpcSettings(peers=f"dns:///localhost:{port}"), b.id)
        lost = Peers(GrpcSettings(peers="matrix.invalid:1"), a.id)
        try:
            assert host == "127.0.0.1"
            assert await named.first(ask, b"k") == b"b"
            for _ in range(2):
                assert await itself.gather(ask, b"k") == []
            with pytest.raises(Retryable, match=r"matrix\.invalid does not resolve"):
                await lost.first(ask, b"k")
        finally:
            for peers in (named, itself, lost):
                await peers.close()


async def test_a_replica_that_comes_back_is_asked_again() -> None:
    async with replicas("a", "b") as (a, b):
        assert a.peers is not None
        b.keys.add(b"k")
        assert await a.peers.first(ask, b"k") == b"b"
        port = b.server.port
        await b.server.stop(0)
        with pytest.raises(Retryable, match="1 of 1"):
            await a.peers.first(ask, b"k")
        again = Replica("again", {b"k"})
        again.server = GrpcServer(GrpcSettings(port=port), [probe(again.answer)], replica=again.id)
        await again.server.start()
        try:
            async with asyncio.timeout(10):
                while True:
                    try:
                        assert await a.peers.first(ask, b"k") == b"again"
                        break
                    except Retryable:
                        await asyncio.sleep(0.02)
        finally:
            await again.server.stop(0)


async def test_wrong_addresses_are_refused_at_the_start() -> None:
    for peers in ("host", "host:0", "http://host:1", "a:1,b", "host:99999", "a b:1"):
        with pytest.raises(Rejected, match="MATRIX_GRPC__PEERS"):
            Peers(GrpcSettings(peers=peers), new_replica())
