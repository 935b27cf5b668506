"""What a proxy records of calls, and the client that asks the same again."""

import asyncio
import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator import Simulator, SimulatorSettings
from tests.bench.replaying import Call, recording, replay, throughput

CALLS = 12
IN_FLIGHT = 4


async def ask(url: str, prompt: str) -> int:
    body = {"model": "simulated", "prompt": prompt, "max_tokens": 5, "ignore_eos": True}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{url}/v1/completions", json=body) as answer,
    ):
        await answer.read()
        return answer.status


async def test_a_bare_client_asks_what_was_recorded_in_order_and_no_more_at_once() -> None:
    simulator = Simulator(SimulatorSettings())
    try:
        async with recording(await simulator.start()) as proxy:
            prompts = [f"Story {number}: once" for number in range(CALLS)]
            for prompt in prompts:
                assert await ask(proxy.url, prompt) == 200
            asked = proxy.take()
            assert [json.loads(call.body)["prompt"] for call in asked] == prompts
            assert all(call.completion_tokens == 5 for call in asked)
            assert throughput(asked).in_flight <= 1
            assert not proxy.calls

            await replay(proxy.url, asked, IN_FLIGHT)
            again = proxy.take()
            assert sorted(call.body for call in again) == sorted(call.body for call in asked)
            assert {call.status for call in again} == {200}
            moments = [(c.began, 1) for c in again] + [(c.ended or 0.0, -1) for c in again]
            under_way = most = 0
            for _, change in sorted(moments):
                under_way += change
                most = max(most, under_way)
            assert most == IN_FLIGHT
    finally:
        await simulator.stop()


async def test_calls_that_do_not_generate_are_handed_on_and_not_recorded() -> None:
    simulator = Simulator(SimulatorSettings())
    try:
        url = await simulator.start()
        async with recording(url) as proxy, aiohttp.ClientSession() as client:
            answers = [
                await (await client.get(f"{base}/v1/models")).json() for base in (url, proxy.url)
            ]
            assert answers[0]["data"][0]["id"] == answers[1]["data"][0]["id"]
            assert not proxy.calls
            refused = await client.post(f"{proxy.url}/v1/completions", json={"model": "none"})
            assert refused.status == proxy.calls[0].status != 200
            with pytest.raises(ExceptionGroup, match="unhandled errors"):
                await replay(proxy.url, proxy.take(), 1)
    finally:
        await simulator.stop()


async def test_a_caller_that_goes_away_ends_its_call_at_the_server() -> None:
    simulator = Simulator(SimulatorSettings(hang=1.0))
    try:
        async with recording(await simulator.start()) as proxy:
            asking = asyncio.create_task(ask(proxy.url, "Once"))
            async with asyncio.timeout(10):
                while not simulator.in_flight:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.001)
                asking.cancel()
                while simulator.in_flight or not proxy.calls[0].ended:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            [call] = proxy.calls
            assert call.status == 0
            assert call.ended is not None
    finally:
        await simulator.stop()


times = st.integers(0, 1000).map(float)


@given(
    st.lists(st.tuples(times, st.integers(1, 500), st.integers(0, 100)), min_size=3, max_size=20)
)
def test_what_is_done_in_parts_of_a_time_is_what_is_done_in_all_of_it(
    drawn: list[tuple[float, int, int]],
) -> None:
    drawn.sort()
    calls = [Call("", "", began, began + took, tokens, tokens) for began, took, tokens in drawn]
    middle = len(calls) // 2
    if not calls[0].began < calls[middle].began < calls[-1].began:
        return
    whole = throughput(calls)
    parts = [throughput(calls, 0, middle), throughput(calls, middle, -1)]
    for name in ("seconds", "calls", "prompt_tokens", "completion_tokens"):
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(whole, name))
    within = sum(part.in_flight * part.seconds for part in parts)
    assert within == pytest.approx(whole.in_flight * whole.seconds)


def test_there_is_no_throughput_without_two_calls() -> None:
    with pytest.raises(ValueError, match="no time between"):
        throughput([Call("", "", 1.0, 2.0)])
    with pytest.raises(ValueError, match="no time between"):
        throughput([])
