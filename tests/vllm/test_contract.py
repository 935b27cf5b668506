"""A real server answers what is recorded of vLLM 0.32 as the recordings say, and so do we expect.

The comparisons are those that the simulated model has to pass.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from services.runtime.http_client import HttpClient
from services.runtime.model_load import ServerLoad, read_load
from tests.integration import test_simulator_contract as contract
from tests.vllm.server import MAX_NUM_QUEUED_REQS, MAX_NUM_SEQS, NAMES, VllmServer

pytestmark = pytest.mark.vllm

FOLDER = "generate-0.32.0"
RECORDED = FOLDER.partition("-")[2]
ASKED = sorted(contract.COVERED[FOLDER])
ASKED_OTHERWISE: dict[str, dict[str, Any]] = {
    # Sampled, a few words of free text may end early by chance; seeds can break the CPU engine.
    "chat_guided_json_legacy": {"temperature": 0},
    "chat_priority": {"temperature": 0},
    "chat_unknown_field": {"temperature": 0},
    "chat_n3_logprobs": {"temperature": 0.01, "seed": None},
}
"""Requests that are not replayed as they were recorded, and what differs."""
_SETTLE_SECONDS = 120


@pytest.fixture(autouse=True)
def real(monkeypatch: pytest.MonkeyPatch, server: VllmServer) -> None:
    """The comparisons ask the real server."""

    async def answered(folder: str, name: str) -> tuple[int, dict[str, str], bytes]:
        request = contract.recording(folder, name)["request"]
        if name in ASKED_OTHERWISE:
            request["body"] |= ASKED_OTHERWISE[name]
        async with AsyncExitStack() as stack:
            if name in contract.NEED_A_BUSY_SERVER:
                await stack.enter_async_context(busy(server.url))
            return await contract.replayed(server.url, request)

    monkeypatch.setattr(contract, "answered", answered)


async def until_load(url: str, wanted: ServerLoad) -> None:
    """Wait until the server says that it has so much to do."""
    load = None
    try:
        async with asyncio.timeout(_SETTLE_SECONDS), HttpClient(30) as client:
            # The server is watched from outside.
            while (load := await read_load(client, url, {})) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"the server says {load}, not {wanted}") from None


@asynccontextmanager
async def busy(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """All slots and all places of the queue are taken; in the end the callers go away."""
    body = {"model": NAMES[0], "prompt": "Once", "max_tokens": 1900, "ignore_eos": True}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        held = [
            asyncio.ensure_future(client.post(f"{url}/v1/completions", json=body))
            for _ in range(MAX_NUM_QUEUED_REQS)
        ]
        try:
            waiting = MAX_NUM_QUEUED_REQS - MAX_NUM_SEQS
            await until_load(url, ServerLoad(MAX_NUM_SEQS, waiting))
            yield client
        finally:
            for each in held:
                each.cancel()
            await asyncio.gather(*held, return_exceptions=True)
        await until_load(url, ServerLoad(0, 0))


async def test_the_version_is_told(server: VllmServer) -> None:
    _, _, raw = await contract.replayed(
        server.url, contract.recording(FOLDER, "version")["request"]
    )
    version = json.loads(raw)["version"]
    assert version
    if version != RECORDED:
        print(f"\nthis is vLLM {version}, the recordings are of {RECORDED}: the contract may drift")


@pytest.mark.parametrize("name", ASKED)
async def test_status_and_shape_are_as_recorded(name: str) -> None:
    await contract.test_status_and_shape_are_as_recorded(FOLDER, name)


@pytest.mark.parametrize(
    "name", [name for name in ASKED if contract.recording(FOLDER, name)["status"] >= 400]
)
async def test_errors_say_what_was_recorded(name: str) -> None:
    await contract.test_errors_say_what_was_recorded(FOLDER, name)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ASKED
        if contract.recording(FOLDER, name)["request"]["path"] in contract.GENERATED
        and contract.recording(FOLDER, name)["status"] == 200
        and "stream" not in name
    ],
)
async def test_choices_end_and_count_as_recorded(name: str) -> None:
    await contract.test_choices_end_and_count_as_recorded(FOLDER, name)


async def test_metrics_are_those_that_were_recorded(server: VllmServer) -> None:
    served = contract.families(await contract.metrics_of(server.url))
    for name in contract.METRICS[FOLDER]:
        page = (contract.RECORDINGS / FOLDER / f"{name}.prom").read_text()
        for metric, family in contract.families(page).items():
            assert metric in served, metric
            assert served[metric].type == family.type, metric
            assert served[metric].documentation == family.documentation, metric


async def test_a_request_id_becomes_the_id_of_the_answer() -> None:
    await contract.test_a_request_id_becomes_the_id_of_the_answer()


async def test_constrained_answers_keep_to_their_constraint() -> None:
    await contract.test_constrained_answers_keep_to_their_constraint()


async def test_callers_that_go_away_free_their_slots_and_their_places_in_the_queue(
    server: VllmServer,
) -> None:
    async with busy(server.url) as client, client.get(f"{server.url}/load") as answer:
        assert await answer.json() == {"server_load": MAX_NUM_QUEUED_REQS}
    await until_load(server.url, ServerLoad(0, 0))
