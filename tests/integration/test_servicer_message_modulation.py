"""MessageModulationService on real servers: groups across replicas, dry runs, watching."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc.aio
from matrix.message_modulation.v1 import service_pb2 as pb
from matrix.message_modulation.v1.service_pb2_grpc import (
    add_MessageModulationServiceServicer_to_server,
)

import services.message_modulation
from services.events.topics import GROUPS, STEP_COMPLETED
from services.local.composition import prompts_of
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.domain import ModulatorState
from services.message_modulation.queries import MessageFeed, ModulationQueries, WatchedMessage
from services.message_modulation.routing import Router
from services.message_modulation.servicer import NAME, PERMISSIONS, MessageModulationServicer
from services.runtime.answering import Replicas
from services.runtime.state import Changelog
from services.runtime.streams import Fanout
from tests.integration.modulating import (
    GROUP,
    PEOPLE,
    SALE,
    WANTED,
    Running,
    acted,
    founded,
    running,
)
from tests.integration.rpc import (
    FORWARDED,
    Code,
    ask,
    check_permissions,
    listening,
    refusal,
    replicas,
)
from tests.integration.running import open_log, work

OTHER = replace(GROUP, group_id="other")


@dataclass
class Replica:
    """What a replica of the service is made of, without its server."""

    alive: Running
    groups: Changelog[ModulatorState]
    messages: Fanout[WatchedMessage] = field(default_factory=Fanout)

    def build(self, peers: Replicas) -> MessageModulationServicer:
        router = Router(prompts_of(services.message_modulation), "structured")
        queries = ModulationQueries(self.groups, router, self.alive.process.models)
        return MessageModulationServicer(queries, self.messages, peers)

    async def take_over(self, *group_ids: str) -> None:
        """Own some groups as they are now."""
        history = await self.alive.process.log.history(GROUPS.name)
        self.groups.restore(d for d in history if d.key in group_ids)


@asynccontextmanager
async def serving(
    folder: Path,
) -> AsyncIterator[tuple[Running, list[Replica], list[grpc.aio.Channel]]]:
    """Serve two groups that have acted once: the first replica owns g0, the second the other."""
    log = open_log(folder / "log.db")
    async with running(log) as alive:
        for group in (GROUP, OTHER):
            await alive.handle(WANTED, founded(group), acted(0, f"Ada {SALE}", group=group))
        both = [
            Replica(alive, Changelog(GROUPS.name, MODULATOR_STATE, log)),
            Replica(alive, Changelog(GROUPS.name, MODULATOR_STATE, log)),
        ]
        await both[0].take_over("g0")
        await both[1].take_over("other")
        add = add_MessageModulationServiceServicer_to_server
        async with replicas(add, NAME, *(replica.build for replica in both)) as channels:
            yield alive, both, channels
    await log.close()


def test_every_rpc_has_a_permission() -> None:
    check_permissions(NAME, pb, dict(PERMISSIONS))
    assert PERMISSIONS[f"/{NAME}/RouteAction"] == "operate"


async def test_a_group_is_told_by_any_replica_as_its_owner_has_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (alive, _, channels):
        for group_id in ("g0", "other"):
            state = alive.state(group_id)
            for channel in channels:
                group = (await ask(channel, pb.GetGroupRequest(group_id=group_id))).group
                assert group.group.group_id == group_id
                assert [card.agent_id for card in group.members] == [p.agent_id for p in PEOPLE]
                assert tuple(group.memory) == state.memory
                assert group.memory
                assert (group.applied_step, group.resting, group.parked) == (0, False, False)
        for request, metadata in [
            (pb.GetGroupRequest(group_id="nowhere"), ()),
            (pb.GetGroupRequest(group_id="other"), FORWARDED),
        ]:
            code, details = await refusal(ask(channels[0], request, metadata))
            assert code is Code.NOT_FOUND
            assert repr(request.group_id) in details


async def test_a_dry_run_routes_and_changes_nothing(tmp_path: Path) -> None:
    request = pb.RouteActionRequest(group_id="other", agent_id="a0", text=f"Ada {SALE}")
    async with serving(tmp_path) as (alive, _, channels):
        log = alive.process.log
        before = {
            topic: await log.history(topic)
            for topic in ("matrix.model-answers.v1", GROUPS.name, STEP_COMPLETED.name)
        }
        calls = len(alive.process.chat.log)
        for channel in channels:
            routed = await ask(channel, request)
            assert routed.plausible
            assert set(routed.aware_agent_ids) <= {p.agent_id for p in PEOPLE} - {"a0"}
            assert len(routed.aware_group_ids) <= 2
        assert len(alive.process.chat.log) == calls + 2
        for topic, history in before.items():
            assert await log.history(topic) == history


async def test_a_dry_run_refuses_strangers_and_texts_that_are_no_action(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, _, channels):
        for group_id, agent_id, text, expected in [
            ("g0", "nobody", "waves", Code.NOT_FOUND),
            ("nowhere", "a0", "waves", Code.NOT_FOUND),
            ("g0", "a0", " \n", Code.INVALID_ARGUMENT),
            ("other", "a0", "x" * 2001, Code.INVALID_ARGUMENT),
        ]:
            request = pb.RouteActionRequest(group_id=group_id, agent_id=agent_id, text=text)
            code, _ = await refusal(ask(channels[0], request))
            assert code is expected


async def test_watchers_see_who_became_aware_of_what(tmp_path: Path) -> None:
    async with serving(tmp_path) as (alive, both, channels):
        feed = MessageFeed(both[0].messages.publish)
        worker = alive.process.worker("watchers", feed.broadcasts())
        await work(worker)  # What was before.
        watched = await listening(channels[0], pb.WatchMessagesRequest(group_id="other"))
        for group in (GROUP, OTHER):
            await alive.handle(acted(1, f"Ada {SALE}", f"Ben {SALE}", group=group))
        await work(worker)
        seen = [await watched.read() for _ in range(2)]
        watched.cancel()
        completed = alive.state("other").completed
    assert completed is not None
    assert [(m.group_id, m.step, m.action.action.action_id) for m in seen] == [
        ("other", 1, "other/1/0"),
        ("other", 1, "other/1/1"),
    ]
    assert [tuple(m.action.aware_agent_ids) for m in seen] == [
        routed.aware_agent_ids for routed in completed.actions
    ]
