"""The two services of the ring as processes that die and take over from one another."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

import services.agent_state
import services.message_modulation
from services.agent_state.application import Society
from services.agent_state.codec import GROUP_STATE
from services.agent_state.consumer import SocietyConsumer
from services.events import AgentsActed, GroupFounded, MessagesForwarded
from services.events.topics import (
    AGENTS,
    AGENTS_ACTED,
    GROUPS,
    MODEL_ANSWERS,
    OBSERVATIONS_DELIVERED,
    POPULATION,
    STEP_COMPLETED,
)
from services.local.composition import prompts_of
from services.local.log import Log, LogConsumer
from services.message_modulation.application import Modulation
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.consumer import ModulationConsumer
from services.message_modulation.routing import Router
from services.runtime.journal import ModelJournal
from services.runtime.ports import Record
from services.runtime.state import Changelog
from tests.integration.running import Process, events


class DeadError(Exception):
    """The process is dead."""


class Mortal:
    """The way out of one process: when its time has come, some of the records are lost."""

    def __init__(self, log: Log, rng: Random, left: int | None = None) -> None:
        self._log = log
        self._rng = rng
        self.left = left
        """Publishes until its death; it lives for ever when None."""

    async def publish(self, records: Sequence[Record]) -> None:
        if self.left is None or self.left > 0:
            self.left = None if self.left is None else self.left - 1
            await self._log.publish(records)
            return
        if self.left == 0:
            self.left = -1
            # Of several partitions, any may have been written before it died.
            await self._log.publish([r for r in records if self._rng.random() < 0.5])
        raise DeadError


@dataclass
class Owner:
    """One process of one service, as the owner of all partitions of its topic."""

    consumer: SocietyConsumer | ModulationConsumer
    publisher: Mortal
    restore: Callable[[], Awaitable[LogConsumer]]
    """Take over what the log holds; the reader goes on where the last owner committed."""
    source: LogConsumer

    async def turn(self, commit: bool = True) -> bool:
        """Handle the next message, and note that it did, unless `commit` is put off."""
        deliveries = await self.source.poll(1, wait=False)
        for delivery in deliveries:
            await self.consumer.on_event(delivery)
            if commit:
                place = (delivery.topic, delivery.partition)
                await self.source.commit({place: delivery.offset + 1})
        return bool(deliveries)


async def agents(parts: Process, rng: Random, left: int | None = None) -> Owner:
    """Start a process of agent_state over what the log holds."""
    publisher = Mortal(parts.log, rng, left)
    journal = ModelJournal(MODEL_ANSWERS.name, parts.models, publisher)
    prompts = prompts_of(services.agent_state)
    states = Changelog(AGENTS.name, GROUP_STATE, publisher)
    society = Society(states, journal, parts.models, prompts, parts.metrics.society)

    async def restore() -> LogConsumer:
        journal.restore(await parts.log.history(MODEL_ANSWERS.name))
        society.groups = Changelog(AGENTS.name, GROUP_STATE, publisher)
        society.groups.restore(await parts.log.history(AGENTS.name))
        return parts.log.consumer("agent_state", [OBSERVATIONS_DELIVERED.name])

    return Owner(SocietyConsumer(society, publisher), publisher, restore, await restore())


async def modulators(parts: Process, rng: Random, left: int | None = None) -> Owner:
    """Start a process of message_modulation over what the log holds."""
    publisher = Mortal(parts.log, rng, left)
    journal = ModelJournal(MODEL_ANSWERS.name, parts.models, publisher)
    router = Router(prompts_of(services.message_modulation), "random")
    states = Changelog(GROUPS.name, MODULATOR_STATE, publisher)
    modulation = Modulation(states, journal, router, parts.metrics.society)
    consumer = ModulationConsumer(modulation, publisher)

    async def restore() -> LogConsumer:
        journal.restore(await parts.log.history(MODEL_ANSWERS.name))
        modulation.groups = Changelog(GROUPS.name, MODULATOR_STATE, publisher)
        modulation.groups.watch(modulation.roster.note)
        modulation.groups.restore(await parts.log.history(GROUPS.name))
        consumer.restore(await parts.log.history(POPULATION.name))
        await consumer.release_parked()
        return parts.log.consumer("message_modulation", [AGENTS_ACTED.name])

    return Owner(consumer, publisher, restore, await restore())


@dataclass
class Traffic:
    """What went round the ring: how often, by what it was."""

    tokens: Counter[tuple[str, int]]
    acted: Counter[tuple[str, int]]
    completed: Counter[tuple[str, int]]
    forwarded: Counter[tuple[str, str, int]]
    founded: Counter[str]
    """As the modulators were told."""

    def steps(self, group_id: str) -> list[int]:
        """Return the steps that a group completed."""
        return sorted(step for group, step in self.completed if group == group_id)

    def repeats(self) -> int:
        """Return how many messages there are that say what was said before."""
        counts = (self.tokens, self.acted, self.completed, self.forwarded, self.founded)
        return sum(count.total() - len(count) for count in counts)


async def traffic(log: Log) -> Traffic:
    """Count what the log holds; whatever is repeated must be the same again."""
    delivered = await events(log, OBSERVATIONS_DELIVERED)
    happened = await events(log, AGENTS_ACTED)
    completed = await events(log, STEP_COMPLETED)
    tokens = [e for e in delivered if not isinstance(e, GroupFounded)]
    acted = [e for e in happened if isinstance(e, AgentsActed)]
    sent = [e for e in happened if isinstance(e, MessagesForwarded)]
    founded = [e for e in happened if isinstance(e, GroupFounded)]
    found = Traffic(
        Counter((e.group_id, e.step) for e in tokens),
        Counter((e.group.group_id, e.step) for e in acted),
        Counter((e.group.group_id, e.step) for e in completed),
        Counter((e.group_id, e.from_group_id, e.from_step) for e in sent),
        Counter(e.group.group_id for e in founded),
    )
    for repeated, count in (
        (tokens, found.tokens),
        (acted, found.acted),
        (completed, found.completed),
        (sent, found.forwarded),
        (founded, found.founded),
    ):
        assert len(set(map(repr, repeated))) == len(count)
    return found
