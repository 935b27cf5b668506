"""What is claimed, and when: fresh material first, quotas and regions by what is needed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.events import Appetite, QuotaReleased
from services.events.topics import DATASETS, DEAD_LETTERS, POPULATION
from services.instruction_generation.domain import LAST_FEW, USES_PER_PAIR
from services.instruction_generation.orders import extended
from services.local.log import Log
from tests.integration.generating import NURSES, Running, order, pairs, running, scenario
from tests.integration.running import events, open_log


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


def quotas(now: Running) -> dict[str, tuple[int, int]]:
    """Return what each stratum of the dataset is granted and asked to give back."""
    return {g.stratum: (g.granted, g.recall) for g in now.planner.datasets["d"].grants}


async def test_scenarios_are_matched_to_the_requirement(log: Log) -> None:
    async with running(log) as now:
        await now.handle(scenario("s", 9), scenario("t", 9, summary=NURSES))
        await now.handle(order(2, domain="tablets of a hospital pharmacy"))
        assert {scene for scene, _ in pairs(await now.made())} == {"t"}


async def test_a_requirement_that_cannot_be_embedded_takes_what_is_there(log: Log) -> None:
    async with running(log, embedded_tokens=2) as now:
        await now.handle(order(2, domain="tablets of a hospital pharmacy"), scenario("s"))
        assert len(await now.made()) == 3
    assert await events(log, DEAD_LETTERS) == []


async def test_pairs_are_used_once_as_long_as_something_fresh_may_come(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(50), scenario("s"))
        await now.judge()
        await now.consumer.tick()
        assert set(pairs(await now.made()).values()) == {1}
        await now.handle(scenario("t", summary=NURSES))
        await now.judge()
        assert pairs(await now.made()) == {(n, f"{n}{i}"): 1 for n in "st" for i in range(3)}


async def test_when_the_society_rests_pairs_are_used_again_in_rounds_until_the_end(
    log: Log,
) -> None:
    for uses in range(1, USES_PER_PAIR + 1):
        async with running(log) as now:  # each round in a process of its own
            if uses == 1:
                await now.handle(order(50), scenario("s"), scenario("t", 2, summary=NURSES))
            else:
                assert await now.consumer.society_rests()
            await now.judge(accept=1)
            made = pairs(await now.made())
            assert len(made) == 5
            assert set(made.values()) == {uses}
    async with running(log) as now:
        assert not await now.consumer.society_rests()
        await now.handle(scenario("u", 1))
        assert pairs(await now.made())["u", "u0"] == 1


async def test_no_more_pairs_are_used_again_than_are_wanted(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(14), scenario("s", 8))
        await now.judge(accept=8)
        assert await now.consumer.society_rests()
        assert sorted(pairs(await now.made()).values()) == [1] * 1 + [2] * 7
        await now.judge()
        assert not await now.consumer.society_rests()


async def test_the_last_few_samples_wait_for_nothing_fresh_once_nothing_is_in_work(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(order(8 + LAST_FEW), scenario("s", 8))
        await now.judge(accept=8)
        assert sorted(pairs(await now.made()).values()) == [1] * 3 + [2] * 5
        await now.consumer.tick()
        assert sum(pairs(await now.made()).values()) == 13


async def test_more_is_made_when_the_order_grows(log: Log) -> None:
    first = order(2)
    async with running(log) as now:
        await now.handle(first, scenario("s", 9))
        await now.judge(accept=2)
        before = len(await now.made())
        await now.consumer.tick()
        assert len(await now.made()) == before == 3
    async with running(log) as restarted:
        await restarted.handle(extended(first, 3, {"r00": 1}))
        await restarted.handle(first)  # late
        assert restarted.planner.datasets["d"].size == 5
        await restarted.judge()
        made = await restarted.made()
        assert restarted.planner.accepted("d") >= 5
        assert set(pairs(made).values()) == {1}


async def test_quota_of_a_region_without_material_moves_when_the_society_rests(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(4, r00=1, r01=1), scenario("s", 9))
        assert not await now.consumer.society_rests()  # r00 is not full yet: nobody needs it
        await now.judge(accept=2)
        assert await now.consumer.society_rests()
        assert quotas(now) == {"r00": (2, 0), "r01": (2, 2)}
        await now.handle(QuotaReleased("d", "r01", 2))
        await now.judge(accept=2)
        assert now.planner.accepted("d") == 4
        assert quotas(now) == {"r00": (4, 0), "r01": (2, 2)}
        assert await events(log, DATASETS) == [now.planner.datasets["d"]]


async def test_a_region_without_material_waits_for_verdicts_elsewhere(log: Log) -> None:
    async with running(log) as now:
        await now.handle(order(40, r00=1, r01=1), scenario("s", 40))
        await now.judge(accept=19)
        assert now.planner.progress["d"]["r01"].room == 20
        assert quotas(now) == {"r00": (20, 0), "r01": (20, 0)}
        await now.judge(accept=1)
        assert quotas(now) == {"r00": (20, 0), "r01": (20, 20)}


async def test_a_region_is_parked_with_enough_material_and_woken_when_more_is_needed(
    log: Log,
) -> None:
    first = order(2)
    async with running(log) as now:
        await now.handle(first, scenario("s", 8))
        assert await events(log, POPULATION) == [Appetite("r00", True)]
        await now.handle(scenario("t", 1))
        (parked,) = await events(log, POPULATION)
        assert (parked.region, parked.hungry) == ("r00", False)
        assert parked.reason
    async with running(log) as restarted:
        await restarted.handle(scenario("u"))
        said = sum(log.end(POPULATION.name, partition) for partition in range(log.partitions))
        assert said == 2
        await restarted.handle(extended(first, 9, {"r00": 1}))
        assert await events(log, POPULATION) == [Appetite("r00", True)]
