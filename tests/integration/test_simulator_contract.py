"""The simulated model answers as the recorded vLLM 0.32 did: status, shape, types, error codes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.local.simulator import Simulator, SimulatorSettings

RECORDINGS = Path(__file__).parents[1] / "recordings"

_GENERATE = """
chat chat_guided_json_legacy chat_json_schema chat_n3_logprobs chat_priority chat_reqid
chat_stream chat_structured_choice chat_structured_regex chat_structured_truncated
chat_unknown_field completion_list completion_logprobs_echo completion_prompt_logprobs
completion_stream err_bad_json err_bad_regex err_bad_schema err_classify_on_generate
err_content_type err_logprobs_21 err_max_tokens err_method err_missing_messages err_model
err_overload err_pooling_on_generate err_temperature err_too_long err_two_constraints health
load_busy load_idle models ov0 ov15 ping tokenize tokenize_chat version
"""
_REWARD = """
classify classify_logit classify_messages classify_messages_nogen err_chat
err_classify_activation_old err_embeddings models tokenize
"""
COVERED = {
    "generate-0.32.0": set(_GENERATE.split()),
    "reward-0.32.0": set(_REWARD.split()),
}
NOT_COVERED = {
    "generate-0.32.0": {
        "detokenize": "ids are hashes of tokens and cannot be turned back",
    },
    "reward-0.32.0": {
        "pooling": "not asked by the platform",
        "pooling_classify": "not asked by the platform",
        "pooling_messages": "not asked by the platform",
        "rerank": "not asked by the platform",
        "score": "not asked by the platform",
        "score_text": "not asked by the platform",
    },
}
METRICS = {
    "generate-0.32.0": {"metrics", "metrics_loaded"},
    "reward-0.32.0": {"metrics"},
}
NOT_COUNTED = {
    "estimated_flops_per_gpu": "nothing is computed",
    "estimated_read_bytes_per_gpu": "nothing is computed",
    "estimated_write_bytes_per_gpu": "nothing is computed",
    "external_prefix_cache_queries": "no cache beyond its own",
    "external_prefix_cache_hits": "no cache beyond its own",
    "mm_cache_queries": "texts only",
    "mm_cache_hits": "texts only",
    "iteration_tokens_total": "there are no steps: time is continuous",
}
KEYED_BY_TOKEN = {"prompt_logprobs", "top_logprobs"}
"""Fields whose objects have tokens for keys."""
NEED_A_BUSY_SERVER = {"err_overload", "ov15", "load_busy"}
FREE_TO_END = {"chat"}
"""Free text with room for the shortest sentence: each model ends it where it likes."""
GENERATED = ("/v1/chat/completions", "/v1/completions")

CASES = [(folder, name) for folder, names in COVERED.items() for name in sorted(names)]


def recording(folder: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RECORDINGS / folder / f"{name}.json").read_text())
    return loaded


def shape(value: Any, field: str = "") -> Any:
    """The type of `value`; of objects the shape of each field, of lists the shapes that occur."""
    if isinstance(value, dict):
        if field in KEYED_BY_TOKEN and "token" not in value:
            return {"*": sorted({repr(shape(inner)) for inner in value.values()})}
        return {key: shape(inner, key) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return sorted({repr(shape(inner, field)) for inner in value})
    return type(value).__name__


def settings(folder: str) -> SimulatorSettings:
    names, limit = {
        "generate-0.32.0": (("smollm2", "generator"), 2048),
        "reward-0.32.0": (("generator",), 1024),
    }[folder]
    head = folder.startswith("reward")
    return SimulatorSettings(model=names, max_model_len=limit, score_head=head)


@asynccontextmanager
async def serving(wanted: SimulatorSettings) -> AsyncIterator[tuple[str, Simulator]]:
    simulator = Simulator(wanted)
    try:
        yield await simulator.start(), simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def busy(wanted: SimulatorSettings) -> AsyncIterator[str]:
    """A server with one slot, no queue, and a call in it that never ends."""
    full = SimulatorSettings(
        model=wanted.model, max_model_len=wanted.max_model_len, slots=1, waiting=0, hang=1.0
    )
    async with serving(full) as (url, simulator), aiohttp.ClientSession() as client:
        body = {"model": "generator", "prompt": "x", "max_tokens": 1}
        held = asyncio.ensure_future(client.post(f"{url}/v1/completions", json=body))
        async with asyncio.timeout(5):
            while not simulator.in_flight:  # noqa: ASYNC110 - the server is watched from outside
                await asyncio.sleep(0.001)
        yield url
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)


async def replayed(url: str, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    body = request["body"]
    raw = body if isinstance(body, str) or body is None else json.dumps(body)
    headers = {"Content-Type": "application/json"} | request["headers"]
    async with (
        aiohttp.ClientSession() as client,
        client.request(
            request["method"],
            url + request["path"],
            data=None if raw is None else raw.encode(),
            headers=headers,
        ) as response,
    ):
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return response.status, lowered, await response.read()


async def answered(folder: str, name: str) -> tuple[int, dict[str, str], bytes]:
    request = recording(folder, name)["request"]
    if name in NEED_A_BUSY_SERVER:
        async with busy(settings(folder)) as url:
            return await replayed(url, request)
    async with serving(settings(folder)) as (url, _):
        return await replayed(url, request)


def events(text: str) -> list[Any]:
    """The JSON of each server-sent event; the closing mark as text."""
    parts = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
    return [part if part == "[DONE]" else json.loads(part) for part in parts]


@pytest.mark.parametrize("folder", sorted(COVERED))
def test_every_recording_is_covered_or_excused(folder: str) -> None:
    recorded = {path.stem for path in (RECORDINGS / folder).iterdir()}
    assert COVERED[folder] | METRICS[folder] | NOT_COVERED[folder].keys() == recorded
    assert not COVERED[folder] & NOT_COVERED[folder].keys()


@pytest.mark.parametrize(("folder", "name"), CASES)
async def test_status_and_shape_are_as_recorded(folder: str, name: str) -> None:
    expected = recording(folder, name)
    status, headers, raw = await answered(folder, name)
    assert status == expected["status"]
    if "content-type" in expected["headers"]:
        kind = headers["content-type"].replace("; charset=utf-8", "")
        assert kind == expected["headers"]["content-type"].replace("; charset=utf-8", "")
    assert headers.get("allow") == expected["headers"].get("allow")
    if "json" in expected:
        assert shape(json.loads(raw)) == shape(expected["json"])
    elif "stream" in name:
        got, wanted = events(raw.decode()), events(expected["text"])
        assert [shape(chunk) for chunk in got] == [shape(chunk) for chunk in wanted]
    else:
        assert raw.decode() == expected["text"]


@pytest.mark.parametrize(
    ("folder", "name"), [case for case in CASES if recording(*case)["status"] >= 400]
)
async def test_errors_say_what_was_recorded(folder: str, name: str) -> None:
    expected = recording(folder, name)["json"]
    _, _, raw = await answered(folder, name)
    got = json.loads(raw)
    if "error" in expected and name == "err_bad_regex":
        # Two regex engines: they agree on what is wrong, not on how to put it.
        stem = 'Grammar error: at 1(8): invalid regex "([" (in regex): regex parse error:'
        assert got["error"].pop("message").startswith(stem)
        assert expected["error"].pop("message").startswith(stem)
    assert got == expected


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (folder, name)
        for folder, name in CASES
        if recording(folder, name)["request"]["path"] in GENERATED
        and recording(folder, name)["status"] == 200
        and "stream" not in name
    ],
)
async def test_choices_end_and_count_as_recorded(folder: str, name: str) -> None:
    recorded = recording(folder, name)
    body, expected = recorded["request"]["body"], recorded["json"]
    _, _, raw = await answered(folder, name)
    got = json.loads(raw)
    assert len(got["choices"]) == len(expected["choices"])
    for choice, other in zip(got["choices"], expected["choices"], strict=True):
        assert choice["index"] == other["index"]
        if name not in FREE_TO_END:
            assert choice["finish_reason"] == other["finish_reason"]
        assert choice["stop_reason"] == other["stop_reason"]
    assert got["model"] == expected["model"]
    usage = got["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    room = body["max_tokens"] * len(got["choices"])
    assert usage["completion_tokens"] <= room
    if all(choice["finish_reason"] == "length" for choice in got["choices"]):
        assert usage["completion_tokens"] == room


def families(page: str) -> dict[str, Metric]:
    """The vLLM metrics of a page, by name without `vllm:`."""
    found = {family.name: family for family in text_string_to_metric_families(page)}
    return {
        name.removeprefix("vllm:"): family
        for name, family in found.items()
        if name.startswith("vllm:") and not name.endswith("_created")
    }


def label_sets(family: Metric) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """What tells the samples of a family apart."""
    return {(sample.name, frozenset(sample.labels.items())) for sample in family.samples}


async def metrics_of(url: str) -> str:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        return await response.text()


@pytest.mark.parametrize(
    ("folder", "name"),
    [(folder, name) for folder, names in METRICS.items() for name in sorted(names)],
)
async def test_metrics_are_those_that_were_recorded(folder: str, name: str) -> None:
    recorded = families((RECORDINGS / folder / f"{name}.prom").read_text())
    async with serving(settings(folder)) as (url, _):
        served = families(await metrics_of(url))
    assert served.keys() == recorded.keys() - NOT_COUNTED.keys()
    assert recorded.keys() > NOT_COUNTED.keys()
    for metric, family in served.items():
        assert family.type == recorded[metric].type, metric
        assert family.documentation == recorded[metric].documentation, metric
        if metric == "cache_config_info":
            [sample] = family.samples
            assert sample.labels.keys() < recorded[metric].samples[0].labels.keys()
        else:
            assert label_sets(family) == label_sets(recorded[metric]), metric


def value(page: str, name: str, **labels: str) -> float:
    """The number of one sample."""
    [found] = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == f"vllm:{name}" and labels.items() <= sample.labels.items()
    ]
    return found


async def test_metrics_count_requests_as_vllm_does() -> None:
    async with serving(settings("generate-0.32.0")) as (url, _):
        for name in ("chat", "chat_n3_logprobs", "chat_stream", "err_max_tokens"):
            await replayed(url, recording("generate-0.32.0", name)["request"])
        page = await metrics_of(url)
    # Three choices count three times, but for what a request asks for.
    assert value(page, "request_params_n_count") == 3
    assert value(page, "request_params_n_sum") == 5
    assert value(page, "request_max_num_generation_tokens_count") == 3
    for name in ("e2e_request_latency_seconds", "request_generation_tokens"):
        assert value(page, f"{name}_count") == 5
    ended = [
        value(page, "request_success_total", finished_reason=reason)
        for reason in ("stop", "length")
    ]
    assert sum(ended) == 5
    assert value(page, "generation_tokens_total") == value(page, "request_generation_tokens_sum")
    assert value(page, "request_prompt_tokens_sum") == value(page, "prompt_tokens_total") > 0


async def test_metrics_of_a_busy_server_say_so() -> None:
    request = recording("generate-0.32.0", "err_overload")["request"]
    async with busy(settings("generate-0.32.0")) as url:
        await replayed(url, request)
        await replayed(url, request)
        page = await metrics_of(url)
    assert value(page, "num_requests_running") == 1
    assert value(page, "num_requests_waiting") == 0
    assert value(page, "admission_rejections_total", reason="max_num_queued_reqs") == 2


async def test_the_prefix_cache_is_seen_in_usage_and_metrics() -> None:
    wanted = SimulatorSettings(model="generator", kv_blocks=600)
    system = {"role": "system", "content": "Speak of the harbour and of nothing else. " * 8}
    cached = []
    async with serving(wanted) as (url, _):
        for said in ("Who?", "Where?", "When?"):
            body = {"messages": [system, {"role": "user", "content": said}], "max_tokens": 4}
            request = {"method": "POST", "path": GENERATED[0], "headers": {}, "body": body}
            _, _, raw = await replayed(url, request)
            cached.append(json.loads(raw)["usage"]["prompt_tokens_details"]["cached_tokens"])
        page = await metrics_of(url)
    assert cached[0] == 0
    assert cached[1] == cached[2] > 48
    assert cached[1] % 16 == 0
    assert value(page, "prefix_cache_hits_total") == 2 * cached[1]
    assert value(page, "prompt_tokens_by_source_total", source="local_cache_hit") == 2 * cached[1]
    assert value(page, "prefix_cache_queries_total") == value(page, "prompt_tokens_total")
    assert value(page, "kv_cache_usage_perc") == 0


async def test_a_request_id_becomes_the_id_of_the_answer() -> None:
    _, _, raw = await answered("generate-0.32.0", "chat_reqid")
    assert json.loads(raw)["id"] == recording("generate-0.32.0", "chat_reqid")["json"]["id"]


async def test_constrained_answers_keep_to_their_constraint() -> None:
    async def said(name: str) -> str:
        _, _, raw = await answered("generate-0.32.0", name)
        return str(json.loads(raw)["choices"][0]["message"]["content"])

    value = json.loads(await said("chat_json_schema"))
    assert value.keys() == {"a", "n"}
    assert len(value["a"]) <= 12
    assert type(value["n"]) is int
    assert await said("chat_structured_choice") in {"red", "blue"}
    number = await said("chat_structured_regex")
    assert number.isdigit()
    assert len(number) == 3
    with pytest.raises(json.JSONDecodeError):
        json.loads(await said("chat_structured_truncated"))


async def test_a_stream_says_what_the_plain_answer_says() -> None:
    request = recording("generate-0.32.0", "chat_stream")["request"]
    request["body"] |= {"max_tokens": 60}
    plain = {key: request["body"][key] for key in ("model", "messages", "max_tokens")}
    async with serving(settings("generate-0.32.0")) as (url, simulator):
        _, _, streamed = await replayed(url, request)
        plain |= {"temperature": request["body"]["temperature"]}
        _, _, raw = await replayed(url, request | {"body": plain})
        assert simulator.calls == 2
    chunks = [chunk for chunk in events(streamed.decode())[:-1] if chunk["choices"]]
    answer = json.loads(raw)["choices"][0]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == answer["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == answer["finish_reason"] == "stop"
