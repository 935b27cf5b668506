"""The simulated model as a server: refusals, faults, slots, log, embeddings, its end."""

import asyncio
import base64
import json
import os
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from services.local.simulator import Simulator, SimulatorSettings, serve_forever
from services.runtime.model_load import ServerLoad, parse_load


@asynccontextmanager
async def serving(settings: SimulatorSettings) -> AsyncIterator[tuple[str, Simulator]]:
    simulator = Simulator(settings)
    try:
        yield await simulator.start(), simulator
    finally:
        await simulator.stop()


async def post(url: str, body: dict[str, Any]) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as client, client.post(url, json=body) as response:
        return response.status, await response.read()


async def chat(url: str, **fields: Any) -> tuple[int, bytes]:
    messages = [{"role": "user", "content": "Name three colours."}]
    body = {"model": "simulated", "messages": messages, "max_tokens": 40} | fields
    return await post(f"{url}/v1/chat/completions", body)


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"n": 2, "temperature": 0}, 400, "n must be 1 when using greedy sampling, got 2."),
        ({"top_logprobs": 2}, 400, "when using `top_logprobs`, `logprobs` must be set to true."),
        ({"max_tokens": 8190}, 400, "for a total of at least 8193 tokens."),
        ({"max_tokens": "many"}, 400, "'loc': 'body.max_tokens'"),
        ({"messages": "hello"}, 400, "Input should be a valid list"),
        ({"stream_options": {"include_usage": True}}, 400, "Stream options can only be"),
        ({"response_format": {"type": "json_schema"}}, 400, "field must be provided"),
        ({"structured_outputs": {"json": {"allOf": []}}}, 400, "Unimplemented keys"),
    ],
)
async def test_further_refusals(fields: dict[str, Any], status: int, message: str) -> None:
    async with serving(SimulatorSettings()) as (url, simulator):
        got, raw = await chat(url, **fields)
        assert got == status
        assert message in json.loads(raw)["error"]["message"]
        assert simulator.calls == 0


async def test_faults_reach_the_client() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with serving(SimulatorSettings(garbage=1.0)) as (url, _):
        status, raw = await chat(url)
        assert status == 200
        with pytest.raises(json.JSONDecodeError):
            json.loads(raw)
    async with serving(SimulatorSettings(truncated=1.0)) as (url, _):
        status, raw = await chat(url, response_format=form)
        choice = json.loads(raw)["choices"][0]
        assert (status, choice["finish_reason"]) == (200, "length")
        with pytest.raises(json.JSONDecodeError):
            json.loads(choice["message"]["content"])
    for fault, expected in (("error_500", 500), ("error_503", 503)):
        async with serving(SimulatorSettings(**{fault: 1.0})) as (url, _):  # type: ignore[arg-type]
            status, raw = await chat(url)
            assert status == json.loads(raw)["error"]["code"] == expected


async def test_connections_are_cut_half_way() -> None:
    async with serving(SimulatorSettings(cut=1.0)) as (url, _):
        with pytest.raises(aiohttp.ClientPayloadError):
            await chat(url)
        with pytest.raises(aiohttp.ClientPayloadError):
            await chat(url, stream=True)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (SimulatorSettings(slots=1, hang=1.0), {}),
        (SimulatorSettings(slots=1, seconds_per_call=1e6), {"n": 2}),
        (SimulatorSettings(slots=1, seconds_per_token=1e6), {"stream": True}),
        (SimulatorSettings(slots=1, kv_blocks=512, hang=1.0), {"stream": True}),
    ],
)
async def test_a_client_that_goes_away_frees_its_slot(
    settings: SimulatorSettings, fields: dict[str, Any]
) -> None:
    async with serving(settings) as (url, simulator):
        asked = asyncio.create_task(chat(url, **fields))
        async with asyncio.timeout(5):
            while not simulator.running:  # noqa: ASYNC110 - the server is watched from outside
                await asyncio.sleep(0.001)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        async with asyncio.timeout(5):
            while simulator.in_flight:  # noqa: ASYNC110 - the server is watched from outside
                await asyncio.sleep(0.001)
        assert (simulator.calls, simulator.running, simulator.waiting) == (0, 0, 0)


async def health(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health") as response:
        return response.status


async def test_a_dead_engine_is_seen_by_health_and_by_calls_under_way() -> None:
    async with serving(SimulatorSettings(seconds_per_token=1e6)) as (url, simulator):
        assert await health(url) == 200
        plain = asyncio.create_task(chat(url))
        streamed = asyncio.create_task(chat(url, stream=True))
        async with asyncio.timeout(5):
            while simulator.running < 2:  # noqa: ASYNC110 - the server is watched from outside
                await asyncio.sleep(0.001)
        simulator.kill_engine()
        status, raw = await plain
        assert status == json.loads(raw)["error"]["code"] == 500
        assert "EngineCore encountered an issue" in json.loads(raw)["error"]["message"]
        status, raw = await streamed
        assert status == 200
        assert b"EngineCore encountered an issue" in raw
        assert await health(url) == 503
        assert (await chat(url))[0] == 500


async def test_an_engine_dies_after_its_calls() -> None:
    async with serving(SimulatorSettings(dead_after=2)) as (url, _):
        assert [(await chat(url))[0] for _ in range(4)] == [200, 200, 500, 500]
        assert await health(url) == 503


async def test_nobody_is_let_in_while_it_loads() -> None:
    simulator = Simulator(SimulatorSettings())
    url = await simulator.start()
    await simulator.stop()
    port = int(url.rsplit(":", 1)[1])
    loading = Simulator(SimulatorSettings(port=port, loading_seconds=1e6))
    starting = asyncio.create_task(loading.start())
    await asyncio.sleep(0)  # lets it begin
    with pytest.raises(aiohttp.ClientConnectorError):
        await health(url)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await loading.stop()
    async with serving(SimulatorSettings(port=port, loading_seconds=0.01)) as (loaded, _):
        assert await health(loaded) == 200


async def test_signals_double_and_halve_the_slots() -> None:
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = SimulatorSettings(slots=2, hang=1.0)
    server = asyncio.create_task(serve_forever(settings, listening.set_result))
    url = await listening
    calls = [asyncio.create_task(chat(url)) for _ in range(5)]

    async def load() -> ServerLoad:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as response:
            said = parse_load(await response.read())
        assert said is not None
        return said

    async def running() -> float:
        return (await load()).running

    try:
        async with asyncio.timeout(5):
            while await running() < 2:
                pass
            os.kill(os.getpid(), signal.SIGUSR1)
            while await running() < 4:
                pass
            os.kill(os.getpid(), signal.SIGUSR2)
            for call in calls:
                call.cancel()
            while await running() > 0:
                pass
            calls = [asyncio.create_task(chat(url)) for _ in range(5)]
            while await load() != ServerLoad(2, 3):
                pass
    finally:
        for call in calls:
            call.cancel()
        server.cancel()
        await asyncio.gather(*calls, server, return_exceptions=True)


async def test_calls_are_logged_only_on_request() -> None:
    simulator = Simulator(SimulatorSettings(), record=True)
    url = await simulator.start()
    try:
        _, raw = await chat(url)
        await chat(url, n=0)
    finally:
        await simulator.stop()
    [call] = simulator.log
    assert (call.path, call.model) == ("/v1/chat/completions", "simulated")
    assert call.prompts == ("Name three colours.",)
    assert call.answers == (json.loads(raw)["choices"][0]["message"]["content"],)
    async with serving(SimulatorSettings()) as (url, silent):
        await chat(url)
        assert (silent.calls, silent.log) == (1, [])


async def test_embeddings_come_as_numbers_or_base64() -> None:
    async def embedded(url: str, **fields: Any) -> dict[str, Any]:
        status, raw = await post(f"{url}/v1/embeddings", {"model": "simulated"} | fields)
        assert status == 200
        answer: dict[str, Any] = json.loads(raw)
        return answer

    async with serving(SimulatorSettings()) as (url, simulator):
        both = await embedded(url, input=["baker bread", "harbour rope"])
        one = await embedded(url, input="baker bread", encoding_format="base64")
        assert simulator.calls == 2
    assert [item["index"] for item in both["data"]] == [0, 1]
    assert [len(item["embedding"]) for item in both["data"]] == [384, 384]
    assert both["usage"]["prompt_tokens"] == both["usage"]["total_tokens"] == 4
    decoded = struct.unpack("<384f", base64.b64decode(one["data"][0]["embedding"]))
    assert decoded == pytest.approx(both["data"][0]["embedding"])


async def test_serving_forever_ends_when_cancelled() -> None:
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve_forever(SimulatorSettings(), listening.set_result))
    url = await listening
    status, _ = await chat(url)
    assert status == 200
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(aiohttp.ClientConnectorError):
        await chat(url)
