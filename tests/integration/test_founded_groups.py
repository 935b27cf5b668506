"""A group's modulator from its foundation on: it holds the first token until the group may run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.events import Appetite, GroupFounded, ObservationsDelivered, SocietyImported
from services.events.topics import OBSERVATIONS_DELIVERED, POPULATION, STEP_COMPLETED
from services.local.log import Log
from services.message_modulation.domain import ModulatorState
from tests.integration.brokers import until
from tests.integration.modulating import (
    GROUP,
    PEOPLE,
    SALE,
    UNWANTED,
    WANTED,
    Running,
    acted,
    founded,
    limit,
    news,
    place,
    running,
    target,
)
from tests.integration.running import events, open_log, publish

SIZE = len(PEOPLE)
GROUPS = tuple(replace(GROUP, group_id=f"g{n}", rank=n * SIZE) for n in range(4))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


async def tokens(log: Log) -> list[tuple[str, int]]:
    """Return the tokens in the ring: group and step, in order of group."""
    return sorted((t.group_id, t.step) for t in await events(log, OBSERVATIONS_DELIVERED))


async def test_a_founded_group_waits_until_its_region_is_wanted_and_then_begins(log: Log) -> None:
    async with running(log) as now:
        await now.handle(founded(), Appetite("r01", hungry=True), limit(None))
        assert now.state().parked
        assert await tokens(log) == []
        await now.handle(WANTED)
        assert not now.state().parked
        assert await events(log, OBSERVATIONS_DELIVERED) == [ObservationsDelivered("g0", 0)]
        await now.handle(WANTED, UNWANTED, WANTED)
    assert await tokens(log) == [("g0", 0)]


async def test_a_group_founded_where_its_region_is_wanted_begins_at_once(log: Log) -> None:
    async with running(log) as now:
        await now.handle(WANTED, founded())
        assert not now.state().parked
    assert await tokens(log) == [("g0", 0)]


async def test_a_wish_outlives_the_process_that_heard_it_and_so_does_its_end(log: Log) -> None:
    async with running(log) as first:
        await first.handle(WANTED)
    async with running(log) as second:
        await second.handle(founded())
        assert await tokens(log) == [("g0", 0)]
        await second.handle(UNWANTED)
    async with running(log) as third:
        await third.handle(founded(GROUPS[1]))
        assert third.state("g1").parked
    assert await tokens(log) == [("g0", 0)]


async def test_what_was_wanted_while_nobody_owned_a_group_releases_it_when_somebody_does(
    log: Log,
) -> None:
    async with running(log) as first:
        await first.handle(founded())
    await publish(log, *place(WANTED), WANTED)
    async with running(log) as second:
        assert await tokens(log) == []
        await second.consumer.release_parked()
        assert await tokens(log) == [("g0", 0)]
        await second.consumer.release_parked()
        await second.handle()
    assert await tokens(log) == [("g0", 0)]


async def test_reading_what_was_wanted_before_releases_nobody_by_itself(log: Log) -> None:
    async with running(log) as now:
        await now.handle(founded())
        await publish(log, *place(WANTED), WANTED)
        await publish(log, *place(limit(0)), limit(0))
        now.consumer.restore(await log.history(POPULATION.name))
        await now.consumer.release_parked()
        assert now.state().parked
    assert await tokens(log) == []


FOUNDED = founded()
CHANGED = GroupFounded(replace(GROUP, region="r01", rank=3, neighbours=()), FOUNDED.newcomers[:2])
BEFORE = {
    "parked": (FOUNDED,),
    "on its way": (WANTED, FOUNDED),
    "after a step": (WANTED, FOUNDED, acted(0, SALE), news(1, SALE)),
    "parked after a step": (WANTED, FOUNDED, UNWANTED, acted(0, SALE)),
    "asleep": (WANTED, FOUNDED, acted(0, planning=0)),
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("repeat", [FOUNDED, CHANGED], ids=["same", "changed"])
async def test_a_repeated_foundation_changes_nothing(
    log: Log, before: Sequence[object], repeat: GroupFounded
) -> None:
    async with running(log) as now:
        await now.handle(*before)  # type: ignore[arg-type]
        state, sent = now.state(), await tokens(log)
        await now.handle(repeat, repeat)
        assert now.state() is state
        assert await tokens(log) == sent
    async with running(log) as restarted:
        await restarted.handle(repeat, repeat)
        assert restarted.state() == state
        # What may have been lost with the process is sent again, but once.
        last = sent[-1:] if sent and not (state.parked or state.resting) else []
        assert await tokens(log) == [*sent, *last]


async def test_a_message_to_a_group_that_is_founded_later_is_kept(log: Log) -> None:
    async with running(log) as first:
        await first.handle(news(3, SALE), news(3, SALE))
    async with running(log) as second:
        await second.handle(news(4, SALE, sender="g5"), founded())
        assert second.state().group == GROUP
        assert [agent.agent_id for agent in second.state().agents] == [p.agent_id for p in PEOPLE]
        assert [o.message_id for o in second.state().arrived] == ["g7/3", "g5/4"]
        assert second.state().parked
        await second.handle(news(3, SALE), WANTED, acted(0))
        noticed = second.named("people", SALE)
    (step,) = await events(log, STEP_COMPLETED)
    assert [o.message_id for o in step.arrived] == ["g7/3", "g5/4"]
    assert noticed
    assert await tokens(log) == [("g0", 0), ("g0", 1)]


async def test_a_foundation_that_comes_after_the_groups_first_step_changes_nothing(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(WANTED, acted(0, SALE))
        state = now.state()
        await now.handle(founded())
        assert now.state() is state
    assert await tokens(log) == [("g0", 1)]


async def test_a_crash_between_foundation_and_token_loses_no_token(log: Log) -> None:
    await publish(log, *place(WANTED), WANTED)
    async with running(log) as crashed:
        state = await crashed.modulation.found(founded())
        assert not state.parked
        assert await tokens(log) == []
    async with running(log) as restarted:
        await restarted.handle(founded(), founded())
    assert await tokens(log) == [("g0", 0)]


async def test_a_crash_between_release_and_its_note_sends_the_token_once_more_at_most(
    log: Log,
) -> None:
    async with running(log) as crashed:
        await crashed.handle(founded())
        parked = crashed.state()
        await crashed.handle(WANTED)
        await crashed.modulation.groups.put("g0", parked)
    async with running(log) as restarted:
        await restarted.handle(WANTED, WANTED)
        await restarted.consumer.release_parked()
        assert not restarted.state().parked
        assert await tokens(log) == [("g0", 0)] * 2
        await restarted.handle(acted(0), acted(0))
    assert await tokens(log) == [("g0", 0), ("g0", 0), ("g0", 1)]


def parked(now: Running) -> list[str]:
    return [group_id for group_id, state in now.modulation.groups.items() if state.parked]


@pytest.mark.parametrize("room_for", [None, 0, 1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, 4 * SIZE, 99])
async def test_a_limit_lets_in_the_first_groups_that_it_leaves_room_for(
    log: Log, room_for: int | None
) -> None:
    async with running(log) as now:
        await now.handle(WANTED, limit(room_for), *map(founded, GROUPS))
        room = len(GROUPS) if room_for is None else min(room_for // SIZE, len(GROUPS))
        assert await tokens(log) == [(f"g{n}", 0) for n in range(room)]
        assert parked(now) == [f"g{n}" for n in range(room, len(GROUPS))]
        await now.handle(limit(room_for), WANTED)
        assert len(await tokens(log)) == room


async def test_a_lower_limit_parks_groups_at_the_end_of_their_step_and_a_higher_one_releases_them(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(WANTED, *map(founded, GROUPS), limit(2 * SIZE))
        # All were on their way when the limit came, and nobody is stopped in the middle.
        assert parked(now) == []
        await now.handle(*(acted(0, SALE, group=group) for group in GROUPS))
        assert parked(now) == ["g2", "g3"]
        assert len(await events(log, STEP_COMPLETED)) == len(GROUPS)
        await now.handle(limit(3 * SIZE))
        assert parked(now) == ["g3"]
        await now.handle(limit(0), *(acted(1, group=group) for group in GROUPS[:3]))
        assert parked(now) == ["g0", "g1", "g2", "g3"]
        begun = [("g0", 0), ("g0", 1), ("g1", 0), ("g1", 1), ("g2", 0), ("g2", 1), ("g3", 0)]
        assert await tokens(log) == begun
        await now.handle(UNWANTED, limit(None))
        assert len(parked(now)) == len(GROUPS)
    async with running(log) as restarted:
        await restarted.handle(WANTED)
        assert parked(restarted) == []
    assert await tokens(log) == sorted([*begun, ("g0", 2), ("g1", 2), ("g2", 2), ("g3", 1)])


async def test_a_limit_that_lets_some_in_looks_at_no_state_of_the_others(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(log) as now:
        await now.handle(*map(founded, GROUPS), limit(2 * SIZE))
        asked, groups = set(), now.modulation.groups
        get = groups.get

        def noted(group_id: str) -> ModulatorState | None:
            asked.add(group_id)
            return get(group_id)

        monkeypatch.setattr(groups, "get", noted)
        await now.handle(WANTED)
        # Of a large society, all states are packed.
        assert asked == {"g0", "g1"}
    assert await tokens(log) == [("g0", 0), ("g1", 0)]


async def test_what_a_wish_would_release_stays_when_a_limit_comes_meanwhile(log: Log) -> None:
    async with running(log) as now:
        await now.handle(*map(founded, GROUPS))
        async with now.modulation.lock("g1"):
            wish = asyncio.create_task(now.handle(WANTED))
            # g0 is released, and g1 waits for its lock.
            await until(lambda: not now.state().parked, "g0 on its way")
            now.modulation.max_agents = SIZE
        await wish
        assert "g1" in parked(now)
    assert ("g1", 0) not in await tokens(log)


async def test_a_limit_outlives_the_process_that_heard_it(log: Log) -> None:
    async with running(log) as first:
        await first.handle(WANTED, limit(0))
    async with running(log) as second:
        await second.handle(founded(), WANTED)
        assert parked(second) == ["g0"]
        await second.handle(limit(None))
        assert parked(second) == []


async def test_a_sleeper_beyond_the_limit_that_is_woken_waits_for_room(log: Log) -> None:
    async with running(log) as now:
        await now.handle(WANTED, founded(), acted(0, planning=0), limit(SIZE - 1))
        assert now.state().resting
        for number in range(10):
            await now.handle(news(number, SALE))
        assert parked(now) == ["g0"]
        assert await tokens(log) == [("g0", 0)]
        await now.handle(limit(SIZE))
    assert await tokens(log) == [("g0", 0), ("g0", 1)]


async def test_a_target_parks_and_releases_groups_inside_of_the_limits(log: Log) -> None:
    async with running(log) as now:
        await now.handle(WANTED, target(2 * SIZE), *map(founded, GROUPS))
        assert parked(now) == ["g2", "g3"]
        assert (now.process.metrics.society.active, now.process.metrics.society.parked) == (
            2 * SIZE,
            2,
        )
        await now.handle(target(99), limit(3 * SIZE))
        assert len(parked(now)) == 0  # released by the target, before the limit came
        await now.handle(target(SIZE), *(acted(0, group=group) for group in GROUPS))
        assert parked(now) == ["g1", "g2", "g3"]
        assert now.modulation.holds_back
        await now.handle(limit(3 * SIZE, min_agents=2 * SIZE))
        assert parked(now) == ["g2", "g3"]
        await now.handle(target(None))
        assert parked(now) == ["g3"]
        assert not now.modulation.holds_back


async def test_a_target_counts_in_the_regions_that_are_wanted(log: Log) -> None:
    elsewhere = [replace(group, region="r01") for group in GROUPS[::2]]
    society = SocietyImported(4 * SIZE, 4, {"r00": 2 * SIZE, "r01": 2 * SIZE}, 0, "f", 1.0)
    async with running(log) as now:
        await now.handle(society, target(2 * SIZE), WANTED)
        await now.handle(*map(founded, [*elsewhere, *GROUPS[1::2]]))
        # Both of the wanted region, though groups of the other one come before them.
        assert parked(now) == ["g0", "g2"]
        await now.handle(acted(0, group=GROUPS[1]), acted(0, group=GROUPS[3]))
        assert parked(now) == ["g0", "g2"]
        # Wanted as well, the other region brings its share, and the target is kept.
        await now.handle(Appetite("r01", hungry=True))
        await now.handle(acted(1, group=GROUPS[1]), acted(1, group=GROUPS[3]))
        assert parked(now) == ["g2", "g3"]


async def test_a_target_outlives_the_process_that_heard_it(log: Log) -> None:
    async with running(log) as first:
        await first.handle(WANTED, target(SIZE), *map(founded, GROUPS))
        assert parked(first) == ["g1", "g2", "g3"]
    async with running(log) as second:
        await second.consumer.release_parked()
        assert parked(second) == ["g1", "g2", "g3"]
        assert second.process.metrics.society.active == SIZE
