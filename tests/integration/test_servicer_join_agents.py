"""ImportAgents with `join` on real servers: people come into a society that is there."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import grpc.aio
import pytest
from matrix.agent_state.v1 import service_pb2 as pb

from services.agent_state import roster
from services.events import AgentsJoined, JoinDecided, codec
from services.events.topics import AGENTS, OBSERVATIONS_DELIVERED, POPULATION
from services.local.log import Log
from tests.integration.agent_state_rpc import OPTIONS, Replica, person, reading, serving, split
from tests.integration.ring import Mortal
from tests.integration.rpc import Code, ask, refusal, send
from tests.integration.running import events

JOIN = pb.ImportAgentsRequest(options=pb.ImportOptions(seed=3, join=True))


async def everybody(channel: grpc.aio.Channel) -> dict[str, str]:
    """Return the group of each person; fails where somebody is listed twice."""
    people = (await ask(channel, pb.ListAgentsRequest(page_size=1000))).agents
    assert len({each.agent_id for each in people}) == len(people)
    return {each.agent_id: each.group_id for each in people}


async def settled(channel: grpc.aio.Channel, count: int) -> dict[str, str]:
    """Return everybody's group when all read that so many people are there."""
    async with asyncio.timeout(20):
        while True:
            found = await everybody(channel)
            size = (await ask(channel, pb.GetPopulationRequest())).population
            if len(found) == size.agents == count:
                return found
            await asyncio.sleep(0.01)


async def founded(channel: grpc.aio.Channel, count: int) -> None:
    """Import so many people."""
    await send(channel, OPTIONS, *map(person, range(count)))
    await settled(channel, count)


async def test_people_join_a_society_and_are_shown_where_they_live(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)), reading(replica):
        await founded(channel, 12)
        before = await everybody(channel)
        # Two are there already, most find no seat, and one line is there twice.
        report = await send(channel, JOIN, *map(person, range(10, 120)), person(10))
        after = await settled(channel, 120)
        population = (await ask(channel, pb.GetPopulationRequest())).population
        groups = (await ask(channel, pb.ListGroupsRequest(page_size=1000))).groups
        newcomer = next(agent_id for agent_id in after if agent_id not in before)
        shown = (await ask(channel, pb.GetAgentRequest(agent_id=newcomer))).agent
    assert (report.joined, report.present, report.refused) == (108, 2, 1)
    assert report.agents == population.agents == len(after) == 120
    assert report.groups == population.groups == len(groups) == len(set(after.values()))
    assert report.founded_groups == len(groups) - len(set(before.values())) > 0
    assert 0 < report.joined_groups <= len(set(before.values()))
    assert {agent_id: after[agent_id] for agent_id in before} == before
    assert max(group.agents for group in groups) <= 10
    assert dict(population.regions) == dict(report.regions)
    assert sum(population.regions.values()) == 120
    assert {group.region for group in groups} == population.regions.keys()
    ranks = sorted((group.rank, group.agents) for group in groups)
    assert [rank for rank, _ in ranks] == [sum(n for _, n in ranks[:k]) for k in range(len(ranks))]
    assert (shown.group_id, shown.born) == (after[newcomer], False)


async def test_the_same_people_again_change_nothing_and_others_need_to_be_let_in(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)), reading(replica):
        await founded(channel, 6)
        await send(channel, JOIN, *map(person, range(6, 30)))
        states = await settled(channel, 30)
        size = (await ask(channel, pb.GetPopulationRequest())).population
        for again in (range(6, 30), range(30)):
            report = await send(channel, JOIN, *map(person, again))
            assert (report.joined, report.present) == (0, len(again))
        # The import that made the society: who joined since stays.
        first = await send(channel, OPTIONS, *map(person, range(6)))
        assert (first.agents, first.joined) == (30, 0)
        code, details = await refusal(send(channel, OPTIONS, person(31)))
        assert await settled(channel, 30) == states
        assert (await ask(channel, pb.GetPopulationRequest())).population == size
    assert code is Code.INVALID_ARGUMENT
    assert "a society of 30 agents is here already" in details
    assert "--join" in details


async def test_without_a_society_those_who_would_join_make_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        report = await send(channel, JOIN, *map(person, range(7)))
        await replica.catch_up()
        assert len(await everybody(channel)) == report.agents == 7
    assert report.joined == 0


async def test_of_joins_at_once_on_two_replicas_one_comes_after_the_other(tmp_path: Path) -> None:
    async with serving(tmp_path, 2) as (both, channels), reading(*both):
        await founded(channels[0], 10)
        one, other = await asyncio.gather(
            send(channels[0], JOIN, *map(person, range(10, 60))),
            send(channels[1], JOIN, *map(person, range(40, 90))),
        )
        found = await settled(channels[0], 90)
        groups = (await ask(channels[0], pb.ListGroupsRequest(page_size=1000))).groups
        population = (await ask(channels[0], pb.GetPopulationRequest())).population
    assert len(found) == population.agents == 90
    assert one.joined + other.joined == 80
    assert one.present + other.present == 20
    assert max(group.agents for group in groups) <= 10


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("left", [0, 1, 2, 3])
async def test_a_join_that_died_anywhere_is_finished_by_the_next_one_as_it_was_decided(
    tmp_path: Path, left: int, seed: int
) -> None:
    """Publishes: the decision, what happens, what came of it, which older ones are cleared."""

    def mortal(log: Log) -> Mortal:
        return Mortal(log, Random(seed))

    async with serving(tmp_path, 2, mortal) as (both, channels), reading(*both):
        await founded(channels[0], 10)
        both[1].deciding.left = left  # type: ignore[attr-defined]
        code, _ = await refusal(send(channels[1], JOIN, *map(person, range(10, 60))))
        assert code is Code.INTERNAL
        before = await decided(both[0])
        report = await send(channels[0], JOIN, *map(person, range(10, 70)))
        found = await settled(channels[0], 70)
    assert report.agents == 70
    assert (report.joined, report.present) == ((10, 50) if before else (60, 0))
    assert len(before) == (1 if left else seed)
    homes = {
        newcomer.agent_id: group_id
        for decision in before
        for group_id, newcomers in [
            *((each.group_id, each.newcomers) for each in decision.joined),
            *((each.group.group_id, each.newcomers) for each in decision.founded),
        ]
        for newcomer in newcomers
    }
    assert len(homes) == (50 if before else 0)
    assert homes.items() <= found.items()


async def decided(replica: Replica) -> list[Any]:
    """Return what the log holds of decisions, in order."""
    history = await replica.parts.log.history(POPULATION.name)
    found = [codec.from_delivery(d) for d in history]
    return [event for event in found if isinstance(event, JoinDecided)]


async def test_groups_that_nobody_owns_at_the_moment_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "PAUSE_SECONDS", 0.01)
    async with serving(tmp_path, 2) as (both, channels), reading(*both):
        await founded(channels[0], 30)
        history = await both[0].parts.log.history(AGENTS.name)
        await split(both)
        # The second one's groups are nobody's any more.
        both[1].groups.restore(replace(delivery, value=b"") for delivery in history)
        with monkeypatch.context() as hasty:
            hasty.setattr(roster, "ATTEMPTS", 2)
            code, details = await refusal(send(channels[0], JOIN, person(30)))
        assert code is Code.UNAVAILABLE
        assert "of 30 people" in details
        joining = asyncio.create_task(send(channels[0], JOIN, person(30)))
        both[0].groups.restore(history)
        assert (await joining).joined == 1
        await settled(channels[0], 31)


async def test_what_travels_is_one_record_for_each_group_and_old_decisions_are_cleared(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)), reading(replica):
        await founded(channel, 20)
        await send(channel, JOIN, *map(person, range(20, 30)))
        await settled(channel, 30)
        first, *others = await decided(replica)
        assert others == []
        await send(channel, JOIN, *map(person, range(30, 31)))
        await settled(channel, 31)
        log = replica.parts.log
        told = [e for e in await events(log, OBSERVATIONS_DELIVERED) if isinstance(e, AgentsJoined)]
        cleared, second = sorted(await decided(replica), key=lambda each: each.number)
    assert all(each in told for each in first.joined)
    assert sum(len(each.newcomers) for each in told) == 11
    assert second.number == 2
    assert cleared == JoinDecided(1, first.decision_id, carried_out=True)
