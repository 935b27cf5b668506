"""Verdicts over the log and a simulated model: each candidate once, quotas exact, strata equal."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

import services.reward_filtering
from services.events import (
    DatasetDeclared,
    FilterSpec,
    Grant,
    InstructionGenerated,
    Provenance,
    QuotaReleased,
    Requirement,
    SampleJudged,
    codec,
)
from services.events.topics import (
    DATASETS,
    DEAD_LETTERS,
    INSTRUCTIONS_GENERATED,
    MODEL_ANSWERS,
    SAMPLES_JUDGED,
)
from services.kinds import load_kinds
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.simulator import SimulatorSettings
from services.reward_filtering.application import Filtering
from services.reward_filtering.consumer import JUDGED_AT_ONCE, FilteringConsumer
from services.reward_filtering.contamination import benchmark_index
from services.reward_filtering.domain import Stratum
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.writer import DatasetWriter
from services.runtime.ports import Delivery
from services.runtime.tables import Table
from tests.integration.running import Process, events, open_log, process, publish, work

KEY = "d/r00"
ASKED = Requirement("q", "advice", 1, "question")
THINGS = "oven boat loom press pump kiln cart radio hive clock lathe sail organ scale forge".split()
TROUBLES = "smokes leaks rattles jams cracks rusts whistles stalls bends sticks squeaks".split()
PLACES = "harbour attic orchard cellar chapel quarry meadow station market bakery mill".split()


def candidate(number: int, instruction: str | None = None) -> InstructionGenerated:
    """A candidate unlike all others, unless its instruction is given."""
    rng = Random(number)
    thing, trouble, place = rng.choice(THINGS), rng.choice(TROUBLES), rng.choice(PLACES)
    text = f"How do I mend the {thing} number {number} in the {place} when it {trouble}?"
    if instruction is not None:
        text = instruction
    return InstructionGenerated(
        f"c{number}", "d", "r00", "sft", ASKED, text, Provenance("s", "g", "a")
    )


def order(granted: int, recall: int = 0, spec: FilterSpec | None = None) -> DatasetDeclared:
    grants = (Grant("r00", granted, recall),)
    return DatasetDeclared("d", "sft", granted, "", (ASKED,), spec or FilterSpec(), grants)


@dataclass
class Running:
    process: Process
    filtering: Filtering
    consumer: FilteringConsumer

    async def handle(self, *sent: InstructionGenerated | DatasetDeclared) -> None:
        """Send events, and handle them one by one."""
        for event in sent:
            if isinstance(event, DatasetDeclared):
                await publish(self.process.log, DATASETS, event.dataset, event)
            else:
                await publish(self.process.log, INSTRUCTIONS_GENERATED, KEY, event)
            await work(self.process.worker("reward_filtering", self.consumer.all_routes()))

    async def handle_at_once(self, *candidates: InstructionGenerated) -> None:
        records = [codec.to_record(INSTRUCTIONS_GENERATED, KEY, sent) for sent in candidates]
        deliveries = [
            Delivery(r.topic, 0, place, r.key, r.value, r.headers)
            for place, r in enumerate(records)
        ]
        await asyncio.gather(*map(self.consumer.on_instruction, deliveries))

    @property
    def stratum(self) -> Stratum:
        return self.filtering.strata[KEY]


@asynccontextmanager
async def running(
    log: Log, seed: int = 0, chat_tokens: int = 8192, embedded_tokens: int = 8192
) -> AsyncIterator[Running]:
    chat = SimulatorSettings(seed=seed, max_model_len=chat_tokens)
    async with process(log, chat, SimulatorSettings(max_model_len=embedded_tokens)) as parts:
        prompts = prompts_of(services.reward_filtering)
        filtering = Filtering(parts.journal, parts.models, prompts, load_kinds(), clock=lambda: 0.0)
        consumer = FilteringConsumer(filtering, log)
        consumer.restore(await log.history(DATASETS.name), await log.history(SAMPLES_JUDGED.name))
        await consumer.release_due()
        yield Running(parts, filtering, consumer)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


async def verdicts(log: Log) -> list[SampleJudged]:
    return [event for event in await events(log, SAMPLES_JUDGED) if isinstance(event, SampleJudged)]


async def released(log: Log) -> list[int]:
    found = await events(log, SAMPLES_JUDGED)
    return [event.released for event in found if isinstance(event, QuotaReleased)]


async def test_a_verdict_explains_itself(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(3), candidate(1))
    (verdict,) = await verdicts(log)
    assert verdict.sample_id == "c1"
    assert [message.role for message in verdict.messages] == ["user", "assistant"]
    assert len(verdict.rewards) == FilterSpec().responses
    assert verdict.rewards[verdict.chosen] == max(verdict.rewards)
    assert verdict.usage.calls == 1 + FilterSpec().responses
    assert verdict.accepted is (verdict.reason == "")


async def test_an_instruction_in_another_language_or_of_a_benchmark_is_refused_for_free(
    log: Log, tmp_path: Path
) -> None:
    items = tmp_path / "bench.jsonl"
    items.write_text('{"question": "How many loaves does a baker bake in 7 days at 30 a day?"}')
    asked = "Please tell me: how many loaves does a baker bake in 7 days, at 30 a DAY?"
    foreign = "Como posso assar pão em casa sem forno, só com uma panela de ferro?"
    async with running(log) as now:
        index = benchmark_index([items])
        now.filtering._benchmarks = index
        spec = FilterSpec(language="en")
        await now.handle(order(9, spec=spec), candidate(1, asked), candidate(2, foreign))
        assert now.process.metrics.model.calls["teacher", "response"] == 0
        await now.handle(candidate(3, "How do I bake bread at home with an iron pot?"))
    found = {verdict.sample_id: (verdict.stage, verdict.reason) for verdict in await verdicts(log)}
    assert found["c1"] == ("static", "contaminated")
    assert found["c2"] == ("static", "language")
    assert found["c3"][0] != "static"


async def test_a_candidate_that_comes_twice_has_one_verdict(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(9), candidate(1))
        asked = now.process.calls
        await now.handle(candidate(1), candidate(1, "How do I bake bread on a boat?"))
        assert now.process.calls == asked
    async with running(log, seed=1) as restarted:
        await restarted.handle(candidate(1))
        assert restarted.process.calls == 0
    assert [verdict.sample_id for verdict in await verdicts(log)] == ["c1"]


async def test_a_candidate_that_comes_twice_at_once_has_one_verdict(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(9))
        await now.handle_at_once(*[candidate(1)] * 3, candidate(2))
        assert now.process.metrics.model.calls["teacher", "response"] == 2
    assert sorted(verdict.sample_id for verdict in await verdicts(log)) == ["c1", "c2"]


async def test_a_quota_is_never_exceeded_with_64_candidates_in_flight(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(5))
        await now.handle_at_once(*map(candidate, range(JUDGED_AT_ONCE)))
    judged = await verdicts(log)
    assert len(judged) == JUDGED_AT_ONCE == 64
    assert sum(verdict.accepted for verdict in judged) == 5
    assert Counter(verdict.reason for verdict in judged)["quota_full"] > 20


async def test_quota_asked_back_is_released_once_and_never_more_than_there_is_room(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(order(8), *map(candidate, range(4)))
        accepted = sum(verdict.accepted for verdict in await verdicts(log))
        assert 0 < accepted < 7
        await now.handle(order(8, recall=1), order(8, recall=1))
        assert await released(log) == [1]
        await now.handle(order(8, recall=8), order(8, recall=8))
    assert await released(log) == [1, 8 - accepted]
    async with running(log) as restarted:
        await restarted.handle(order(8, recall=8), *map(candidate, range(4, 12)))
    assert await released(log) == [1, 8 - accepted]
    assert sum(verdict.accepted for verdict in await verdicts(log)) == accepted


async def test_quota_that_was_asked_back_before_a_crash_is_released_after_it(log: Log) -> None:
    await publish(log, DATASETS, "d", order(8, recall=3))
    async with running(log):
        assert await released(log) == [3]
    async with running(log):
        assert await released(log) == [3]


async def test_a_near_duplicate_that_was_accepted_meanwhile_is_caught(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(64))
        text = candidate(1).instruction
        await now.handle_at_once(*(candidate(n, text) for n in range(10)))
        answered = now.process.metrics.model.calls["teacher", "response"]
        await now.handle(candidate(10, text))
        assert now.process.metrics.model.calls["teacher", "response"] == answered > 1
    judged = await verdicts(log)
    assert sum(verdict.accepted for verdict in judged) == 1
    assert {verdict.reason for verdict in judged} == {"", "near_duplicate"}
    # At their first look nothing was accepted, so that they were worth answering.
    assert sum(bool(verdict.rewards) for verdict in judged) == answered


async def test_a_stratum_restored_from_its_verdicts_equals_the_original(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(50))
        await now.handle_at_once(*map(candidate, range(40)))
        await now.handle(order(50, recall=2))
        async with running(log) as restored:
            for name in ("granted", "recall", "released", "accepted", "judged", "room"):
                assert getattr(restored.stratum, name) == getattr(now.stratum, name)
            assert restored.stratum.rewards.to_bytes() == now.stratum.rewards.to_bytes()
            measured = sum(verdict.chosen >= 0 for verdict in await verdicts(log))
            assert restored.stratum.rewards.count == measured > now.stratum.accepted
            fresh = [*map(candidate, range(40, 50)), candidate(50, candidate(7).instruction)]
            for sent in fresh:
                original, _ = await now.filtering.judge(sent)
                again, _ = await restored.filtering.judge(sent)
                assert again == original
        assert now.stratum.released == 2
    assert {verdict.accepted for verdict in await verdicts(log)} == {True, False}


async def test_a_crash_before_the_verdict_was_published_asks_no_model_again(log: Log) -> None:
    async with running(log, seed=1) as crashed:
        await crashed.handle(order(9))
        decided, _ = await crashed.filtering.judge(candidate(1))
        assert len(await log.history(MODEL_ANSWERS.name)) == crashed.process.calls > 1
    async with running(log, seed=2) as restarted:
        await restarted.handle(candidate(1))
        assert restarted.process.calls == 0
    (verdict,) = await verdicts(log)
    assert (verdict.messages, verdict.rewards) == (decided.messages, decided.rewards)
    assert await log.history(MODEL_ANSWERS.name) == []


async def test_answers_that_a_crash_left_behind_a_verdict_are_dropped(log: Log) -> None:
    async with running(log) as crashed:
        await crashed.handle(order(9))
        verdict, _ = await crashed.filtering.judge(candidate(1))
        await publish(log, SAMPLES_JUDGED, KEY, verdict)
    async with running(log) as restarted:
        await restarted.handle(candidate(1))
    assert [verdict.sample_id for verdict in await verdicts(log)] == ["c1"]
    assert await log.history(MODEL_ANSWERS.name) == []


async def test_a_model_that_refuses_for_good_gives_a_rejected_verdict(log: Log) -> None:
    async with running(log, chat_tokens=20) as now:
        await now.handle(order(9), candidate(1))
    async with running(log, embedded_tokens=3) as now:
        await now.handle(candidate(2))
    assert [(v.accepted, v.reason) for v in await verdicts(log)] == [
        (False, "no_reward"),
        (False, "no_embedding"),
    ]
    assert await events(log, DEAD_LETTERS) == []


@pytest.mark.parametrize("stages", [("static", "response"), ("response",)])
async def test_an_instruction_that_was_refused_is_rejected_and_costs_nothing(
    log: Log, stages: tuple[str, ...]
) -> None:
    async with running(log) as now:
        await now.handle(order(9, spec=FilterSpec(stages=stages)), candidate(1, ""))
        assert now.process.calls == 0
    (verdict,) = await verdicts(log)
    assert (verdict.accepted, verdict.stage) == (False, "static")


async def test_a_candidate_is_judged_though_its_order_is_read_in_the_same_breath(log: Log) -> None:
    await publish(log, INSTRUCTIONS_GENERATED, KEY, candidate(1))
    await publish(log, DATASETS, "d", order(9))
    async with process(log) as parts:
        prompts = prompts_of(services.reward_filtering)
        filtering = Filtering(parts.journal, parts.models, prompts, load_kinds(), clock=lambda: 0.0)
        await work(parts.worker("reward_filtering", FilteringConsumer(filtering, log).all_routes()))
    assert [verdict.sample_id for verdict in await verdicts(log)] == ["c1"]


async def test_a_verdict_that_stands_in_the_log_twice_makes_one_row(
    tmp_path: Path, log: Log
) -> None:
    async with running(log) as now:
        await now.handle(order(9), *map(candidate, range(4)))
    accepted = [verdict for verdict in await verdicts(log) if verdict.accepted]
    for _ in range(2):
        source = log.consumer("dataset-writer", [SAMPLES_JUDGED.name])
        writer = DatasetWriter(source, lambda name: str(tmp_path / name))
        for _ in range(2):
            while await writer.step():
                pass
            await publish(log, SAMPLES_JUDGED, KEY, replace(accepted[0], created_at=9.0))
    ids = Table(str(tmp_path / "d"), SAMPLE_SCHEMA).read(["id"])["id"].to_pylist()
    assert sorted(ids) == sorted(verdict.sample_id for verdict in accepted)
