"""How commands reach a platform: tokens, certificates, replicas; and how they fail."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.cli.server import connected
from services.local.servers.process import free_port
from services.runtime.errors import Retryable
from services.runtime.settings import GrpcSettings
from tests.integration.cli_rpc import command, platform, said
from tests.integration.grpc_certificates import authority
from tests.integration.reward_filtering_rpc import judged
from tests.integration.rpc import until
from tests.integration.running import work

WATCH = ("reward_filtering", "WatchSamples", pb.WatchSamplesRequest())
READER, OPERATOR, WRONG = "planted-reader-7f3a9c", "planted-operator-51be0d", "planted-wrong-90ab12"


def guarded(folder: Path) -> GrpcSettings:
    """Return settings of a server that knows a reader and an operator."""
    callers = folder / "callers.toml"
    callers.write_text(
        "\n".join(
            f"[[callers]]\nname = '{permission}'\npermissions = ['{permission}']\n"
            f"token_sha256 = '{hashlib.sha256(token.encode()).hexdigest()}'"
            for permission, token in (("read", READER), ("operate", OPERATOR))
        )
    )
    return GrpcSettings(callers_file=callers)


def nobody_there() -> str:
    return f"127.0.0.1:{free_port()}"


async def test_a_token_comes_from_the_environment_or_the_file_that_the_platform_wrote(
    tmp_path: Path,
) -> None:
    written, own = tmp_path / "operator-token", tmp_path / "own"
    written.write_text(OPERATOR + "\n")
    own.write_text(READER)
    create = ("datasets", "create", "d", "--size", "3")
    async with platform(tmp_path, guarded(tmp_path)) as there:
        services = ("agent_state", "instruction_generation", "reward_filtering")
        endpoints = {name: [there.address] for name in services}
        file = tmp_path / "endpoints.json"
        file.write_text(json.dumps({**endpoints, "token_file": str(written)}))

        async def by_file(**environment: str) -> int:
            where = ("--server", file)
            return (await asyncio.to_thread(said, *create, *where, **environment)).code

        assert await by_file() == 0
        assert await by_file(MATRIX_TOKEN_FILE=str(own)) == 2
        assert await by_file(MATRIX_TOKEN_FILE=str(own), MATRIX_TOKEN=OPERATOR) == 0
        assert (await there.matrix("datasets", "list", MATRIX_TOKEN=READER)).code == 0
        refused = [
            await there.matrix(*create),
            await there.matrix(*create, MATRIX_TOKEN=WRONG),
            await there.matrix(*create, MATRIX_TOKEN=READER),
            await there.matrix(*create, MATRIX_TOKEN_FILE=str(tmp_path / "gone")),
        ]
    for each, told in zip(
        refused,
        ("does not know this caller", "does not know this caller", "operate", "gone"),
        strict=True,
    ):
        assert (each.code, told in each.err) == (2, True), each.err
        assert not any(token in each.out + each.err for token in (READER, OPERATOR, WRONG))


async def test_tls_needs_the_servers_authority_and_the_callers_certificate(tmp_path: Path) -> None:
    ours = authority(tmp_path / "ca")
    cert, key = ours.issue("127.0.0.1", "localhost")
    mine, mine_key = ours.issue("operator.example", common_name="operator")
    settings = GrpcSettings(cert_file=cert, key_file=key, client_ca_file=ours.file)
    identity = {"MATRIX_CERT_FILE": str(mine), "MATRIX_KEY_FILE": str(mine_key)}
    async with platform(tmp_path, settings) as there:
        listing = ("datasets", "list", "--json")
        assert (await there.matrix(*listing, "--ca", ours.file, **identity)).code == 0
        assert (await there.matrix(*listing, MATRIX_CA_FILE=str(ours.file), **identity)).code == 0
        for refused in (
            await there.matrix(*listing),
            await there.matrix(*listing, "--ca", ours.file),
            await there.matrix(*listing, "--ca", tmp_path / "gone.pem"),
        ):
            assert refused.code == 2
            assert there.address in refused.err or "gone.pem" in refused.err


async def test_a_platform_that_is_not_there_is_named(tmp_path: Path) -> None:
    address = nobody_there()
    for arguments in (
        ("agents", "list"),
        ("datasets", "create", "d", "--size", "3"),
        ("datasets", "wait", "d"),
        ("datasets", "watch", "d"),
        ("datasets", "export", "d", "--to", str(tmp_path / "new")),
        ("scenarios", "search", "bread"),
        ("trace", "id"),
    ):
        refused = await asyncio.to_thread(said, *arguments, "--server", address)
        assert refused.code == 2
        assert f" at {address} cannot be reached: is the service running" in refused.err
        assert not (tmp_path / "new").exists()


async def test_of_several_replicas_one_that_answers_is_asked(tmp_path: Path) -> None:
    dead = nobody_there()
    async with platform(tmp_path) as there:
        places = f"agent_state={dead},agent_state={there.address}"
        found = await asyncio.to_thread(said, "agents", "population", "--server", places)
        other = await asyncio.to_thread(said, "datasets", "list", "--server", places)
    assert (found.code, "agents" in found.out) == (0, True)
    assert (other.code, "no address of instruction_generation" in other.err) == (2, True)


@asynccontextmanager
async def listening(places: str, heard: list[str]) -> AsyncIterator[asyncio.Task[None]]:
    """Note the ids of all samples that are judged."""

    async def listen() -> None:
        async with connected(places) as there:
            async for answer in there.follow(*WATCH):
                heard.append(answer.sample.sample_id)

    task = asyncio.create_task(listen())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_stream_that_breaks_off_is_begun_anew_elsewhere(tmp_path: Path) -> None:
    heard: list[str] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with platform(tmp_path / "one") as one, platform(tmp_path / "two") as two:
        feeds = [each.samples.samples for each in (one, two)]
        places = f"reward_filtering={one.address},reward_filtering={two.address}"
        async with listening(places, heard) as task:
            await until(lambda: any(feed.subscribers for feed in feeds))
            chosen, other = (one, two) if feeds[0].subscribers else (two, one)
            await chosen.samples.take_in(judged(1))
            await until(lambda: len(heard) == 1)
            chosen.samples.samples.close()
            await until(lambda: bool(other.samples.samples.subscribers))
            await other.samples.take_in(judged(2))
            await until(lambda: len(heard) == 2)
            assert not task.done()
    assert heard == [judged(1).sample_id, judged(2).sample_id]


async def test_a_stream_that_never_began_is_told_at_once() -> None:
    async with listening(nobody_there(), []) as task:
        with pytest.raises(Retryable, match="cannot be reached"):
            await task


async def test_a_wait_outlives_a_platform_that_is_started_again(tmp_path: Path) -> None:
    settings = GrpcSettings(port=free_port())
    place = ("--server", f"127.0.0.1:{settings.port}")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with platform(tmp_path / "one", settings) as there:
        await there.matrix("datasets", "create", "d", "--size", "1")
        waiting = await asyncio.create_subprocess_exec(
            *command("datasets", "wait", "d", *place, "--timeout", "60"),
            stderr=asyncio.subprocess.PIPE,
        )
        assert waiting.stderr is not None
        assert b"0 of 1 samples" in await waiting.stderr.readline()
    async with platform(tmp_path / "two", settings) as there:
        await there.matrix("datasets", "create", "d", "--size", "1")
        await there.samples.take_in(judged(1))
        await work(there.orders.worker)
        _, told = await waiting.communicate()
    assert waiting.returncode == 0
    assert b"dataset d: filled, 1 of 1 samples" in told
