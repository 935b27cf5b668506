"""A group's modulator over a log and a simulated model, and what is sent to it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

import services.message_modulation
from services.events import (
    Action,
    AgentCard,
    AgentsActed,
    AgentsJoined,
    Appetite,
    Group,
    GroupFounded,
    JoinDecided,
    MessagesForwarded,
    Neighbour,
    Newcomer,
    Observation,
    PopulationSet,
    PopulationTarget,
    SocietyImported,
)
from services.events.topics import AGENTS_ACTED, GROUPS, POPULATION, Topic
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.simulator import SimulatorSettings
from services.message_modulation.application import Modulation
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.consumer import ModulationConsumer
from services.message_modulation.domain import Communication, ModulatorState
from services.message_modulation.routing import Router
from services.runtime.worker import Worker
from tests.integration.running import Process, events, process, publish, work

NEAR = tuple(Neighbour(f"g{n}", f"bread sellers of market {n} in Porto") for n in range(1, 9))
GROUP = Group("g0", "r00", "bakers and tailors of the market", NEAR)
LONELY = Group("g0", "r00", "a hermit")
PEOPLE = tuple(
    AgentCard(f"a{n}", name, f"{job} in Porto, sells bread and cloth at the market")
    for n, (name, job) in enumerate(
        [("Ada", "baker"), ("Ben", "tailor"), ("Cem", "baker"), ("Dia", "weaver")]
    )
)
SALE = "sells bread and cloth at the market in Porto with the baker and the tailor."
"""Has words of everybody, so that the simulated model makes many aware of it."""
WANTED = Appetite("r00", hungry=True)
UNWANTED = Appetite("r00", hungry=False)

Sent = (
    AgentsActed
    | AgentsJoined
    | MessagesForwarded
    | GroupFounded
    | Appetite
    | PopulationSet
    | PopulationTarget
    | SocietyImported
    | JoinDecided
)


def acted(step: int, *texts: str, group: Group = GROUP, planning: int = 1) -> AgentsActed:
    """Return a step in which one after the other does what the texts say."""
    actions = tuple(
        Action(f"{group.group_id}/{step}/{n}", PEOPLE[n].agent_id, PEOPLE[n].name, "plan", 1, text)
        for n, text in enumerate(texts)
    )
    return AgentsActed(group, step, PEOPLE, actions, planning)


def founded(group: Group = GROUP) -> GroupFounded:
    """Return the foundation of a group of these people."""
    newcomers = (Newcomer(p.agent_id, p.name, p.headline, f"{p.name}, new here") for p in PEOPLE)
    return GroupFounded(group, tuple(newcomers))


def news(step: int, text: str, sender: str = "g7") -> MessagesForwarded:
    """Return a message to the group."""
    seen = Observation(f"{sender}/{step}", "zoe", "Zoe", text)
    return MessagesForwarded("g0", sender, step, (seen,))


def limit(max_agents: int | None, min_agents: int = 0) -> PopulationSet:
    """Return a limit; without a time, none would be an empty record, which deletes its key."""
    return PopulationSet(max_agents, set_at=1.0, min_agents=min_agents)


def target(active_agents: int | None) -> PopulationTarget:
    """Return what a controller says."""
    return PopulationTarget(active_agents, "slots are free", decided_at=1.0)


def place(event: Sent) -> tuple[Topic, str]:
    """Return topic and key of an event that a modulator takes in."""
    match event:
        case AgentsActed() | GroupFounded():
            return AGENTS_ACTED, event.group.group_id
        case MessagesForwarded() | AgentsJoined():
            return AGENTS_ACTED, event.group_id
        case Appetite():
            return POPULATION, f"appetite/{event.region}"
        case PopulationSet():
            return POPULATION, "limits"
        case PopulationTarget():
            return POPULATION, "target"
        case SocietyImported():
            return POPULATION, "society"
        case JoinDecided():
            return POPULATION, f"join/{event.number}"


async def forwarded(log: Log, sender: str = "g0") -> list[MessagesForwarded]:
    """Return what a group's modulator sent to other groups."""
    sent = [e for e in await events(log, AGENTS_ACTED) if isinstance(e, MessagesForwarded)]
    return [message for message in sent if message.from_group_id == sender]


@dataclass
class Running:
    """One life of the modulators."""

    process: Process
    modulation: Modulation
    consumer: ModulationConsumer

    async def handle(self, *sent: Sent) -> None:
        """Send events, each when those before it are done."""
        for event in sent:
            await publish(self.process.log, *place(event), event)
            await work(self.worker())

    def worker(self) -> Worker:
        """Return what takes in all that a modulator reads."""
        routes = [*self.consumer.routes(), *self.consumer.broadcasts()]
        return self.process.worker("message_modulation", routes)

    def state(self, group_id: str = "g0") -> ModulatorState:
        """Return a group's state."""
        found = self.modulation.groups.get(group_id)
        assert found is not None
        return found

    def named(self, listed: str, text: str) -> set[str]:
        """Return the ids that the model named as those of `people` or `groups` who hear it."""
        ids = {"people": [p.agent_id for p in PEOPLE], "groups": [n.group_id for n in NEAR]}
        field = {"people": "aware", "groups": "groups"}[listed]
        prompt = re.compile(rf"<{listed}>.*{re.escape(text)}", re.DOTALL)
        calls = [call for call in self.process.chat.log if prompt.search(call.prompts[0])]
        return {ids[listed][n - 1] for n in orjson.loads(calls[-1].answers[0])[field]}


@asynccontextmanager
async def running(
    log: Log, communication: Communication = "structured", **simulated: Any
) -> AsyncIterator[Running]:
    """Start the modulators over what the log holds; leaving them is a crash."""
    async with process(log, SimulatorSettings(**simulated)) as parts:
        groups = await parts.changelog(GROUPS, MODULATOR_STATE)
        router = Router(prompts_of(services.message_modulation), communication)
        modulation = Modulation(groups, parts.journal, router, parts.metrics.society)
        consumer = ModulationConsumer(modulation, log)
        consumer.restore(await log.history(POPULATION.name))
        yield Running(parts, modulation, consumer)
