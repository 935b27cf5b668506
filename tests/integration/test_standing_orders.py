"""Datasets as standing orders: shared by weight, paused, ended, growing, and waited for."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.events import Appetite, DatasetDeclared, Provenance, QuotaReleased, SampleJudged
from services.events.topics import (
    DATASETS,
    DEAD_LETTERS,
    INSTRUCTIONS_GENERATED,
    MODEL_ANSWERS,
    POPULATION,
)
from services.instruction_generation.application import preview
from services.instruction_generation.domain import CLAIMS_AT_ONCE
from services.instruction_generation.orders import deleted, extended, ordered, paused
from services.instruction_generation.steering import FLOOR
from services.local.log import Log
from services.runtime.errors import NotFound, Rejected, Retryable
from tests.integration.generating import (
    BAKERS,
    KINDS,
    Now,
    Running,
    claims,
    order,
    pairs,
    running,
    scenario,
)
from tests.integration.running import events, open_log


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


def named(
    name: str, size: int = 1000, weight: float = 1.0, continuous: bool = False
) -> DatasetDeclared:
    regions = {"r00": 1}
    return ordered(
        KINDS, name, "sft", size, "", regions, 0, 0.0, weight=weight, continuous=continuous
    )


async def in_flight(log: Log) -> Counter[str]:
    return Counter(claim.dataset for claim in await claims(log))


async def said(log: Log) -> list[Appetite]:
    return [event for event in await events(log, POPULATION) if isinstance(event, Appetite)]


def state(now: Running) -> str:
    return now.planner.status("d").state


async def test_datasets_have_candidates_in_flight_by_weight(log: Log) -> None:
    async with running(log) as now:
        await now.handle(scenario("s", 200), named("d", weight=9), named("a", weight=3))
        await now.handle(named("light", weight=0.001))
        assert await in_flight(log) == {"a": CLAIMS_AT_ONCE // 3, "d": CLAIMS_AT_ONCE, "light": 1}


@pytest.mark.parametrize("steer", ["acceptance", "none"])
async def test_a_stratum_that_brings_more_has_more_candidates_in_work(log: Log, steer: str) -> None:
    order = replace(ordered(KINDS, "d", "sft", 900, "", {"r00": 1, "r01": 1}, 0, 0.0), steer=steer)

    async def claimed() -> Counter[str]:
        return Counter(claim.stratum for claim in await claims(log))

    async with running(log) as now:
        await now.handle(order, scenario("s", 200), scenario("t", 200, "r01"))
        before = await claimed()
        assert before == {"r00": CLAIMS_AT_ONCE, "r01": CLAIMS_AT_ONCE}
        for claim in await claims(log):
            good = claim.stratum == "r00"
            now.planner.add_verdict(
                SampleJudged(
                    claim.candidate_id,
                    "d",
                    claim.stratum,
                    "sft",
                    claim.requirement,
                    good,
                    "" if good else "length",
                    "static",
                    (),
                    Provenance(claim.scenario_id, claim.group_id, claim.agent_id),
                )
            )
        await now.consumer.tick()
        more = await claimed() - before
    if steer == "none":
        assert more == before
    else:
        assert more == {"r00": 2 * CLAIMS_AT_ONCE, "r01": CLAIMS_AT_ONCE // FLOOR}


async def test_the_weight_of_a_dataset_that_rests_counts_for_nothing(log: Log) -> None:
    async with running(log) as now:
        heavy, elsewhere = (
            named("heavy", weight=1000),
            ordered(KINDS, "elsewhere", "sft", 9, "", {"r01": 1}, 0, 0.0, weight=1000),
        )
        await now.handle(heavy, paused(heavy, True), elsewhere, scenario("s", 200), named("d"))
        assert await in_flight(log) == {"d": CLAIMS_AT_ONCE}


async def test_a_paused_dataset_rests_until_it_goes_on(log: Log) -> None:
    async with running(log) as now:
        await now.handle(scenario("s", 3), order(50))
        assert await said(log) == [Appetite("r00", True)]
        await now.consumer.change("d", lambda known: paused(known, True))
        await now.handle(scenario("t", 9))
        assert [appetite.hungry for appetite in await said(log)] == [False]
        assert len(await now.made()) == 3  # what was in work
        await now.judge()
        assert (len(await now.made()), state(now)) == (3, "paused")
    async with running(log) as restarted:
        await restarted.consumer.tick()
        assert len(await restarted.made()) == 3
        resumed = await restarted.consumer.change("d", lambda known: paused(known, False))
        assert await events(log, DATASETS) == [resumed]
        assert resumed.revision == 3
        await restarted.consumer.tick()
        assert (len(await restarted.made()), state(restarted)) == (12, "filling")
        assert await said(log) == [Appetite("r00", True)]


async def test_nothing_comes_of_the_claims_of_a_deleted_dataset(log: Log) -> None:
    async with running(log) as now:
        await now.handle(scenario("s", 3), order(50))
        claim = (await claims(log))[0]
        await now.generation.instruct(claim)  # paid for, and kept
        ended = await now.consumer.change("d", deleted)
        assert await now.made() == []
        await now.handle(scenario("t", 9))
        assert (await now.made(), state(now)) == ([], "deleted")
        with pytest.raises(NotFound, match="'d' was deleted"):
            await now.consumer.change("d", lambda known: paused(known, True))
        with pytest.raises(Rejected, match="'d' was deleted, its samples are kept"):
            await now.consumer.create(order(50))
    assert await events(log, DATASETS) == [ended]
    assert await claims(log) == []
    assert await events(log, DEAD_LETTERS) == []


async def test_a_dataset_deleted_while_its_claim_is_in_work_gets_no_instruction(log: Log) -> None:
    async with running(log) as crashed:
        await crashed.handle(scenario("s", 2), order(50))
        claim = (await claims(log))[0]
        await crashed.generation.instruct(claim)
    async with running(log) as now:
        await now.consumer.change("d", deleted)
        assert await now.made() == []
        assert now.process.calls == 0
    assert await log.history(MODEL_ANSWERS.name) == []
    assert await events(log, INSTRUCTIONS_GENERATED) == []


async def test_a_continuous_dataset_grows_whenever_little_is_left(log: Log) -> None:
    async with running(log) as now:
        await now.handle(scenario("s", 60), named("d", size=4, continuous=True))
        sizes = []
        for _ in range(4):
            await now.judge(accept=3)
            sizes.append(now.planner.datasets["d"].size)
            before = await events(log, DATASETS)
            await now.consumer.tick()
            assert await events(log, DATASETS) == before
        assert sizes == [8, 16, 32, 32]
        assert [dataset.revision for dataset in before] == [4]
        assert sum(grant.granted for grant in before[0].grants) == 32
    async with running(log) as restarted:
        await restarted.consumer.tick()
        assert await events(log, DATASETS) == before


async def test_pairs_are_used_again_once_nothing_fresh_came_for_long(log: Log) -> None:
    clock = Now()
    async with running(log, reuse_after=60.0, clock=clock) as now:
        await now.handle(order(50), scenario("s"))
        clock.seconds = 100.0
        await now.consumer.tick()
        assert len(await now.made()) == 3  # they are in work
        await now.judge()
        clock.seconds = 159.0
        await now.consumer.tick()
        assert len(await now.made()) == 3
        now.planner.add_scenario(scenario("t", 1))
        clock.seconds = 160.0
        await now.consumer.tick()
        await now.judge()
        assert pairs(await now.made()) == {("s", f"s{n}"): 1 for n in range(3)} | {("t", "t0"): 1}
        clock.seconds = 219.0
        await now.consumer.tick()
        assert len(await now.made()) == 4
        clock.seconds = 220.0
        await now.consumer.tick()
        assert len(await now.made()) == 8
        assert set(pairs(await now.made()).values()) == {2}


async def test_quota_moves_away_from_a_region_that_brought_nothing_for_long(log: Log) -> None:
    clock = Now()
    async with running(log, reuse_after=60.0, clock=clock) as now:
        await now.handle(order(8, r00=1, r01=1), scenario("s", 30))
        await now.judge(accept=4)
        (before,) = await events(log, DATASETS)
        assert [grant.recall for grant in before.grants] == [0, 0]
        assert state(now) == "resting"
        clock.seconds = 60.0
        await now.consumer.tick()
        (after,) = await events(log, DATASETS)
        assert [grant.recall for grant in after.grants] == [0, 4]
        assert after.revision == before.revision + 1
        await now.handle(QuotaReleased("d", "r01", 4))
        await now.judge(accept=4)
        assert state(now) == "filled"


async def test_no_region_is_wanted_without_a_dataset_that_wants_samples(log: Log) -> None:
    async with running(log) as now:
        await now.handle(scenario("s"))
        await now.consumer.tick()
        assert await said(log) == []
        await now.handle(order(1))
        assert await said(log) == [Appetite("r00", True)]
        await now.judge(accept=1)
        assert [appetite.hungry for appetite in await said(log)] == [False]


async def test_a_region_is_steered_by_its_owner_and_an_order_changed_by_its_owner(log: Log) -> None:
    async with running(log, owns=lambda key: key not in ("r00", "d")) as now:
        await now.handle(order(4, r00=1, r01=1), scenario("s", 9))
        assert await said(log) == [Appetite("r01", True)]
        await now.judge(accept=2)
        assert not (await events(log, DATASETS))[0].grants[1].recall
        with pytest.raises(Retryable, match="'d' is owned by another replica"):
            await now.consumer.change("d", deleted)
    async with running(log, owns=lambda key: key in ("r00", "d")) as other:
        assert await other.consumer.society_rests()
        assert (await events(log, DATASETS))[0].grants[1].recall == 2
        # Two of the three in work were accepted, and nothing more is wanted there.
        assert Appetite("r00", True) not in await said(log)


async def test_a_new_owner_says_what_is_true_where_it_was_not_said(log: Log) -> None:
    async with running(log, owns=lambda key: key != "r00") as now:
        await now.handle(order(4), scenario("s"))
        assert await said(log) == []
    async with running(log) as owner:
        await owner.consumer.tick()
        await owner.consumer.tick()
    assert await said(log) == [Appetite("r00", True)]


async def test_the_same_order_again_changes_nothing_and_another_one_is_refused(log: Log) -> None:
    async with running(log) as now:
        made = await now.consumer.create(order(4))
        grown = await now.consumer.change("d", lambda known: extended(known, 0, {"r00": 1}))
        assert await now.consumer.create(order(4)) == grown
        assert await events(log, DATASETS) == [grown]
        with pytest.raises(Rejected, match="'d' exists with size 4, not 5"):
            await now.consumer.create(order(5))
        with pytest.raises(NotFound, match="dataset 'e' is not known"):
            await now.consumer.change("e", deleted)
    assert (made.revision, grown.revision) == (1, 2)


async def test_a_preview_is_what_would_be_asked_and_leaves_nothing(log: Log) -> None:
    requirement = KINDS["sft"].requirements("", 0)[0]
    async with running(log) as now:
        draft = await preview(now.process.models, KINDS["sft"], scenario("s"), requirement, "s1")
        (call,) = now.process.chat.log
        assert (draft.instruction, draft.agent_id) == (call.answers[0], "s1")
        assert f"Person 1. {BAKERS} Person 1." in draft.prompt
        assert (draft.requirement, draft.usage.calls) == (requirement, 1)
        first = await preview(now.process.models, KINDS["sft"], scenario("s"), requirement)
        assert first.agent_id == "s0"
        with pytest.raises(NotFound, match="agent 'nobody' does not take part in scenario 's'"):
            await preview(now.process.models, KINDS["sft"], scenario("s"), requirement, "nobody")
    assert await log.history(MODEL_ANSWERS.name) == []
    assert await log.history(INSTRUCTIONS_GENERATED.name) == []
