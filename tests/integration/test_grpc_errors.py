"""Which status a caller sees, whatever a servicer does; and the server goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs

from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_probe import (
    ask,
    collect,
    connected,
    echo,
    probe,
    refusal,
    soon,
    upcoming,
    watch,
)

Code = grpc.StatusCode

STATUSES = [
    (NotFound("agent a7: not here"), Code.NOT_FOUND, "agent a7: not here"),
    (Rejected("size 0: must be > 0"), Code.INVALID_ARGUMENT, "size 0: must be > 0"),
    (Retryable("the broker is away"), Code.UNAVAILABLE, "the broker is away"),
    (TimeoutError("no answer in 3 s"), Code.DEADLINE_EXCEEDED, "no answer in 3 s"),
    (Rejected("naïve 百 100%"), Code.INVALID_ARGUMENT, "naïve 百 100%"),
]


@pytest.mark.parametrize(("error", "code", "text"), STATUSES)
async def test_an_error_of_ours_is_a_status_with_its_text_in_every_kind_of_call(
    error: Exception, code: Code, text: str
) -> None:
    async def fail(request: bytes, context: Any) -> bytes:
        raise error

    async def fail_later(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        raise error

    async def fail_on_second(requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for request in requests:
            if request == b"2":
                raise error
        return b""

    async with connected(probe(fail, fail_later, fail_on_second)) as channel:
        assert await refusal(ask(channel)(b"")) == (code, text)
        stream = watch(channel)(b"")
        assert await upcoming(stream) == b"one"
        assert await refusal(stream) == (code, text)
        assert await refusal(collect(channel)(iter([b"1", b"2"]))) == (code, text)


async def test_a_bug_shows_a_number_and_the_log_has_the_details_and_the_server_lives_on() -> None:
    async def buggy(request: bytes, context: Any) -> bytes:
        if request == b"bug":
            raise KeyError("inner-detail")
        return request

    async def buggy_stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        raise ZeroDivisionError("inner-detail")

    async with connected(probe(buggy, buggy_stream)) as channel:
        for call in (ask(channel), watch(channel)):
            with capture_logs() as logs:
                code, text = await refusal(call(b"bug"))
            assert code is Code.INTERNAL
            assert "inner-detail" not in text
            assert "Error" not in text
            [line] = [line for line in logs if line["log_level"] == "error"]
            assert line["error_id"] in text
            assert "inner-detail" in line["traceback"]
        assert await ask(channel)(b"well") == b"well"


async def test_an_abort_of_the_servicer_passes_as_it_is() -> None:
    async def abort(request: bytes, context: Any) -> bytes:
        await context.abort(Code.FAILED_PRECONDITION, "the dataset is deleted")
        return b""

    async with connected(probe(abort)) as channel:
        expected = (Code.FAILED_PRECONDITION, "the dataset is deleted")
        assert await refusal(ask(channel)(b"")) == expected


async def test_an_error_after_an_abort_does_not_replace_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def abort(request: bytes, context: Any) -> bytes:
        try:
            await context.abort(Code.FAILED_PRECONDITION, "deleted")
        finally:
            raise ValueError("in clean-up")
        return b""

    async with connected(probe(abort)) as channel:
        assert await refusal(ask(channel)(b"")) == (Code.FAILED_PRECONDITION, "deleted")
    assert "UsageError" not in caplog.text


async def test_a_cancelled_thing_inside_a_call_is_a_bug_and_not_silence() -> None:
    async def broken(request: bytes, context: Any) -> bytes:
        inner: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        inner.cancel()
        return await inner

    async with connected(probe(broken)) as channel:
        code, _ = await refusal(ask(channel)(b"", timeout=10))
        assert code is Code.INTERNAL


async def test_a_unary_call_without_a_deadline_ends_by_the_default_one() -> None:
    ended = asyncio.Event()

    async def hang(request: bytes, context: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    async with connected(probe(hang), GrpcSettings(default_deadline_seconds=0.1)) as channel:
        code, text = await refusal(ask(channel)(b""))
        assert code is Code.DEADLINE_EXCEEDED
        assert "0.1 s" in text
        assert ended.is_set()


async def test_a_stream_is_not_ended_by_the_default_deadline() -> None:
    async def slowly(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        # Longer than the default deadline, which a unary call beside it measures.
        await refusal(ask(own)(b"hang"))
        yield b"two"

    async def hang(request: bytes, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    settings = GrpcSettings(default_deadline_seconds=0.05)
    async with connected(probe(hang, slowly), settings) as own:
        assert [item async for item in watch(own)(b"")] == [b"one", b"two"]


@pytest.mark.parametrize("way", ["deadline", "cancel"])
async def test_a_call_whose_caller_is_gone_is_cancelled_and_is_no_error(way: str) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(request: bytes, context: Any) -> bytes:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    async with connected(probe(hang)) as channel:
        with capture_logs() as logs:
            call = ask(channel)(b"", timeout=0.2 if way == "deadline" else None)
            if way == "cancel":
                await asyncio.wait((asyncio.ensure_future(soon(started)),))
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            else:
                assert (await refusal(call))[0] is Code.DEADLINE_EXCEEDED
            await soon(ended)
        assert not [line for line in logs if line["log_level"] in ("warning", "error")]


async def test_what_is_no_message_is_refused_and_the_server_lives_on() -> None:
    checking = grpc.unary_unary_rpc_method_handler(
        answer_name, health_pb2.HealthCheckRequest.FromString, str.encode
    )
    counting = grpc.stream_unary_rpc_method_handler(
        count_names, health_pb2.HealthCheckRequest.FromString, str.encode
    )
    async with connected(probe(Check=checking, Count=counting)) as channel:
        check = ask(channel, "Check")
        code, text = await refusal(check(b"\xff\xff\xff"))
        assert (code, "3 bytes" in text) == (Code.INVALID_ARGUMENT, True)
        good = health_pb2.HealthCheckRequest(service="x").SerializeToString()
        count = collect(channel, "Count")
        assert (await refusal(count(iter([good, b"\xff"]))))[0] is Code.INVALID_ARGUMENT
        assert await check(good) == b"x"
        assert await count(iter([good, good])) == b"2"


async def answer_name(request: health_pb2.HealthCheckRequest, context: Any) -> str:
    return request.service


async def count_names(requests: AsyncIterator[health_pb2.HealthCheckRequest], context: Any) -> str:
    return str(sum([len(request.service) async for request in requests]))


async def test_an_answer_that_cannot_be_encoded_is_a_bug_without_its_content() -> None:
    encode: Any = str.encode
    handler: Any = grpc.unary_unary_rpc_method_handler(echo, None, encode)
    async with connected(probe(Check=handler)) as channel:
        code, text = await refusal(ask(channel, "Check")(b"content"))
        assert code is Code.INTERNAL
        assert "content" not in text


async def test_a_message_beyond_the_limit_is_refused_and_the_server_lives_on() -> None:
    async with connected(probe(echo), GrpcSettings(max_message_bytes=2048)) as channel:
        code, text = await refusal(ask(channel)(b"x" * 4096))
        assert code is Code.RESOURCE_EXHAUSTED
        assert "SERVER: Received message larger than max (4096 vs. 2048)" in text
        assert await ask(channel)(b"x" * 1024) == b"x" * 1024


async def test_a_large_message_within_the_limit_passes_both_ways() -> None:
    large = b"x" * (5 * 1024 * 1024)  # gRPC's own limit is 4 MiB.
    async with connected(probe(echo)) as channel:
        assert await ask(channel)(large) == large


async def test_an_endless_text_arrives_cut() -> None:
    async def fail(request: bytes, context: Any) -> bytes:
        raise Rejected("百" * 100_000)

    async with connected(probe(fail)) as channel:
        code, text = await refusal(ask(channel)(b""))
        assert code is Code.INVALID_ARGUMENT
        assert text.startswith("百百")
        assert text.endswith(" ...")


async def test_an_unknown_rpc_is_unimplemented() -> None:
    async with connected(probe(echo)) as channel:
        code, _ = await refusal(ask(channel, "Nothing")(b""))
        assert code is Code.UNIMPLEMENTED
