"""A group's token: when it goes on, and that repeats and crashes neither lose nor multiply it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.events import Appetite, MessagesForwarded, codec
from services.events.topics import (
    AGENTS_ACTED,
    MODEL_ANSWERS,
    OBSERVATIONS_DELIVERED,
    POPULATION,
    STEP_COMPLETED,
    Topic,
)
from services.local.log import Log
from services.message_modulation.domain import NEWS_KEPT
from services.runtime.ports import Delivery
from tests.integration.modulating import (
    LONELY,
    SALE,
    UNWANTED,
    WANTED,
    Running,
    acted,
    forwarded,
    news,
    place,
    running,
)
from tests.integration.running import events, open_log, publish


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    await publish(opened, *place(WANTED), WANTED)
    yield opened
    await opened.close()


def delivery(topic: Topic, key: str, event: object) -> Delivery:
    record = codec.to_record(topic, key, event)
    return Delivery(topic.name, 0, 0, key, record.value, record.headers)


async def tokens(log: Log) -> list[int]:
    return [token.step for token in await events(log, OBSERVATIONS_DELIVERED)]


async def test_a_step_sends_its_group_on_until_nobody_has_anything_left_to_do(log: Log) -> None:
    async with running(log) as now:
        await now.handle(acted(0, group=LONELY), acted(1, group=LONELY))
        assert await tokens(log) == [1, 2]
        await now.handle(acted(2, group=LONELY, planning=0))
    assert await tokens(log) == [1, 2]
    assert [step.resting for step in await events(log, STEP_COMPLETED)] == [False, False, True]


async def test_a_message_from_another_group_takes_effect_once_in_the_next_step(log: Log) -> None:
    async with running(log) as now:
        await now.handle(acted(0), news(3, SALE), news(3, SALE), news(2, "An older message."))
        await now.handle(acted(1), acted(2))
        noticed = now.named("people", SALE)
    arrived = [[o.message_id for o in step.arrived] for step in await events(log, STEP_COMPLETED)]
    assert arrived == [[], ["g7/3"], []]
    _, token, last = await events(log, OBSERVATIONS_DELIVERED)
    assert {inbox.agent_id for inbox in token.inboxes} == noticed
    assert noticed
    assert last.inboxes == ()


async def test_a_message_before_a_groups_first_step_is_not_lost(log: Log) -> None:
    async with running(log) as now:
        await now.handle(news(0, SALE), acted(0))
    (step,) = await events(log, STEP_COMPLETED)
    assert [o.message_id for o in step.arrived] == ["g7/0"]


async def test_a_sleeping_group_is_woken_by_what_somebody_notices_and_by_nothing_else(
    log: Log,
) -> None:
    woken = []
    async with running(log) as now:
        await now.handle(acted(0, planning=0))
        for number in range(12):
            before = await tokens(log)
            text = f"counts the boats of day {number}."
            await now.handle(news(number, text))
            noticed = now.named("people", text)
            woken.append(bool(noticed))
            assert now.state().resting is not woken[-1]
            if noticed:
                token = (await events(log, OBSERVATIONS_DELIVERED))[-1]
                assert {inbox.agent_id for inbox in token.inboxes} == noticed
                assert [*before, now.state().applied_step + 1] == await tokens(log)
                assert text in now.state().memory[-1]
                await now.handle(acted(token.step, planning=0))
            else:
                assert await tokens(log) == before
    assert True in woken
    assert False in woken


async def test_a_parked_group_goes_on_exactly_when_its_region_is_wanted_again(log: Log) -> None:
    async with running(log) as now:
        await now.handle(UNWANTED, acted(0))
        assert [step.step for step in await events(log, STEP_COMPLETED)] == [0]
        await now.handle(acted(0), news(1, SALE), Appetite("r01", hungry=True))
        assert await tokens(log) == []
    async with running(log) as restarted:
        await restarted.handle(acted(0), UNWANTED)
        assert await tokens(log) == []
        await restarted.handle(WANTED)
        assert await tokens(log) == [1]
        await restarted.handle(WANTED, acted(0), news(2, SALE), acted(1))
        assert await tokens(log) == [1, 2]


async def test_a_woken_group_of_an_unwanted_region_is_parked(log: Log) -> None:
    async with running(log) as now:
        await now.handle(acted(0, planning=0), UNWANTED)
        for number in range(10):
            await now.handle(news(number, SALE))
        assert now.state().parked
        assert await tokens(log) == []
        await now.handle(WANTED)
    assert await tokens(log) == [1]


async def test_a_region_wanted_again_while_its_group_is_being_parked_releases_it(log: Log) -> None:
    async with running(log) as now:
        await now.handle(UNWANTED)
        async with running(log) as crashed:
            state, _ = await crashed.modulation.route_step(acted(0))
            assert state is not None
            assert state.parked
        # Here the region was wanted again before the group's record was there.
        await now.handle(WANTED)
        assert await tokens(log) == []
    async with running(log) as restarted:
        await restarted.handle(acted(0))
    assert await tokens(log) == [1]


async def test_a_message_that_comes_while_its_group_is_released_is_kept(log: Log) -> None:
    async with running(log) as now:
        await now.handle(UNWANTED, acted(0))
        await asyncio.gather(
            now.consumer.on_population(delivery(POPULATION, "r00", WANTED)),
            *(
                now.consumer.on_event(delivery(AGENTS_ACTED, "g0", news(0, SALE, sender=f"g{n}")))
                for n in range(NEWS_KEPT)
            ),
        )
        assert not now.state().parked
        assert {o.message_id for o in now.state().arrived} == {f"g{n}/0" for n in range(NEWS_KEPT)}
    assert await tokens(log) == [1]


async def sent(log: Log) -> list[MessagesForwarded]:
    return sorted(await forwarded(log), key=lambda message: message.group_id)


async def test_a_repeat_ends_at_the_modulator_once_its_outputs_are_in_the_log(log: Log) -> None:
    # Otherwise one repeat would follow its token round the ring for ever, and make more repeats in
    # every group that it forwards to.
    async with running(log) as now:
        await now.handle(acted(0, SALE, SALE), news(1, SALE))
        before, asked = await sent(log), now.process.calls
        await now.handle(acted(0, SALE, SALE), news(1, SALE))
        assert (await tokens(log), await sent(log)) == ([1], before)
        assert len(await events(log, STEP_COMPLETED)) == 1
        assert now.process.calls == asked
        await now.handle(acted(1), acted(0, SALE, SALE), news(1, SALE))
        assert (await tokens(log), await sent(log)) == ([1, 2], before)
    assert before


async def test_a_crash_after_the_changelog_publishes_once_what_was_decided(log: Log) -> None:
    step = acted(0, SALE, SALE)
    async with running(log, seed=1) as crashed:
        state, _ = await crashed.modulation.route_step(step)
        assert state is not None
        assert await log.history(MODEL_ANSWERS.name) != []
    async with running(log, seed=2) as restarted:
        await restarted.handle(step, step)
        assert restarted.process.calls == 0
    assert await events(log, OBSERVATIONS_DELIVERED) == [state.token]
    assert await events(log, STEP_COMPLETED) == [state.completed]
    assert await sent(log) == list(state.forwarded)
    assert await log.history(MODEL_ANSWERS.name) == []


async def test_a_message_is_kept_without_what_the_step_before_it_has_published(log: Log) -> None:
    async with running(log) as first:
        await first.handle(acted(0, "Ada opens a shop."))
        assert first.state().completed is not None
        await first.handle(news(3, "Zoe sings."))
        kept = first.state()
        assert kept.completed is None
        assert kept.forwarded == ()
        assert [seen.text for seen in kept.arrived] == ["Zoe sings."]
        completed, sent = await events(log, STEP_COMPLETED), await tokens(log)
    # The step's own input once more, to a process that does not know what was published.
    async with running(log) as second:
        await second.handle(acted(0, "Ada opens a shop."))
        assert await events(log, STEP_COMPLETED) == completed
        assert await tokens(log) == [*sent, 1]
        await second.handle(acted(1, "Ada sells bread."))
    assert [done.step for done in await events(log, STEP_COMPLETED)] == [0, 1]


async def test_a_message_does_not_drop_what_a_step_may_not_have_published(log: Log) -> None:
    step = acted(0, "Ada opens a shop.")
    async with running(log) as crashed:
        await crashed.modulation.route_step(step)
    async with running(log) as after:
        await after.handle(news(3, "Zoe sings."))
        assert await events(log, STEP_COMPLETED) == []
        await after.handle(step)
        assert [done.step for done in await events(log, STEP_COMPLETED)] == [0]


async def test_a_crash_after_a_waking_message_was_taken_in_still_wakes_the_group(log: Log) -> None:
    async with running(log) as crashed:
        await crashed.handle(acted(0, planning=0))
        await _until_woken(crashed)
        assert await tokens(log) == []
        number = crashed.state().senders["g7"]
    async with running(log, seed=2) as restarted:
        await restarted.handle(news(number, SALE), news(number, SALE))
        assert restarted.process.calls == 0
    assert await tokens(log) == [1]
    assert await log.history(MODEL_ANSWERS.name) == []


async def _until_woken(now: Running) -> None:
    for number in range(20):
        await now.modulation.take_in(news(number, SALE))
        if not now.state().resting:
            return
    raise AssertionError("nobody noticed any of 20 messages")
