"""Reward models with a score head, the judge in their place, and a second reward without a say."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

import services.reward_filtering
from services.events import (
    DatasetDeclared,
    FilterSpec,
    Grant,
    InstructionGenerated,
    Provenance,
    Requirement,
    SampleJudged,
)
from services.kinds import load_kinds
from services.local.composition import prompts_of
from services.local.simulator import Simulator, SimulatorSettings
from services.reward_filtering.application import Filtering
from services.runtime.dry_runs import unrecorded
from services.runtime.endpoints import Endpoint, has_score_head
from services.runtime.errors import Rejected, Retryable
from services.runtime.metrics import ModelMetrics
from services.runtime.model_servers import check_held_out, open_models
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatRequest, Message, Role
from services.runtime.settings import ModelSettings, ModelsSettings
from tests.integration.scripted import Scripted, http

ASKED = Requirement("q", "advice", 1, "question")
QUESTION = "How do I mend the bread oven in the harbour when it smokes?"
CONVERSATION = (Message("user", "Which oil for oak?"), Message("assistant", "Linseed oil."))


def classified(*probs: list[Any]) -> bytes:
    data = [{"index": i, "label": "LABEL_0", "probs": p} for i, p in enumerate(probs)]
    usage = {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0}
    # The standard library writes NaN, as vLLM's server does.
    return http(200, json.dumps({"model": "rm", "data": data, "usage": usage}).encode())


@asynccontextmanager
async def served(**simulators: SimulatorSettings) -> AsyncIterator[dict[str, Simulator | str]]:
    """Start a simulator for each name; gives its address, and itself under `NAME_`."""
    async with AsyncExitStack() as stack:
        found: dict[str, Simulator | str] = {}
        for name, wanted in simulators.items():
            simulator = Simulator(wanted, record=True)
            found[name] = await simulator.start()
            found[name + "_"] = simulator
            stack.push_async_callback(simulator.stop)
        yield found


async def verdict(
    endpoints: dict[Role, Endpoint], kind: str = "sft", held_out: bool = False
) -> tuple[SampleJudged, ModelMetrics]:
    """Return the verdict on a first candidate, given by models at these addresses."""
    metrics, kinds = ModelMetrics(), load_kinds()
    calls = CallSettings(patience_seconds=0.0, held_out_patience_seconds=0.0)
    prompts = prompts_of(services.reward_filtering)
    async with HttpModels(endpoints, metrics, 8, calls) as models:
        filtering = Filtering(
            unrecorded(models), models, prompts, kinds, lambda: 0.0, held_out=held_out
        )
        spec = replace(kinds[kind].filter, stages=("static", "response"))
        order = DatasetDeclared("d", kind, 5, "", (ASKED,), spec, (Grant("r00", 5),))
        filtering.set_dataset(order)
        candidate = InstructionGenerated(
            "c", "d", "r00", kind, ASKED, QUESTION, Provenance("s", "g", "a", persona="Ada, a cook")
        )
        sample, _ = await filtering.judge(candidate)
        return sample, metrics


def all_at(url: str) -> dict[Role, Endpoint]:
    return {
        role: Endpoint(url, "simulated")
        for role in ("simulator", "teacher", "student", "reward", "embedding")
    }


async def test_a_reward_model_gives_raw_logits_for_whole_conversations() -> None:
    head = SimulatorSettings(model="rm", score_head=True)
    async with served(chat=SimulatorSettings(), rm=head) as at:
        endpoints = all_at(str(at["chat"]))
        endpoints["reward"] = Endpoint(str(at["rm"]), "rm", scores=True)
        sample, metrics = await verdict(endpoints)
        asked = at["rm_"].log  # type: ignore[union-attr]
    assert sample.accepted
    assert sample.provenance.reward_model == "rm"
    assert len(sample.rewards) == FilterSpec().responses == metrics.calls["reward", "judge"]
    assert any(abs(reward) > 1 for reward in sample.rewards), "squashed rewards are below 1"
    assert sample.rewards[sample.chosen] == max(sample.rewards)
    # No words of a judge's prompt: the question, and a response to it.
    assert {call.prompts[0].partition("\n")[0] for call in asked} == {QUESTION}
    assert sample.messages[-1].content in {call.prompts[0].partition("\n")[2] for call in asked}


async def test_every_turn_of_a_conversation_is_rewarded_in_its_context() -> None:
    requests: list[tuple[str, ...]] = []
    async with served(chat=SimulatorSettings()) as at:
        metrics, kinds = ModelMetrics(), load_kinds()
        async with HttpModels(all_at(str(at["chat"])), metrics, 8) as models:

            class Overheard:
                async def chat(self, role: Role, stage: str, request: ChatRequest) -> Any:
                    if stage == "judge":
                        requests.append(tuple(turn.content for turn in request.scored))
                    return await models.chat(role, stage, request)

            filtering = Filtering(
                unrecorded(Overheard()),
                models,
                prompts_of(services.reward_filtering),
                kinds,
                lambda: 0.0,
            )
            spec = kinds["multi_turn"].filter
            grants = (Grant("r00", 5),)
            filtering.set_dataset(DatasetDeclared("d", "multi_turn", 5, "", (ASKED,), spec, grants))
            sample, _ = await filtering.judge(
                InstructionGenerated(
                    "c", "d", "r00", "multi_turn", ASKED, QUESTION, Provenance("s", "g", "a")
                )
            )
    turns = tuple(message.content for message in sample.messages)
    assert len(turns) >= 4
    for end in range(2, len(turns) + 1, 2):
        assert turns[:end] in requests


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), None], ids=["NaN", "infinite", "null"]
)
async def test_a_reward_that_is_no_number_is_no_reward_and_not_asked_again(number: object) -> None:
    async with (
        served(chat=SimulatorSettings()) as at,
        Scripted(
            classified([number]), classified([1.5]), classified([number]), classified([0.5])
        ) as rm,
    ):
        endpoints = all_at(str(at["chat"])) | {"reward": Endpoint(rm.url, "rm", scores=True)}
        sample, metrics = await verdict(endpoints)
    assert sample.accepted
    assert sorted(sample.rewards) == [-100.0, -100.0, 0.5, 1.5]
    assert sample.rewards[sample.chosen] == 1.5
    assert not metrics.retries
    assert len(rm.requests) == 4


async def test_without_any_reward_a_candidate_is_rejected_for_that() -> None:
    nothing = [classified([float("nan")])] * 4
    async with served(chat=SimulatorSettings()) as at, Scripted(*nothing) as rm:
        endpoints = all_at(str(at["chat"])) | {"reward": Endpoint(rm.url, "rm", scores=True)}
        sample, _ = await verdict(endpoints)
    assert (sample.accepted, sample.stage, sample.reason) == (False, "response", "no_reward")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (classified([1.0], [2.0]), "2 rewards for one conversation"),
        (classified(), "0 rewards for one conversation"),
        (classified([0.1, 0.9]), "2 classes: a reward model has one"),
        (classified([]), "0 classes: a reward model has one"),
        (classified(["high"]), "str instead of int"),
        (http(200, b'{"data": 5}'), "object of type 'int' has no len()"),
    ],
)
async def test_an_answer_of_the_wrong_count_or_shape_decides_nothing(
    answer: bytes, told: str
) -> None:
    async with Scripted(answer) as rm:
        endpoint = Endpoint(rm.url, "rm", scores=True)
        calls = CallSettings(patience_seconds=0.0)
        async with HttpModels({"reward": endpoint}, ModelMetrics(), 8, calls) as models:
            with pytest.raises(Retryable, match="no such answer as asked for") as caught:
                await models.chat("reward", "judge", ChatRequest(CONVERSATION, 1))
    assert told in str(caught.value)


async def test_whether_a_server_has_a_score_head_is_found_by_asking_it() -> None:
    head = SimulatorSettings(model="rm", score_head=True)
    async with served(chat=SimulatorSettings(), rm=head) as at:
        assert await has_score_head(Endpoint(str(at["rm"]), "rm"))
        assert not await has_score_head(Endpoint(str(at["chat"]), "simulated"))
    async with Scripted(classified([0.2, 0.8])) as classifier:
        with pytest.raises(Rejected, match=r"'rm' .* is no reward model: .*2 classes"):
            await has_score_head(Endpoint(classifier.url, "rm"))
    with pytest.raises(Retryable, match="ConnectionRefusedError"):
        await has_score_head(Endpoint(classifier.url, "rm"))
    async with Scripted(http(503, b"loading")) as busy:
        with pytest.raises(Retryable, match="HTTP 503"):
            await has_score_head(Endpoint(busy.url, "rm"))


async def test_a_held_out_reward_is_reported_and_decides_nothing() -> None:
    head = SimulatorSettings(model="rm", score_head=True)
    other = SimulatorSettings(model="other", score_head=True, seed=5)
    async with served(chat=SimulatorSettings(), rm=head, other=other) as at:
        endpoints = all_at(str(at["chat"]))
        endpoints["reward"] = Endpoint(str(at["rm"]), "rm", scores=True)
        without, _ = await verdict(endpoints, "dpo")
        endpoints["held_out"] = Endpoint(str(at["other"]), "other", scores=True)
        sample, metrics = await verdict(endpoints, "dpo", held_out=True)
    assert metrics.calls["held_out", "held_out"] == 2
    reported = {name: value for name, value in sample.scores.items() if name.startswith("held")}
    assert reported.keys() == {"held_out_reward", "held_out_rejected_reward"}
    assert sample.provenance.held_out_model == "other"
    assert without.provenance.held_out_model == ""
    same = replace(
        sample,
        scores={name: value for name, value in sample.scores.items() if name not in reported},
        provenance=without.provenance,
        usage=without.usage,
    )
    assert same == without


async def test_a_held_out_model_that_is_away_holds_nothing_up() -> None:
    async with served(chat=SimulatorSettings()) as at, Scripted() as gone:
        pass
    async with served(chat=SimulatorSettings()) as at:
        endpoints = all_at(str(at["chat"])) | {"held_out": Endpoint(gone.url, "other", scores=True)}
        sample, _ = await verdict(endpoints, held_out=True)
    assert sample.accepted
    assert "held_out_reward" not in sample.scores
    assert sample.provenance.held_out_model == ""


async def test_a_service_finds_out_what_gives_its_rewards() -> None:
    head = SimulatorSettings(model="rm", score_head=True)
    async with served(chat=SimulatorSettings(), rm=head) as at:
        chat, rm = (ModelSettings(url=str(at[name])) for name in ("chat", "rm"))
        for reward, held_out in ((rm, chat), (chat, rm), (ModelSettings(), rm)):
            settings = ModelsSettings(simulator=chat, reward=reward, held_out=held_out)
            async with await open_models(settings, ModelMetrics()) as models:
                request = ChatRequest(
                    (Message("user", "Is it good? Answer yes or no."),),
                    1,
                    0.0,
                    top_logprobs=5,
                    scored=CONVERSATION,
                )
                for role, server in (("reward", reward), ("held_out", held_out)):
                    said = (await models.chat(role, "judge", request)).completions[0]  # type: ignore[arg-type]
                    assert (said.reward is not None) is (server is rm)
                    assert bool(said.first_token_logprobs) is (server is not rm)


async def test_a_service_waits_for_a_reward_model_that_cannot_answer_yet() -> None:
    models = http(200, b'{"data": [{"id": "rm"}]}')
    async with (
        served(chat=SimulatorSettings()) as at,
        Scripted(models, http(503, b"loading"), classified([1.5]), classified([0.5])) as rm,
    ):
        settings = ModelsSettings(
            simulator=ModelSettings(url=str(at["chat"])), reward=ModelSettings(url=rm.url)
        )
        async with await open_models(settings, ModelMetrics()) as opened:
            answer = await opened.chat("reward", "judge", ChatRequest(CONVERSATION, 1))
    assert answer.completions[0].reward == 0.5


def test_the_reward_that_decides_cannot_be_the_one_held_out() -> None:
    reward = Endpoint("http://rm", "rm")
    with pytest.raises(Rejected, match="which also decides"):
        check_held_out({"reward": reward, "held_out": replace(reward, scores=True)})
    check_held_out({"reward": reward, "held_out": replace(reward, model="other")})
    check_held_out({"reward": reward})
