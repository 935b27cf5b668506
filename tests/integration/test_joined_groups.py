"""A group's modulator when people join: who rests goes on, and the limit counts the newcomers."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.events import (
    AgentCard,
    AgentsJoined,
    JoinDecided,
    Newcomer,
    RankShift,
    SocietyImported,
)
from services.events.topics import OBSERVATIONS_DELIVERED, POPULATION
from services.local.log import Log
from tests.integration.modulating import (
    GROUP,
    PEOPLE,
    SALE,
    WANTED,
    acted,
    founded,
    limit,
    news,
    running,
)
from tests.integration.running import events, open_log

SIZE = len(PEOPLE)
JOINED = AgentsJoined("g0", (Newcomer("n0", "Fay", "diver", "Fay dives."),))
FAY = AgentCard("n0", "Fay", "diver")
GROWN = SocietyImported(9, 2, {"r00": 9}, 0, "f", 1.0, joins=1, shifts=(RankShift(0, 1),))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


async def tokens(log: Log) -> list[tuple[str, int]]:
    return sorted((t.group_id, t.step) for t in await events(log, OBSERVATIONS_DELIVERED))


async def test_a_group_that_rests_goes_on_when_somebody_joins(log: Log) -> None:
    async with running(log) as now:
        await now.handle(WANTED, founded(), acted(0, planning=0))
        assert now.state().resting
        await now.handle(JOINED)
        assert not now.state().resting
        assert now.state().agents == (*PEOPLE_AS_ACTED, FAY)
        assert await tokens(log) == [("g0", 0), ("g0", 1)]
        await now.handle(JOINED, JOINED)
        assert await tokens(log) == [("g0", 0), ("g0", 1)]
        # It may rest again: the repeat of a join wakes nobody.
        everybody = replace(acted(1, planning=0), agents=(*PEOPLE, FAY))
        await now.handle(everybody)
        assert now.state().resting
        await now.handle(JOINED)
        assert now.state().resting
    assert await tokens(log) == [("g0", 0), ("g0", 1)]


PEOPLE_AS_ACTED = PEOPLE


async def test_whoever_joins_a_group_at_work_hears_of_things_at_once(log: Log) -> None:
    async with running(log) as now:
        await now.handle(WANTED, founded(), JOINED)
        assert now.state().agents[-1] == FAY
        assert await tokens(log) == [("g0", 0)]
        await now.handle(replace(acted(0, SALE), agents=(*PEOPLE, FAY)))
    assert await tokens(log) == [("g0", 0), ("g0", 1)]


async def test_a_resting_group_that_is_not_wanted_is_parked_until_it_is(log: Log) -> None:
    async with running(log) as now:
        await now.handle(WANTED, founded(), acted(0, planning=0), limit(SIZE), JOINED)
        assert now.state().parked
        assert await tokens(log) == [("g0", 0)]
    async with running(log) as restarted:
        await restarted.handle(limit(SIZE + 1), JOINED)
        assert not restarted.state().parked
    assert await tokens(log) == [("g0", 0), ("g0", 1)]


async def test_a_crash_before_the_token_of_a_woken_group_loses_no_token(log: Log) -> None:
    async with running(log) as first:
        await first.handle(WANTED, founded(), acted(0, planning=0))
        state = await first.modulation.join(JOINED)
        assert state is not None
        assert state.token is not None
        assert await tokens(log) == [("g0", 0)]
    async with running(log) as restarted:
        await restarted.handle(JOINED, JOINED)
    assert await tokens(log) == [("g0", 0), ("g0", 1)]


async def test_a_message_before_the_foundation_is_no_group_that_anybody_could_join(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(JOINED, news(1, SALE), JOINED)
        assert now.state().agents == ()
        await now.handle(founded(), JOINED)
        assert now.state().agents[-1] == FAY


@pytest.mark.parametrize("told_by", [GROWN, JoinDecided(1, "d", society=GROWN)])
async def test_a_group_stops_for_whom_there_is_no_room_any_more_since_one_before_it_grew(
    log: Log, told_by: SocietyImported | JoinDecided
) -> None:
    other = replace(GROUP, group_id="g1", rank=SIZE)
    async with running(log) as now:
        await now.handle(WANTED, limit(2 * SIZE), founded(), founded(other), told_by, JOINED)
        # Both were on their way already.
        assert await tokens(log) == [("g0", 0), ("g1", 0)]
        await now.handle(acted(0, group=other))
        assert now.state("g1").parked
        await now.handle(replace(acted(0), agents=(*PEOPLE, FAY)))
        assert not now.state("g0").parked
        await now.handle(replace(GROWN, joins=0, shifts=()))
        await now.handle(limit(2 * SIZE))
        assert now.state("g1").parked
    async with running(log) as restarted:
        restarted.consumer.restore(
            d for d in await log.history(POPULATION.name) if d.key.startswith("join/")
        )
        restarted.modulation.set_society(GROWN)
        await restarted.handle(limit(2 * SIZE + 1))
        assert not restarted.state("g1").parked
    assert await tokens(log) == [("g0", 0), ("g0", 1), ("g1", 0), ("g1", 1)]
