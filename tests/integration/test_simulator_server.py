"""The simulated model as a server: refusals, faults, slots, log, embeddings, its end."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from services.local.simulator import Simulator, SimulatorSettings, serve_forever


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


async def test_a_client_that_goes_away_frees_its_slot() -> None:
    async with serving(SimulatorSettings(slots=1, hang=1.0)) as (url, simulator):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await chat(url)
        async with asyncio.timeout(5):
            while simulator.in_flight:  # noqa: ASYNC110 - the server is watched from outside
                await asyncio.sleep(0.001)
        assert simulator.calls == 0


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
