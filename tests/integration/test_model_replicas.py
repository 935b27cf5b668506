"""A model server of several replicas behind one name, as a headless Service has them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.local.simulator import Simulator, SimulatorSettings
from services.runtime import admission
from services.runtime.endpoints import Endpoint
from services.runtime.errors import Retryable
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatRequest, Message, Role
from services.runtime.replicas import replica_urls

QUICK = CallSettings(30.0, 30.0, first_backoff_seconds=0.001, max_backoff_seconds=0.002)
Names = list[str]


@contextmanager
def resolving(patched: pytest.MonkeyPatch, *addresses: str) -> Iterator[Names]:
    """Have the name `model` stand for addresses, which the caller may change."""
    names = list(addresses)

    async def getaddrinfo(_: object, host: str, port: int, **__: Any) -> list[Any]:
        assert host == "model"
        if not names:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in names]

    patched.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    patched.setattr(admission, "_RESOLVE_SECONDS", 0.0)
    patched.setattr(admission, "_LOAD_SECONDS", 0.01)
    yield names


@asynccontextmanager
async def replicas(*slots: int) -> AsyncIterator[tuple[int, list[Simulator]]]:
    """Run servers on 127.0.0.1, 127.0.0.2 and so on, at one port."""
    async with AsyncExitStack() as stack:
        port, servers = 0, list[Simulator]()
        for number, own in enumerate(slots, start=1):
            host = f"127.0.0.{number}"
            settings = SimulatorSettings(host=host, port=port, slots=own, seconds_per_call=0.02)
            server = Simulator(settings, record=True)
            port = urlsplit(await server.start()).port or 0
            stack.push_async_callback(server.stop)
            servers.append(server)
        yield port, servers


@asynccontextmanager
async def calling(
    port: int, slots: int = 8, named: str = ""
) -> AsyncIterator[tuple[HttpModels, ModelMetrics]]:
    metrics = ModelMetrics()
    url = f"http://model:{port}"
    endpoints: dict[Role, Endpoint] = {"simulator": Endpoint(url, "simulated", named=named)}
    async with HttpModels(endpoints, metrics, slots, QUICK) as models:
        yield models, metrics


def asked(server: Simulator) -> int:
    return sum("/chat" in call.path for call in server.log)


async def ask(models: HttpModels, calls: int = 1) -> None:
    requests = [ChatRequest((Message("user", f"Name {n} colours."),), 20) for n in range(calls)]
    answers = await asyncio.gather(*(models.chat("simulator", "act", each) for each in requests))
    assert all(answer.completions[0].text for answer in answers)


async def until_in_use(models: HttpModels, server: Simulator) -> None:
    """Call two at a time until a replica is found."""
    before = asked(server)
    async with asyncio.timeout(20):
        while asked(server) == before:
            await ask(models, 2)


async def test_replicas_share_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolving(monkeypatch, "127.0.0.1", "127.0.0.2"):
        async with replicas(32, 32) as (port, servers), calling(port) as (models, _):
            for server in servers:
                await until_in_use(models, server)
            before = [asked(server) for server in servers]
            await ask(models, 160)
            shares = [asked(each) - so_far for each, so_far in zip(servers, before, strict=True)]
    assert sum(shares) == 160
    assert min(shares) >= 60


async def test_a_replica_that_dies_fails_no_call_and_one_that_comes_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with resolving(monkeypatch, "127.0.0.1", "127.0.0.2") as names:
        async with replicas(8, 8, 8) as (port, servers), calling(port) as (models, metrics):
            await until_in_use(models, servers[1])
            asking = asyncio.create_task(ask(models, 100))
            await asyncio.sleep(0)
            await servers[1].stop()
            await asking
            names[:] = ["127.0.0.1", "127.0.0.3"]
            await until_in_use(models, servers[2])
            assert not metrics.refused


async def test_while_the_name_stands_for_nothing_the_replicas_known_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with resolving(monkeypatch, "127.0.0.1", "127.0.0.2") as names:
        async with replicas(8, 8) as (port, servers), calling(port) as (models, metrics):
            for server in servers:
                await until_in_use(models, server)
            names.clear()
            for server in servers:
                await until_in_use(models, server)
            assert not metrics.retries


async def test_the_load_of_all_replicas_is_one_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolving(monkeypatch, "127.0.0.1", "127.0.0.2"):
        async with replicas(4, 4) as (port, servers), calling(port, slots=16) as (models, _):
            for server in servers:
                await until_in_use(models, server)
            asking = asyncio.create_task(ask(models, 400))
            async with asyncio.timeout(20):
                while True:
                    load = models.demand("simulator").load
                    if load is not None and (load.running, load.waiting) == (8, 24):
                        break
                    await asyncio.sleep(0)
            await asking


async def test_an_inference_service_that_moves_is_followed_and_one_that_is_away_is_not_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = ["http://127.0.0.1:{port}/v1/"]

    async def resolved(name: str) -> str:
        assert name == "kserve://matrix-teacher"
        if not places:
            raise Retryable("not ready")
        return places[0].format(port=port)

    monkeypatch.setattr(admission, "resolved", resolved)
    monkeypatch.setattr(admission, "_NAMED_SECONDS", 0.0)
    with resolving(monkeypatch, "127.0.0.1"):
        async with (
            replicas(8, 8) as (port, servers),
            calling(port, named="kserve://matrix-teacher") as (models, metrics),
        ):
            await until_in_use(models, servers[0])
            places[:] = ["http://127.0.0.2:{port}"]
            await until_in_use(models, servers[1])
            places.clear()
            before = asked(servers[1])
            await ask(models, 20)
            assert asked(servers[1]) == before + 20
            assert not metrics.retries


async def test_a_name_that_cannot_be_stands_for_nothing() -> None:
    assert await replica_urls(f"http://{'x' * 70}.svc:80") == []


@pytest.mark.parametrize(
    ("url", "found", "expected"),
    [
        ("http://model:80", ["10.0.0.2", "10.0.0.1"], ["http://10.0.0.1:80", "http://10.0.0.2:80"]),
        (
            "http://model/base",
            ["10.0.0.1", "10.0.0.2"],
            ["http://10.0.0.1/base", "http://10.0.0.2/base"],
        ),
        ("http://model:80", ["10.0.0.1", "10.0.0.1"], ["http://model:80"]),
        ("https://model", ["10.0.0.1", "10.0.0.2"], ["https://model"]),
        ("http://10.0.0.9:1", [], ["http://10.0.0.9:1"]),
        ("http://model", [], []),
    ],
)
async def test_what_a_name_stands_for(
    url: str, found: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with resolving(monkeypatch, *found):
        assert await replica_urls(url) == expected
