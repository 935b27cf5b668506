"""AgentStateService on real servers: people across replicas, population, watching."""

from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from matrix.agent_state.v1 import service_pb2 as pb

from services.agent_state.queries import WatchedAction
from services.agent_state.servicer import NAME, PERMISSIONS
from services.events import (
    Action,
    Appetite,
    ObservationsDelivered,
    PopulationSet,
    PopulationTarget,
    codec,
)
from services.events.topics import OBSERVATIONS_DELIVERED, POPULATION
from services.runtime.ports import Delivery
from tests.integration.agent_state_rpc import NOW, imported, serving, split
from tests.integration.rpc import (
    FORWARDED,
    Code,
    ask,
    check_permissions,
    ending,
    listening,
    refusal,
    until,
)
from tests.integration.running import events, publish


async def everyone(channel: grpc.aio.Channel, page_size: int, **wanted: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        request = pb.ListAgentsRequest(page_size=page_size, page_token=token, **wanted)
        page = await ask(channel, request)
        assert len(page.agents) <= page_size
        found += page.agents
        token = page.next_page_token
        if not token:
            return found


def test_every_rpc_has_a_permission() -> None:
    check_permissions(NAME, pb, dict(PERMISSIONS))
    assert PERMISSIONS[f"/{NAME}/ImportAgents"] == "operate"
    assert PERMISSIONS[f"/{NAME}/SetPopulation"] == "operate"
    assert PERMISSIONS[f"/{NAME}/WatchActions"] == "read"


async def test_a_person_is_found_at_whichever_replica_owns_the_group(tmp_path: Path) -> None:
    async with serving(tmp_path, 2) as (both, channels):
        await imported(both[0], channels[0], 24)
        await split(both)
        assert all(len(replica.groups) for replica in both)
        for replica in both:
            _, state = replica.groups.items()[0]
            for channel in channels:
                answer = await ask(channel, pb.GetAgentRequest(agent_id=state.agents[0].agent_id))
                assert answer.agent.name == state.agents[0].name
                assert answer.agent.group_id == state.group.group_id
                assert (answer.agent.born, answer.agent.step) == (False, -1)
        foreign = both[1].groups.items()[0][1].agents[0].agent_id
        for request, metadata in [
            (pb.GetAgentRequest(agent_id="nobody"), ()),
            (pb.GetAgentRequest(agent_id=foreign), FORWARDED),
        ]:
            code, details = await refusal(ask(channels[0], request, metadata))
            assert code is Code.NOT_FOUND
            assert repr(request.agent_id) in details


async def test_pages_of_both_replicas_hold_everybody_once_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path, 2) as (both, channels):
        await imported(both[0], channels[0], 24)
        alone = await everyone(channels[0], 1000)
        await split(both)
        for channel, size in zip(channels, (5, 7), strict=True):
            listed = await everyone(channel, size)
            assert listed == alone
            assert [a.agent_id for a in listed] == sorted({a.agent_id for a in listed})
        assert len(alone) == 24
        group = alone[0].group_id
        members = [agent for agent in alone if agent.group_id == group]
        assert await everyone(channels[1], 2, group_id=group) == members
        assert await everyone(channels[0], 3, region="r99") == []
        groups = await ask(channels[1], pb.ListGroupsRequest())
        first = await ask(channels[1], pb.ListGroupsRequest(page_size=1))
        assert first.groups[0] == groups.groups[0]
        assert bool(first.next_page_token) == (len(groups.groups) > 1)
    assert sum(group.agents for group in groups.groups) == 24
    assert {group.step for group in groups.groups} == {-1}


async def test_listings_refuse_bad_sizes_and_tokens(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await imported(replica, channel, 24)
        groups = await ask(channel, pb.ListGroupsRequest(page_size=1))
        for request in (
            pb.ListAgentsRequest(page_size=1001),
            pb.ListAgentsRequest(page_size=-1),
            pb.ListAgentsRequest(page_token="???"),
            pb.ListAgentsRequest(page_token=groups.next_page_token),
            pb.ListGroupsRequest(page_token=groups.next_page_token + "A"),
        ):
            code, details = await refusal(ask(channel, request))
            assert code is Code.INVALID_ARGUMENT
            assert "page_" in details


@pytest.mark.parametrize("limit", [None, 0, 5])
async def test_a_population_limit_is_published_and_told(tmp_path: Path, limit: int | None) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await ask(channel, pb.SetPopulationRequest(max_agents=77))
        answer = await ask(channel, pb.SetPopulationRequest(max_agents=limit))
        told = await ask(channel, pb.GetPopulationRequest())
        published = await events(replica.parts.log, POPULATION)
        await replica.catch_up()
        assert await ask(channel, pb.GetPopulationRequest()) == told
    assert published == [PopulationSet(limit, NOW, 0)]
    assert answer.population == told.population
    assert told.population.HasField("max_agents") == (limit is not None)
    assert told.population.max_agents == (limit or 0)


async def test_a_population_below_zero_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, (channel,)):
        code, details = await refusal(ask(channel, pb.SetPopulationRequest(max_agents=-1)))
    assert code is Code.INVALID_ARGUMENT
    assert "max_agents -1" in details


@pytest.mark.parametrize(("least", "most"), [(-1, None), (78, 77), (1, 0)])
async def test_limits_that_contradict_each_other_are_refused(
    tmp_path: Path, least: int, most: int | None
) -> None:
    request = pb.SetPopulationRequest(min_agents=least, max_agents=most)
    async with serving(tmp_path) as ((replica,), (channel,)):
        code, details = await refusal(ask(channel, request))
        assert await events(replica.parts.log, POPULATION) == []
    assert code is Code.INVALID_ARGUMENT
    assert f"min_agents {least}" in details
    assert most is None or f"max_agents {most}" in details


async def test_the_population_tells_its_target_and_who_may_go_on_of_all_replicas(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, count=2) as (replicas, channels):
        await imported(replicas[0], channels[0], 24)
        (society,) = await events(replicas[0].parts.log, POPULATION)
        sizes = sorted((s.group.rank, len(s.agents)) for s in replicas[0].groups.values())
        await split(replicas)
        told = [
            *(Appetite(region, True) for region in society.regions),
            PopulationTarget(13, "slots are free", NOW, 60.0, 2.0, 64.0),
        ]
        for event in (society, *told):
            record = codec.to_record(POPULATION, "key", event)
            for replica in replicas:
                delivery = Delivery(POPULATION.name, 0, 0, "key", record.value, record.headers)
                await replica.population.on_population(delivery)
        answers = [await ask(channel, pb.GetPopulationRequest()) for channel in channels]
    assert answers[0] == answers[1]
    population = answers[0].population
    assert population.active_agents == sum(size for rank, size in sizes if rank + size <= 13) > 0
    assert (population.target_agents, population.reason) == (13, "slots are free")
    assert population.decided_at == NOW


async def test_watchers_see_the_actions_of_their_group_from_then_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await imported(replica, channel, 24)
        groups = [group_id for group_id, _ in replica.groups.items()]
        assert len(groups) > 1
        await publish(
            replica.parts.log,
            OBSERVATIONS_DELIVERED,
            groups[0],
            ObservationsDelivered(groups[0], 0),
        )
        await replica.catch_up()
        watched = await listening(channel, pb.WatchActionsRequest(group_id=groups[1]))
        for group in groups[:2]:
            token = ObservationsDelivered(group, 0 if group == groups[1] else 1)
            await publish(replica.parts.log, OBSERVATIONS_DELIVERED, group, token)
        await replica.catch_up()
        members = replica.groups.items()[1][1].agents
        seen = [await watched.read() for _ in members]
        watched.cancel()
        agent = await ask(channel, pb.GetAgentRequest(agent_id=members[0].agent_id))
    assert {item.group_id for item in seen} == {groups[1]}
    assert {item.action.agent_id for item in seen} == {agent.agent_id for agent in members}
    assert {item.step for item in seen} == {0}
    assert agent.agent.born
    assert (agent.agent.step, agent.agent.plan_done) == (0, 1)
    assert agent.agent.plan
    assert agent.agent.goal
    assert [memory.text for memory in agent.agent.memories]


async def test_a_watcher_who_does_not_read_is_ended(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        stream = await listening(channel, pb.WatchActionsRequest())
        long = WatchedAction("g", "r", 1, Action("x", "a", "Ada", "plan", 1, "y" * 200_000))

        def ended() -> bool:
            replica.actions.publish(long)
            return not replica.actions.subscribers

        await until(ended)
        _, code, details = await ending(stream)
    assert code is Code.RESOURCE_EXHAUSTED
    assert "too slowly" in details
