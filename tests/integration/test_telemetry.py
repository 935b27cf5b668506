"""GetMetrics over real servers: all replicas, those that do not answer by name, and its limits."""

import hashlib
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from matrix.telemetry.v1 import telemetry_pb2 as pb
from matrix.telemetry.v1.telemetry_pb2_grpc import add_TelemetryServiceServicer_to_server
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from services.runtime import telemetry
from services.runtime.answering import Replicas
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_server import GrpcServer
from services.runtime.metrics import Metrics
from services.runtime.peers import Peers, new_replica
from services.runtime.settings import GrpcSettings
from services.runtime.telemetry import NAME, PERMISSIONS, TelemetryServicer
from tests.integration.rpc import Code, ask, replicas

LIMIT = 1 << 20


def counted(steps: int, limit: int = LIMIT) -> Callable[[Replicas], TelemetryServicer]:
    """Return what builds the servicer of a replica that has counted so many steps."""
    metrics = Metrics()
    metrics.society.steps = steps
    return lambda peers: TelemetryServicer("agent_state", f"r{steps}", metrics, peers, limit)


def steps_of(replica: pb.ReplicaMetrics) -> float:
    families = {each.name: each for each in text_string_to_metric_families(replica.text)}
    return families["matrix_steps"].samples[0].value


async def get(channel: grpc.aio.Channel, metadata: Any = ()) -> Any:
    return await ask(channel, pb.GetMetricsRequest(), metadata)


def served(*builds: Callable[[Replicas], TelemetryServicer]) -> Any:
    return replicas(add_TelemetryServiceServicer_to_server, NAME, *builds)


async def test_any_replica_tells_the_metrics_of_all() -> None:
    async with served(counted(1), counted(2), counted(3)) as channels:
        for number, channel in enumerate(channels, 1):
            answer = await get(channel)
            assert answer.replicas[0].replica_id == f"r{number}"
            assert {each.replica_id: steps_of(each) for each in answer.replicas} == {
                "r1": 1,
                "r2": 2,
                "r3": 3,
            }
            assert {each.service for each in answer.replicas} == {"agent_state"}
            assert all(each.version for each in answer.replicas)
            assert not answer.unreachable


async def test_a_call_that_is_passed_on_is_answered_by_the_replica_alone() -> None:
    async with served(counted(1), counted(2)) as (first, _):
        answer = await get(first, (("matrix-forwarded", "1"),))
        assert [each.replica_id for each in answer.replicas] == ["r1"]


async def test_replicas_that_do_not_answer_are_named_and_the_others_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "PATIENCE_SECONDS", 0.5)
    async with AsyncExitStack() as stack:
        # Its kernel takes the connection, and nobody ever says a word.
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        hangs = f"127.0.0.1:{listening.getsockname()[1]}"
        gone = "127.0.0.1:1"
        nobody = Peers(GrpcSettings(), new_replica())
        other = GrpcServer(GrpcSettings(), [telemetry.telemetry(counted(2)(nobody))])
        await stack.enter_async_context(other)
        addresses = f"{hangs},{gone},{other.address},matrix.invalid:1"
        peers = Peers(GrpcSettings(peers=addresses), new_replica())
        stack.push_async_callback(peers.close)
        server = GrpcServer(GrpcSettings(), [telemetry.telemetry(counted(1)(peers))])
        await stack.enter_async_context(server)
        channel = await stack.enter_async_context(open_channel(server.address))
        answer = await get(channel)
    assert [each.replica_id for each in answer.replicas] == ["r1", "r2"]
    found = {each.address: each.reason for each in answer.unreachable}
    assert found.keys() == {hangs, gone, "matrix.invalid:1"}
    assert "cannot be reached" in found[gone]


async def test_a_name_that_does_not_resolve_leaves_the_asked_replica_its_voice() -> None:
    peers = Peers(GrpcSettings(peers="matrix.invalid:1"), new_replica())
    served = [telemetry.telemetry(counted(1)(peers))]
    async with (
        GrpcServer(GrpcSettings(), served) as server,
        open_channel(server.address) as channel,
    ):
        answer = await get(channel)
    await peers.close()
    assert [each.replica_id for each in answer.replicas] == ["r1"]
    (lost,) = answer.unreachable
    assert lost.address == "matrix.invalid:1"
    assert "does not resolve" in lost.reason


async def test_more_than_a_message_may_hold_is_refused_with_what_to_do() -> None:
    async with served(counted(1, limit=100)) as (channel,):
        with pytest.raises(grpc.aio.AioRpcError, match="MATRIX_GRPC__MAX_MESSAGE_BYTES") as refused:
            await get(channel)
        assert refused.value.code() is Code.INVALID_ARGUMENT


async def test_who_may_read_may_read_metrics_and_nobody_else(tmp_path: Path) -> None:
    callers = tmp_path / "callers.toml"
    digest = hashlib.sha256(b"reader").hexdigest()
    callers.write_text(
        f'[[callers]]\nname = "r"\ntoken_sha256 = "{digest}"\npermissions = ["read"]\n'
    )
    settings = GrpcSettings(callers_file=callers)
    peers = Peers(GrpcSettings(), new_replica())
    served = [telemetry.telemetry(counted(1)(peers))]
    async with GrpcServer(settings, served, PERMISSIONS) as server:
        async with open_channel(server.address, Access(token=SecretStr("reader"))) as channel:
            assert len((await get(channel)).replicas) == 1
        async with open_channel(server.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await get(channel)
    await peers.close()
    assert refused.value.code() is Code.UNAUTHENTICATED
