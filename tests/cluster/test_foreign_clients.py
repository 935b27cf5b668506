"""Clients that are none of ours: a Kafka command line, Polars, and gRPC by reflection alone."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import polars as pl
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from services.events.topics import SAMPLES_JUDGED
from services.runtime.kafka_tail import read_all
from tests.cluster.platform import PARTITIONS, Platform, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAMPLES = 20
AGENTS = 60
_SECONDS = 30.0
_OLD_PROTOCOL = ("-X", "api.version.request=false", "-X", "broker.version.fallback=0.9.0.1")
"""librdkafka 2.0 cannot read which versions Tansu speaks: it is told to ask for the oldest."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def now(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    with pytest.MonkeyPatch.context() as environment:
        # The last samples of a small dataset would wait for half a minute.
        environment.setenv("MATRIX_REUSE_AFTER_SECONDS", "2")
        folder = tmp_path_factory.mktemp("foreign")
        async with platform(folder, replicas=1, agents=AGENTS) as running:
            await running.order("d", SAMPLES)
            await running.filled("d", SAMPLES, seconds=90)
            yield running


async def test_kcat_finds_every_verdict_that_we_find(now: Platform) -> None:
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("no kcat on PATH: `apt-get install kafkacat` brings it")
    ours = await read_all(now.kafka, "test-kcat", [SAMPLES_JUDGED.name])
    process = await asyncio.create_subprocess_exec(
        *(kcat, "-C", "-q", "-b", now.kafka.bootstrap_servers, "-t", SAMPLES_JUDGED.name),
        # By count: the end of a partition, as Tansu tells it, is not what librdkafka can read.
        *("-o", "0", "-c", str(len(ours)), "-f", "%p %o %S %k %h\\n", *_OLD_PROTOCOL),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, errors.decode()
    lines = [line.split(" ", 4) for line in output.decode().splitlines()]
    assert sorted((int(p), int(o), int(size), key) for p, o, size, key, _ in lines) == sorted(
        (m.partition, m.offset, len(m.value), m.key) for m in ours
    )
    assert {int(line[0]) for line in lines} <= set(range(PARTITIONS))
    assert sum("type=SampleJudged" in line[4] for line in lines) >= SAMPLES


async def test_polars_reads_the_table_over_s3(now: Platform) -> None:
    options = {
        "aws_region": "us-east-1",
        "aws_endpoint_url": now.told.split("object store: ")[1].split(",")[0],
        "aws_allow_http": "true",
        "aws_access_key_id": now.secret("s3-access-key"),
        "aws_secret_access_key": now.secret("s3-secret-key"),
    }

    def read() -> pl.DataFrame:
        return pl.scan_delta("s3://matrix/d", storage_options=options).collect()

    frame = await asyncio.to_thread(read)
    rows = now.rows("d")
    assert frame.height == len(rows) == SAMPLES
    assert sorted(frame["id"]) == sorted(row["id"] for row in rows)
    first = frame.filter(pl.col("id") == rows[0]["id"]).to_dicts()[0]
    assert first["messages"] == rows[0]["messages"]
    assert first["scenario_id"] == rows[0]["scenario_id"]


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Shows a token with every call: reflection asks for one, too."""

    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._shown(details), request)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._shown(details), requests)

    def _shown(self, details: Any) -> Any:
        return SimpleNamespace(
            method=details.method,
            timeout=details.timeout,
            metadata=self._metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
            compression=details.compression,
        )


@contextmanager
def _stranger(address: str, token: str) -> Iterator[tuple[Any, ProtoReflectionDescriptorDatabase]]:
    """Give a channel, and what the server tells of itself."""
    with grpc.insecure_channel(address) as plain:
        channel = grpc.intercept_channel(plain, _Bearer(token))
        yield channel, ProtoReflectionDescriptorDatabase(channel)


def _call(address: str, token: str, service: str, method: str, fields: dict[str, Any]) -> Any:
    """Call a method of which only the name is known; the server tells the rest."""
    with _stranger(address, token) as (channel, described):
        assert service in described.get_services()
        pool = descriptor_pool.DescriptorPool(described)
        shape = pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(shape.input_type)(**fields)
        call = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(shape.output_type).FromString,
        )
        return call(request, timeout=_SECONDS)


async def test_a_client_that_knows_nothing_but_reflection_lists_agents(now: Platform) -> None:
    (address,) = now.file("endpoints.json")["agent_state"]
    service = "matrix.agent_state.v1.AgentStateService"
    token = now.secret("reader-token")
    found, page = [], ""
    while True:
        fields = {"page_size": 25, "page_token": page}
        answer = await asyncio.to_thread(_call, address, token, service, "ListAgents", fields)
        found += [agent.agent_id for agent in answer.agents]
        page = answer.next_page_token
        if not page:
            break
    assert len(found) == len(set(found)) == AGENTS


async def test_a_client_that_knows_nothing_but_reflection_creates_a_dataset(now: Platform) -> None:
    (address,) = now.file("endpoints.json")["instruction_generation"]
    service = "matrix.instruction_generation.v1.InstructionGenerationService"
    fields = {"name": "reflected", "kind": "sft", "size": 5}
    answer = await asyncio.to_thread(
        _call, address, now.secret("operator-token"), service, "CreateDataset", fields
    )
    assert (answer.dataset.order.dataset, answer.dataset.order.size) == ("reflected", 5)
    await now.filled("reflected", 5, seconds=60)
