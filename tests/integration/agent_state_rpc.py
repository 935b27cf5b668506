"""Replicas of AgentStateService on real servers, over a log and simulated models."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc.aio
from matrix.agent_state.v1 import service_pb2 as pb
from matrix.agent_state.v1.service_pb2_grpc import add_AgentStateServiceServicer_to_server

import services.agent_state
from services.agent_state.application import Society
from services.agent_state.codec import GROUP_STATE
from services.agent_state.consumer import SocietyConsumer
from services.agent_state.decisions import Decisions
from services.agent_state.domain import GroupState
from services.agent_state.importing import Importer
from services.agent_state.intake import SocietyImport
from services.agent_state.joining import Joining
from services.agent_state.queries import (
    ActionFeed,
    PopulationQueries,
    SocietyQueries,
    WatchedAction,
)
from services.agent_state.roster import GroupListing
from services.agent_state.servicer import NAME, AgentStateServicer
from services.events.topics import AGENTS, POPULATION
from services.local.composition import prompts_of
from services.local.log import Log
from services.runtime.answering import Replicas
from services.runtime.ports import Publisher
from services.runtime.state import Changelog
from services.runtime.streams import Fanout
from tests.integration.rpc import (
    replicas,
    send,
)
from tests.integration.running import Process, open_log, process, work

OPTIONS = pb.ImportAgentsRequest(options=pb.ImportOptions(seed=3))
NOW = 1700000000.0


def line(**fields: object) -> pb.ImportAgentsRequest:
    return pb.ImportAgentsRequest(profile=json.dumps(fields))


def person(number: int) -> pb.ImportAgentsRequest:
    job = ("baker", "tailor", "nurse", "fisher")[number % 4]
    return line(
        id=f"p{number}",
        name=f"Person {number}",
        description=f"A {job} in Porto who wants shop number {number}.",
        synthetic=True,
    )


@dataclass
class Replica:
    """What a replica of the service is made of, without its server."""

    parts: Process
    groups: Changelog[GroupState]
    deciding: Publisher
    """The way out of its joins."""
    population: PopulationQueries = field(default_factory=PopulationQueries)
    actions: Fanout[WatchedAction] = field(default_factory=lambda: Fanout(capacity=8))

    def build(self, peers: Replicas) -> AgentStateServicer:
        prompts = prompts_of(services.agent_state)
        queries = SocietyQueries(self.groups)
        importer = Importer(self.parts.journal, self.parts.models, prompts)
        roster = GroupListing(queries, self.population, peers).roster
        decisions = Decisions(self.population.decisions, self.deciding, roster)
        importing = SocietyImport(
            importer,
            Joining(importer, decisions),
            self.parts.log,
            lambda: self.population.society,
            lambda: NOW,
        )
        return AgentStateServicer(
            queries,
            self.population,
            importing,
            self.parts.log,
            self.actions,
            peers,
            lambda: NOW,
        )

    async def catch_up(self) -> None:
        """Handle all that came as the owner of all groups."""
        society = Society(
            self.groups,
            self.parts.journal,
            self.parts.models,
            prompts_of(services.agent_state),
            self.parts.metrics.society,
        )
        routes = [
            *SocietyConsumer(society, self.parts.log).routes(),
            *self.population.broadcasts(),
            *ActionFeed(self.actions.publish).broadcasts(),
        ]
        await work(self.parts.worker("agent_state", routes))


@asynccontextmanager
async def serving(
    folder: Path, count: int = 1, deciding: Callable[[Log], Publisher] = lambda log: log
) -> AsyncIterator[tuple[list[Replica], list[grpc.aio.Channel]]]:
    log = open_log(folder / "log.db")
    async with process(log) as parts:
        all_of_them = [
            Replica(parts, Changelog(AGENTS.name, GROUP_STATE, log), deciding(log))
            for _ in range(count)
        ]
        builds = [replica.build for replica in all_of_them]
        async with replicas(add_AgentStateServiceServicer_to_server, NAME, *builds) as channels:
            yield all_of_them, channels
    await log.close()


async def imported(replica: Replica, channel: grpc.aio.Channel, people: int) -> Any:
    report = await send(channel, OPTIONS, *map(person, range(people)))
    await replica.catch_up()
    return report


async def split(all_of_them: list[Replica]) -> None:
    """Give the groups to the replicas in turn."""
    history = await all_of_them[0].parts.log.history(AGENTS.name)
    owners = {key: n % len(all_of_them) for n, key in enumerate(sorted({d.key for d in history}))}
    for number, replica in enumerate(all_of_them):
        # Without a value: a tombstone, as when somebody else takes a group over.
        replica.groups.restore(
            d if owners[d.key] == number else replace(d, value=b"") for d in history
        )


@asynccontextmanager
async def reading(*all_of_them: Replica) -> AsyncIterator[None]:
    """Have every replica read the population, and the first one own all groups."""
    first, *others = all_of_them

    async def catch_up() -> None:
        log = first.parts.log
        tails = [log.consumer(f"tail-{n}", [POPULATION.name]) for n in range(len(others))]
        while True:
            await first.catch_up()
            for replica, tail in zip(others, tails, strict=True):
                for delivery in await tail.poll(100, wait=False):
                    await replica.population.on_population(delivery)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(catch_up())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
