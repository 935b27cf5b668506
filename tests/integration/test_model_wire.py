"""What goes over the wire to a model server and comes back, by recordings of a real vLLM."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from services.runtime.endpoints import Endpoint, served_models
from services.runtime.errors import Rejected, Retryable
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatAnswer, ChatRequest, Message, Role
from tests.integration.scripted import HANG, Scripted, http, recorded, recording

COLOURS = (Message("user", "Name three colours."),)
SECRET = "sk-3f9a"
ROLES: tuple[Role, ...] = ("simulator", "teacher", "student", "reward", "embedding")


async def models_at(
    server: Scripted, stack: AsyncExitStack, api_key: str = "", metrics: ModelMetrics | None = None
) -> HttpModels:
    endpoint = Endpoint(server.url, "generator", api_key)
    settings = CallSettings(patience_seconds=0.0)
    models = HttpModels(dict.fromkeys(ROLES, endpoint), metrics or ModelMetrics(), 8, settings)
    return await stack.enter_async_context(models)


async def asked(request: ChatRequest, answer: str) -> tuple[Mapping[str, Any], ChatAnswer]:
    """Return the body that was sent, and the answer as understood."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Scripted(recorded(answer)))
        models = await models_at(server, stack)
        got = await models.chat("teacher", "response", request)
    assert server.requests[0].head.startswith("POST /v1/chat/completions HTTP/1.1")
    body: dict[str, Any] = server.requests[0].body
    return body, got


async def test_several_choices_with_logprobs_and_a_seed_as_vllm_takes_and_gives_them() -> None:
    request = ChatRequest(COLOURS, 3, temperature=1.0, n=3, top_logprobs=2, seed=7)
    body, answer = await asked(request, "chat_n3_logprobs")
    exchange = recording("chat_n3_logprobs")
    assert body == exchange["request"]["body"]
    choices = exchange["json"]["choices"]
    assert [c.text for c in answer.completions] == [c["message"]["content"] for c in choices]
    assert [c.finish_reason for c in answer.completions] == ["length"] * 3
    assert answer.completions[0].first_token_logprobs == pytest.approx(
        {"there": -7.3364, "1": -1.8364}, abs=1e-4
    )
    assert [len(c.first_token_logprobs) for c in answer.completions] == [
        len(c["logprobs"]["content"][0]["top_logprobs"]) for c in choices
    ]
    usage = exchange["json"]["usage"]
    assert (answer.prompt_tokens, answer.completion_tokens) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert answer.model == "smollm2"


async def test_a_json_schema_as_vllm_takes_it() -> None:
    sent = recording("chat_json_schema")["request"]["body"]
    schema = sent["response_format"]["json_schema"]["schema"]
    request = ChatRequest(COLOURS, 60, temperature=0.0, json_schema=schema)
    body, answer = await asked(request, "chat_json_schema")
    sent["response_format"]["json_schema"]["name"] = body["response_format"]["json_schema"]["name"]
    assert body == sent
    assert orjson.loads(answer.completions[0].text) == {"a": "blue", "n": 2}
    assert answer.completions[0].first_token_logprobs == {}


@pytest.mark.parametrize("bad", ["NaN", "-Infinity", "null"])
async def test_a_probability_that_is_no_number_is_left_out_and_the_others_count(bad: str) -> None:
    exchange = recording("chat_n3_logprobs")["json"]
    answer = orjson.dumps(exchange).decode()
    first = exchange["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]
    number = orjson.dumps(first["logprob"]).decode()
    answer = answer.replace(f'"logprob":{number}', f'"logprob":{bad}')
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Scripted(http(200, answer.encode())))
        models = await models_at(server, stack)
        got = await models.chat("reward", "judge", ChatRequest(COLOURS, 3, n=3, top_logprobs=2))
    assert bad in answer
    assert set(got.completions[0].first_token_logprobs) == {"there", "1"} - {first["token"]}


async def test_a_vector_that_is_no_number_is_no_vector() -> None:
    answer = http(200, b'{"data": [{"index": 0, "embedding": [NaN, 0.5]}]}')
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Scripted(answer))
        models = await models_at(server, stack)
        with pytest.raises(Retryable, match="no such answer as asked for"):
            await models.embed(["a"])


async def test_what_is_not_asked_for_is_not_sent() -> None:
    body, _ = await asked(ChatRequest(COLOURS, 60), "chat")
    assert body.keys() == {"model", "messages", "max_tokens", "temperature"}
    body, _ = await asked(ChatRequest(COLOURS, 60, stop=("\n\n",), seed=0), "chat")
    assert body.keys() == {"model", "messages", "max_tokens", "temperature", "stop", "seed"}
    assert (body["stop"], body["seed"]) == (["\n\n"], 0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0, 0.0], [0, 1]),
        ("AACAPwAAAAA=", "AAAAAAAAgD8="),
    ],
    ids=["as numbers, from a server without base64", "as base64"],
)
async def test_vectors_come_back_in_the_order_of_their_texts(first: Any, second: Any) -> None:
    data = [{"index": 1, "embedding": second}, {"index": 0, "embedding": first}]
    async with AsyncExitStack() as stack:
        answer = http(200, orjson.dumps({"data": data}))
        server = await stack.enter_async_context(Scripted(answer))
        models = await models_at(server, stack)
        assert await models.embed([]) == []
        vectors = await models.embed(["a", "b"])
        assert [list(vector) for vector in vectors] == [[1.0, 0.0], [0.0, 1.0]]
    [request] = server.requests
    assert request.head.startswith("POST /v1/embeddings ")
    assert request.body == {
        "model": "generator",
        "input": ["a", "b"],
        "encoding_format": "base64",
    }


@pytest.mark.parametrize(
    "name", ["err_model", "err_too_long", "err_temperature", "err_bad_schema", "err_logprobs_21"]
)
async def test_a_refusal_is_final_and_says_by_whom_and_why(name: str) -> None:
    metrics = ModelMetrics()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Scripted(recorded(name)))
        models = await models_at(server, stack, metrics=metrics)
        with pytest.raises(Rejected) as refused:
            await models.chat("teacher", "judge", ChatRequest(COLOURS, 60))
    message = str(refused.value)
    exchange = recording(name)
    assert f"HTTP {exchange['status']}" in message
    assert exchange["json"]["error"]["type"] in message
    for word in ("'generator'", server.url, "judge"):
        assert word in message
    assert len(server.requests) == 1
    assert (metrics.refused, metrics.retries, metrics.calls) == ({"judge": 1}, {}, {})


FAILURES = {
    "refused": recorded("err_model"),
    "busy": recorded("err_overload"),
    "garbage": http(200, b"<html>upstream error</html>"),
    "cut off": http(200, b'{"choices": [', missing=100),
    "closed": b"\r\n",
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES.keys())
async def test_the_api_key_is_in_one_header_and_in_no_error(answer: bytes) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Scripted(answer))
        models = await models_at(server, stack, SECRET)
        with pytest.raises((Rejected, Retryable)) as failed:
            await models.chat("teacher", "judge", ChatRequest(COLOURS, 60))
    [request] = server.requests
    assert f"Authorization: Bearer {SECRET}\r\n" in request.head
    assert request.head.count(SECRET) == 1
    assert SECRET not in orjson.dumps(request.body).decode()
    assert SECRET not in repr(Endpoint(server.url, "generator", SECRET)) + repr(models)
    error: BaseException | None = failed.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


async def test_without_an_api_key_nothing_is_sent_for_one() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Scripted(recorded("chat")))
        models = await models_at(server, stack)
        await models.chat("teacher", "judge", ChatRequest(COLOURS, 60))
    assert "authorization" not in server.requests[0].head.lower()


async def test_the_models_of_a_server_are_listed_by_name() -> None:
    async with Scripted(recorded("models")) as server:
        names = await served_models(server.url, SECRET)
    assert names == [model["id"] for model in recording("models")["json"]["data"]]
    [request] = server.requests
    assert request.head.startswith("GET /v1/models HTTP/1.1")
    assert f"Authorization: Bearer {SECRET}\r\n" in request.head


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (http(404, b"nothing here"), "/v1/models answered HTTP 404"),
        (http(200, b"<html>It works!</html>"), "JSONDecodeError"),
        (http(200, b'{"models": []}'), "/v1/models gave no list of models"),
        (http(200, b'{"data": null}'), "/v1/models gave no list of models"),
        (http(200, b"[1]"), "/v1/models gave no list of models"),
        (http(200, b"{}", missing=9), "ended in the middle of the response"),
        (HANG, "no answer within 0.2 s"),
    ],
)
async def test_what_is_no_model_server_is_named_with_what_to_look_at(
    answer: bytes, message: str
) -> None:
    async with Scripted(answer) as server:
        with pytest.raises(Rejected) as refused:
            await served_models(server.url, SECRET, timeout_seconds=0.2)
    text = str(refused.value)
    assert message in text
    assert server.url in text
    assert "is a vLLM or other OpenAI-compatible server running there?" in text
    assert SECRET not in text


async def test_a_server_that_wants_another_key_is_not_taken_for_another_server() -> None:
    async with Scripted(http(401, b'{"error": "Unauthorized"}')) as server:
        with pytest.raises(Rejected, match=r"HTTP 401; is the API key missing"):
            await served_models(server.url, SECRET)


async def test_an_address_where_nothing_listens_is_named() -> None:
    async with Scripted() as server:
        pass
    with pytest.raises(Rejected, match=server.url) as refused:
        await served_models(server.url)
    assert "running there?" in str(refused.value)


@pytest.mark.parametrize(
    "vector", ["AACAPw", "AADAfw==", "*", ["1.0"], [None], [True], [[1.0]], {"0": 1.0}, 1.0, None]
)
async def test_what_is_no_vector_is_no_answer(vector: Any) -> None:
    async with AsyncExitStack() as stack:
        answer = http(200, orjson.dumps({"data": [{"index": 0, "embedding": vector}]}))
        models = await models_at(await stack.enter_async_context(Scripted(answer)), stack)
        with pytest.raises(Retryable, match="no such answer as asked for"):
            await models.embed(["a"])
