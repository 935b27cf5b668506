"""Who may call what: tokens and permissions, and that no token is ever shown."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.runtime.errors import Rejected
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_server import GrpcServer
from services.runtime.grpc_statuses import explain
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_probe import (
    SERVICE,
    ask,
    collect,
    echo,
    health,
    probe,
    reflection,
    refusal,
    serving,
    upcoming,
    watch,
)

Code = grpc.StatusCode
READER, OPERATOR = "planted-reader-7f3a9c", "planted-operator-51be0d"
WRONG = "planted-wrong-90ab12"


def callers_file(folder: Path) -> Path:
    path = folder / "callers.toml"
    path.write_text(
        "\n".join(
            f"[[callers]]\nname = '{name}'\npermissions = ['{permission}']\n"
            f"token_sha256 = '{hashlib.sha256(token.encode()).hexdigest()}'"
            for name, permission, token in (
                ("dashboard", "read", READER),
                ("admin", "operate", OPERATOR),
            )
        )
    )
    return path


def settings(folder: Path) -> GrpcSettings:
    return GrpcSettings(callers_file=callers_file(folder))


def access(token: str) -> Access:
    return Access(token=SecretStr(token))


async def count(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"1"
    yield b"2"


async def add_up(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b"".join([request async for request in requests])


async def test_a_reader_reads_and_an_operator_does_everything(tmp_path: Path) -> None:
    permissions = {f"/{SERVICE}/Ask": "read"}
    served = probe(echo, count, add_up)
    async with serving(served, settings(tmp_path), permissions=permissions) as server:
        async with open_channel(server.address, access(READER)) as channel:
            assert await ask(channel)(b"x") == b"x"
            code, text = await refusal(collect(channel)(iter([b"x"])))
            assert code is Code.PERMISSION_DENIED
            assert "'operate'" in text
            assert "dashboard" in text
            assert (await refusal(watch(channel)(b"")))[0] is Code.PERMISSION_DENIED
        async with open_channel(server.address, access(OPERATOR)) as channel:
            assert await ask(channel)(b"x") == b"x"
            assert await collect(channel)(iter([b"x", b"y"])) == b"xy"
            assert [item async for item in watch(channel)(b"")] == [b"1", b"2"]


async def test_a_missing_or_wrong_token_is_unauthenticated(tmp_path: Path) -> None:
    async with serving(probe(echo), settings(tmp_path)) as server:
        async with open_channel(server.address) as channel:
            assert (await refusal(ask(channel)(b"")))[0] is Code.UNAUTHENTICATED
            for values in (
                ["Bearer"],
                ["Bearer "],
                [f"Basic {OPERATOR}"],
                [OPERATOR],
                [f"Bearer {OPERATOR} "],
                [f"Bearer {OPERATOR}", f"Bearer {OPERATOR}"],
                [f"Bearer {hashlib.sha256(OPERATOR.encode()).hexdigest()}"],
            ):
                metadata = grpc.aio.Metadata(*(("authorization", value) for value in values))
                code, text = await refusal(ask(channel)(b"", metadata=metadata))
                assert code is Code.UNAUTHENTICATED, values
                assert OPERATOR not in text
            lower = grpc.aio.Metadata(("authorization", f"bearer {OPERATOR}"))
            assert await ask(channel)(b"x", metadata=lower) == b"x"
        async with open_channel(server.address, access(WRONG)) as channel:
            assert (await refusal(ask(channel)(b"")))[0] is Code.UNAUTHENTICATED


async def test_health_needs_nobody_and_reflection_a_reader(tmp_path: Path) -> None:
    async with serving(probe(echo), settings(tmp_path)) as server:
        listing = [reflection_pb2.ServerReflectionRequest(list_services="")]
        async with open_channel(server.address) as channel:
            request = health_pb2.HealthCheckRequest(service="liveness")
            assert (await health(channel).Check(request)).status == 1
            answers = reflection(channel)(iter(listing))
            assert (await refusal(answers))[0] is Code.UNAUTHENTICATED
        async with open_channel(server.address, access(READER)) as channel:
            [answer] = [answer async for answer in reflection(channel)(iter(listing))]
            assert answer.list_services_response.service


async def test_nothing_is_parsed_for_who_may_not_call(tmp_path: Path) -> None:
    parsed: list[bytes] = []

    def parse(raw: bytes) -> bytes:
        parsed.append(raw)
        return raw

    handler: Any = grpc.unary_unary_rpc_method_handler(echo, parse)
    async with serving(probe(Parse=handler), settings(tmp_path)) as server:
        async with open_channel(server.address) as channel:
            assert (await refusal(ask(channel, "Parse")(b"x")))[0] is Code.UNAUTHENTICATED
        assert parsed == []
        async with open_channel(server.address, access(OPERATOR)) as channel:
            assert await ask(channel, "Parse")(b"x") == b"x"
        assert parsed == [b"x"]


async def test_no_token_is_in_any_log_error_or_representation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def buggy(request: bytes, context: Any) -> bytes:
        raise ValueError("a bug while a token was in the metadata")

    shown: list[str] = []
    permissions = {f"/{SERVICE}/Ask": "read"}
    caplog.set_level(0)
    with capture_logs() as logs:
        served = probe(buggy, count)
        async with serving(served, settings(tmp_path), permissions=permissions) as server:
            for token in (READER, OPERATOR, WRONG):
                known = access(token)
                async with open_channel(server.address, known) as channel:
                    for call in (ask(channel)(b""), watch(channel, "Nothing")(b"")):
                        try:
                            await (upcoming(call) if hasattr(call, "__aiter__") else call)
                        except grpc.aio.AioRpcError as error:
                            shown += [str(error), repr(error), str(explain(error, "host:1"))]
                    shown += [repr(known), repr(channel), str(vars(channel))]
            shown += [repr(server), str(vars(server))]
    assert any(line["event"] == "call failed" for line in logs)
    assert any(line["event"] == "unknown caller" for line in logs)
    printed = capfd.readouterr()
    everything = [*shown, json.dumps(logs, default=repr), caplog.text, printed.out, printed.err]
    for text in everything:
        for token in (READER, OPERATOR, WRONG):
            assert token not in text


async def test_tokens_travel_only_where_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"matrix\.example.*in the clear") as caught:
        open_channel("matrix.example:50051", access(OPERATOR))
    assert OPERATOR not in str(caught.value)
    with pytest.raises(Rejected, match="blanks") as caught:
        open_channel("127.0.0.1:50051", access(OPERATOR + "\n"))
    assert OPERATOR not in str(caught.value)
    for loopback in ("127.0.0.1:1", "[::1]:1", "localhost:1", "dns:///localhost:1"):
        await open_channel(loopback, access(OPERATOR)).close()


def test_certificates_in_the_callers_file_need_mutual_tls(tmp_path: Path) -> None:
    path = tmp_path / "callers.toml"
    path.write_text("[[callers]]\nname = 'a'\ncertificate = 'a.test'\npermissions = ['read']\n")
    with pytest.raises(Rejected, match="CLIENT_CA_FILE"):
        GrpcServer(GrpcSettings(callers_file=path), [probe(echo)])
