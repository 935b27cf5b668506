"""Claims are worked off over the log and a simulated model: none lost, none twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import services.reward_filtering
from services.events import Provenance, QuotaReleased
from services.events.topics import (
    DEAD_LETTERS,
    INSTRUCTIONS_GENERATED,
    MODEL_ANSWERS,
    SAMPLES_JUDGED,
    SCENARIOS_EXTRACTED,
)
from services.instruction_generation.domain import LAST_FEW, candidate_id
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.simulator import SimulatorSettings
from services.reward_filtering.application import Filtering
from services.reward_filtering.consumer import FilteringConsumer
from services.runtime.asking import complete_sentences
from tests.integration.generating import (
    BAKERS,
    KINDS,
    NURSES,
    claims,
    order,
    pairs,
    running,
    scenario,
)
from tests.integration.running import events, open_log, publish, work


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


DONE = ("claimed", "answered", "published", "closed", "all")
"""What happens of a candidate, in order."""


async def test_an_instruction_comes_from_a_person_of_a_scenario_and_says_so(log: Log) -> None:
    asked = order(1, domain="the care of ovens")
    async with running(log) as now:
        await now.handle(asked, scenario("s", 2))
        _, made = await now.made()
        _, call = now.process.chat.log
    assert made.candidate_id == candidate_id("d", "s", "s1", 0)
    assert (made.dataset, made.stratum, made.kind) == ("d", "r00", "domain")
    assert made.requirement in asked.requirements
    assert made.instruction == call.answers[0]
    persona = f"Person 1. {BAKERS} Person 1."
    for part in (persona, "Person 0 waits.", "the care of ovens", made.requirement.category):
        assert part in call.prompts[0]
        assert part in made.provenance.prompt
    people, actions = ("s0", "s1"), ("act-s0", "act-s1")
    assert made.provenance == Provenance(
        *("s", "group-s", "s1", people, actions),
        prompt=made.provenance.prompt,
        instruction_model="simulated",
        persona=persona,
    )
    assert made.usage.calls == 1


async def test_claims_are_durable_before_the_model_is_asked(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(2), scenario("s"))
        assert now.process.calls == 0
        claimed = await claims(log)
        assert len(claimed) == len(now.consumer.backlog) == 3
    async with running(log) as restarted:
        assert all(restarted.planner.is_open(claim) for claim in claimed)
        assert len(restarted.consumer.backlog) == 3


@pytest.mark.parametrize("last_done", DONE)
async def test_a_crash_at_any_point_makes_the_same_candidates_once(
    tmp_path: Path, log: Log, last_done: str
) -> None:
    place = DONE.index(last_done)
    material = (order(4), scenario("s"), scenario("t", summary=NURSES))
    async with running(log) as crashed:
        await crashed.handle(*material)
        claim = (await claims(log))[0]
        if place >= 1:
            decided, tombstones = await crashed.generation.instruct(claim)
        if place >= 2:
            await publish(log, INSTRUCTIONS_GENERATED, "d/r00", decided)
        if place >= 3:
            await crashed.planner.close_claim(claim)
        if place >= 4:
            await log.publish(tombstones)
    async with running(log, SimulatorSettings(seed=1)) as restarted:
        await restarted.handle(material[0])
        made = await restarted.made()
        assert restarted.process.calls == (5 if place else 6)
    assert len(made) == (7 if last_done == "published" else 6)
    assert pairs(made) == {(name, f"{name}{n}"): 1 for name in "st" for n in range(3)}
    if place:
        texts = {each.instruction for each in made if each.candidate_id == claim.candidate_id}
        assert texts == {decided.instruction}
    assert await claims(log) == []
    assert await log.history(MODEL_ANSWERS.name) == []

    undisturbed = open_log(tmp_path / "undisturbed.db")
    async with running(undisturbed) as other:
        await other.handle(*material)
        assert {e.candidate_id for e in await other.made()} == {e.candidate_id for e in made}
    await undisturbed.close()


async def test_a_crash_between_the_claims_of_two_groups_loses_none(log: Log) -> None:
    async with running(log) as crashed:
        await crashed.handle(order(4))
        crashed.planner.add_scenario(scenario("s"))
        assert len(await crashed.planner.claim("d", "r00")) == 3
    for name in "st":
        await publish(log, SCENARIOS_EXTRACTED, f"group-{name}", scenario(name))
    async with running(log) as restarted:
        await restarted.catch_up()
        made = await restarted.made()
    assert pairs(made) == {(name, f"{name}{n}"): 1 for name in "st" for n in range(3)}
    assert len({each.requirement.requirement_id for each in made}) == 6


async def test_a_plan_restored_from_the_log_equals_the_original(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(9, r00=2, r01=1), scenario("s"), scenario("t", region="r01"))
        await now.judge(accept=3)
        await now.handle(QuotaReleased("d", "r01", 1), scenario("u", 40))
        async with running(log) as restored:
            assert restored.planner.progress == now.planner.progress
            assert restored.planner.rejected == now.planner.rejected
            for region in ("r00", "r01"):
                unused = now.planner.libraries[region].unused_pairs("d")
                assert restored.planner.libraries[region].unused_pairs("d") == unused
            await now.judge()
            async with running(log) as later:
                expected = await now.planner.claim("d", "r00")
                assert await later.planner.claim("d", "r00") == expected


async def test_what_comes_twice_counts_once(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(9), scenario("s"), scenario("s"))
        await now.judge(accept=1)
        for delivery in await log.history(SAMPLES_JUDGED.name):
            await now.consumer.on_verdict(delivery)
        progress = now.planner.progress["d"]["r00"]
        assert (progress.judged, progress.accepted, progress.failures) == (3, 1, 2)
        assert now.planner.rejected["d"] == {"length": 2}
        assert len(await now.made()) == 3


async def test_a_model_that_refuses_leaves_no_claim_without_a_verdict(log: Log) -> None:
    async with running(log, SimulatorSettings(max_model_len=95)) as now:
        await now.handle(order(LAST_FEW + 2), scenario("s"))
        made = await now.made()
        assert [(each.instruction, each.usage.calls) for each in made] == [("", 0)] * 3
        filtering = Filtering(
            now.process.journal,
            now.process.models,
            prompts_of(services.reward_filtering),
            KINDS,
            clock=lambda: 0.0,
        )
        consumer = FilteringConsumer(filtering, log)
        routes = [*consumer.broadcasts(), *consumer.routes()]
        await work(now.process.worker("reward_filtering", routes))
        await now.catch_up()
        assert now.planner.progress["d"]["r00"].judged == 3
    assert await claims(log) == []
    assert await events(log, DEAD_LETTERS) == []


async def test_an_answer_that_breaks_off_is_cut_to_whole_sentences(log: Log) -> None:
    async with running(log, SimulatorSettings(truncated=1.0)) as now:
        await now.handle(order(20), scenario("s", 30))
        texts = [each.instruction for each in await now.made()]
        answers = [call.answers[0] for call in now.process.chat.log]
    assert texts == [complete_sentences(answer) for answer in answers]
    assert texts != answers
    assert all(text.endswith((".", "?", "!")) for text in texts if text)
    assert any(texts)
