"""Calls to a model server that fails: what is retried, what is not, and what is said in the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.endpoints import Endpoint
from services.runtime.errors import Rejected, Retryable
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatRequest, Message, Role
from tests.integration.scripted import HANG, Scripted, http, recorded, recording

ROLES: tuple[Role, ...] = ("simulator", "teacher", "student", "reward", "embedding")
PATIENT = CallSettings(30.0, 30.0, first_backoff_seconds=0.001, max_backoff_seconds=0.002)
IMPATIENT = CallSettings(30.0, 0.0)


def ask(text: str, **fields: Any) -> ChatRequest:
    return ChatRequest((Message("user", text),), 20, **fields)


def calls_for(fault: str, calls: CallSettings) -> CallSettings:
    return replace(calls, timeout_seconds=0.1) if fault == "hang" else calls


@asynccontextmanager
async def served(
    settings: SimulatorSettings, calls: CallSettings = PATIENT, slots: int = 8
) -> AsyncIterator[tuple[HttpModels, Simulator, ModelMetrics]]:
    simulator, metrics = Simulator(settings, record=True), ModelMetrics()
    endpoints = dict.fromkeys(ROLES, Endpoint(await simulator.start(), "simulated"))
    try:
        async with HttpModels(endpoints, metrics, slots, calls) as models:
            yield models, simulator, metrics
    finally:
        await simulator.stop()


@asynccontextmanager
async def scripted(
    *answers: bytes, calls: CallSettings = PATIENT
) -> AsyncIterator[tuple[HttpModels, Scripted]]:
    async with Scripted(*answers) as server:
        endpoints = dict.fromkeys(ROLES, Endpoint(server.url, "generator"))
        async with HttpModels(endpoints, ModelMetrics(), 1, calls) as models:
            yield models, server


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in this loop
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("error_500", "HTTP 500"),
        ("error_503", "HTTP 503"),
        ("garbage", "unreadable answer"),
        ("hang", "time-out"),
    ],
)
async def test_a_failing_server_is_asked_again_until_it_answers(fault: str, cause: str) -> None:
    settings = SimulatorSettings(**{fault: 0.4})  # type: ignore[arg-type]
    async with served(settings, calls_for(fault, PATIENT)) as (models, simulator, metrics):
        requests = [ask(f"Name {number} colours.") for number in range(12)]
        answers = await asyncio.gather(*(models.chat("teacher", "act", r) for r in requests))
    assert all(answer.completions[0].text for answer in answers)
    assert metrics.calls == {("teacher", "act"): 12}
    assert metrics.prompt_tokens["teacher", "act"] == sum(
        answer.prompt_tokens for answer in answers
    )
    assert metrics.completion_tokens["teacher", "act"] == sum(a.completion_tokens for a in answers)
    assert metrics.retries.keys() == {cause}
    assert {call.prompts[0] for call in simulator.log} == {r.messages[0].content for r in requests}


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("error_500", "HTTP 500: .*EngineCore"),
        ("error_503", "HTTP 503: .*busy"),
        ("garbage", "no such answer as asked for: .*upstream connect error"),
        ("hang", r"no answer within 0\.1 s"),
    ],
)
async def test_after_the_patience_the_error_names_model_address_stage_and_last_failure(
    fault: str, last: str
) -> None:
    settings = SimulatorSettings(**{fault: 1.0})  # type: ignore[arg-type]
    async with served(settings, calls_for(fault, IMPATIENT)) as (models, _, metrics):
        with pytest.raises(Retryable, match=last) as failed:
            await models.chat("teacher", "judge", ask("Name a colour."))
        with pytest.raises(Retryable, match=last):
            await models.embed(["a colour"])
    message = str(failed.value)
    assert "model 'simulated' at http://127.0.0.1:" in message
    assert "stage judge" in message
    assert not metrics.calls


async def test_a_server_that_is_not_there_is_named() -> None:
    async with served(SimulatorSettings(), IMPATIENT) as (models, simulator, _):
        await simulator.stop()
        with pytest.raises(Retryable, match=r"stage act.*ConnectionRefusedError"):
            await models.chat("teacher", "act", ask("Name a colour."))


def chat_with(**changes: Any) -> bytes:
    return http(200, json.dumps(recording("chat")["json"] | changes).encode())


BROKEN = {
    "closed without a word": b"\r\n",
    "cut off in the body": http(200, b'{"choices": [', missing=100),
    "no choices": chat_with(choices=[]),
    "no message": chat_with(choices=[{"index": 0}]),
    "no usage": chat_with(usage=None),
    "a list": http(200, b"[]"),
    "too many requests": http(429, b"later"),
    "request time-out": http(408, b"later"),
    "bad gateway": http(502, b"<html>"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_is_none_is_asked_for_again(broken: bytes) -> None:
    async with scripted(broken, recorded("chat")) as (models, server):
        answer = await models.chat("teacher", "act", ask("Name three colours."))
    assert answer.model == "smollm2"
    assert [request.body for request in server.requests] == [server.requests[0].body] * 2


async def test_a_server_that_is_started_again_in_the_middle_answers_all() -> None:
    first, metrics = Simulator(SimulatorSettings(hang=1.0)), ModelMetrics()
    url = await first.start()
    endpoints = dict.fromkeys(ROLES, Endpoint(url, "simulated"))
    async with HttpModels(endpoints, metrics, 8, PATIENT) as models:
        calls = [
            asyncio.create_task(models.chat("teacher", "act", ask(f"Name {number} colours.")))
            for number in range(5)
        ]
        await until(lambda: first.in_flight == 5)
        await first.stop()
        await until(lambda: metrics.retries["broken connection"] >= 5)
        second = Simulator(SimulatorSettings(port=int(url.rsplit(":", 1)[1])))
        await second.start()
        try:
            answers = await asyncio.gather(*calls)
        finally:
            await second.stop()
    assert all(answer.completions[0].text for answer in answers)
    assert metrics.calls == {("teacher", "act"): 5}


async def test_waiting_for_a_slot_or_for_one_answer_does_not_use_up_the_patience() -> None:
    # One slot, and a time-out as long as the patience: the second call waits all of it.
    calls = replace(PATIENT, timeout_seconds=0.4, patience_seconds=0.4)
    answers = (HANG, recorded("err_overload"), recorded("chat"), recorded("chat"))
    async with scripted(*answers, calls=calls) as (models, server):
        request = ask("Name three colours.")
        both = [models.chat("teacher", "act", request) for _ in range(2)]
        assert [a.model for a in await asyncio.gather(*both)] == ["smollm2"] * 2
    assert len(server.requests) == 4


async def test_a_request_that_can_never_be_answered_is_rejected_at_once() -> None:
    async with served(SimulatorSettings(max_model_len=64)) as (models, simulator, metrics):
        with pytest.raises(Rejected, match=r"'simulated' .*stage act.*HTTP 400: .*context length"):
            await models.chat("teacher", "act", ask("colour " * 100))
        with pytest.raises(Rejected, match=r"HTTP 400: .*n must be 1"):
            await models.chat("teacher", "act", ask("Name a colour.", n=2, temperature=0.0))
    assert (simulator.calls, metrics.refused, metrics.retries) == (0, {"act": 2}, {})


async def test_a_truncated_answer_is_an_answer_and_says_so() -> None:
    async with served(SimulatorSettings(truncated=1.0)) as (models, simulator, metrics):
        answer = await models.chat("teacher", "act", ask("Name a colour."))
    assert answer.completions[0].finish_reason == "length"
    assert (simulator.calls, metrics.retries) == (1, {})


async def test_sampling_is_what_was_asked_for() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with served(SimulatorSettings()) as (models, _, _):

        async def texts(**fields: Any) -> list[str]:
            answer = await models.chat("teacher", "act", ask("Name three colours.", **fields))
            return [completion.text for completion in answer.completions]

        assert len(set(await texts(n=4, temperature=1.0))) == 4
        assert await texts(seed=1, temperature=1.0) == await texts(seed=1, temperature=1.0)
        assert await texts(seed=1, temperature=1.0) != await texts(seed=2, temperature=1.0)
        assert isinstance(json.loads((await texts(json_schema=schema))[0])["n"], int)
        judged = await models.chat("reward", "judge", ask("Is 2 even? Yes or No.", top_logprobs=5))
    assert len(judged.completions[0].first_token_logprobs) == 5


async def test_a_server_works_on_its_slots_and_takes_later_stages_first() -> None:
    settings = SimulatorSettings(seconds_per_call=0.01)
    async with served(settings, slots=1) as (models, simulator, _):
        # A server is one, whichever role its calls are for.
        roles: list[Role] = ["simulator", "simulator", "teacher", "reward", "student"]
        stages = ["act", "birth", "instruction", "judge", "response"]
        calls = [
            asyncio.create_task(models.chat(role, stage, ask(f"Stage {stage}.")))
            for role, stage in zip(roles, stages, strict=True)
        ]
        await until(lambda: simulator.in_flight == 1)
        assert models.in_flight == 1
        await asyncio.gather(*calls)
        assert models.in_flight == 0
    order = [call.prompts[0].split()[1].strip(".") for call in simulator.log]
    assert order == ["act", "judge", "response", "instruction", "birth"]


async def test_a_cancelled_call_frees_its_slot() -> None:
    async with served(SimulatorSettings(hang=1.0), CallSettings(30.0, 30.0), slots=1) as (
        models,
        simulator,
        _,
    ):
        call = asyncio.create_task(models.chat("teacher", "act", ask("Name a colour.")))
        await until(lambda: simulator.in_flight == 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert models.in_flight == 0
        await until(lambda: simulator.in_flight == 0)
