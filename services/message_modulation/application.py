"""A modulator's turn: route the step, then send the group on, let it rest, or park it."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from itertools import takewhile

from services.events import (
    AgentCard,
    AgentsActed,
    AgentsJoined,
    Group,
    GroupFounded,
    MessagesForwarded,
    Observation,
    ObservationsDelivered,
    SocietyImported,
    StepCompleted,
)
from services.events.limits import rank_limit
from services.message_modulation.domain import (
    NEWS_KEPT,
    ModulatorState,
    bounded,
    forwards,
    inboxes,
    within_limit,
)
from services.message_modulation.roster import Parked, Roster
from services.message_modulation.routing import Router
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.metrics import SocietyMetrics
from services.runtime.ports import Record
from services.runtime.state import Changelog

Outcome = tuple[ModulatorState | None, list[Record]]
"""The state whose outputs are to be published, if any, and the journal's tombstones."""


class Modulation:
    """The modulators of all groups that this process owns."""

    def __init__(
        self,
        groups: Changelog[ModulatorState],
        journal: ModelJournal,
        router: Router,
        metrics: SocietyMetrics,
    ) -> None:
        self.groups = groups
        self.wanted: set[str] = set()
        """Regions whose groups are to run; the others' are parked at the end of their step."""
        self.max_agents: int | None = None
        """Agents that may be active; no limit when None."""
        self.min_agents = 0
        """Agents that may be active whatever the target is."""
        self.target: int | None = None
        """Agents that are to be active; as many as may be when None."""
        self.society: SocietyImported | None = None
        """As it is, or is about to be: how far the ranks of groups moved as people joined."""
        self._journal = journal
        self._router = router
        self._metrics = metrics
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.roster = Roster(metrics)
        groups.watch(self.roster.note)

    def set_wanted(self, region: str, wanted: bool) -> None:
        """Note whether the groups of a region are to run."""
        (self.wanted.add if wanted else self.wanted.discard)(region)

    def set_society(self, society: SocietyImported) -> None:
        """Note how far ranks moved; a society of before counts no more."""
        if self.society is None or society.joins >= self.society.joins:
            self.society = society

    def may_run(self, state: ModulatorState) -> bool:
        """Return whether a group is to go on: its region is wanted, and it is within the limit."""
        group = state.group
        return self._may_run(Parked(group.rank, group.group_id, group.region, len(state.agents)))

    def _may_run(self, group: Parked) -> bool:
        return group.region in self.wanted and self._within(group, self._limit())

    def _within(self, group: Parked, limit: int | None) -> bool:
        shifts = self.society.shifts if self.society is not None else ()
        return within_limit(group.rank, group.agents, limit, shifts)

    def _limit(self) -> int | None:
        regions = self.society.regions if self.society is not None else {}
        return rank_limit(self.target, self.min_agents, self.max_agents, regions, self.wanted)

    def releasable(self) -> list[str]:
        """Return the groups that are parked and may run."""
        limit, found = self._limit(), []
        for region in self.wanted:
            # Those of a higher rank do not fit in when one does not.
            fitting = takewhile(
                lambda group: self._within(group, limit), self.roster.parked(region)
            )
            found += [group.group_id for group in fitting]
        return found

    @property
    def holds_back(self) -> bool:
        """Whether a group is parked only because the target leaves no room for it."""
        limit = self._limit()
        if limit == self.max_agents:
            return False
        first = (next(self.roster.parked(region), None) for region in self.wanted)
        return any(
            self._within(group, self.max_agents) and not self._within(group, limit)
            for group in first
            if group is not None
        )

    async def found(self, founded: GroupFounded) -> ModulatorState:
        """Hold the first token of a group; a repeat returns the state that it has."""
        known = self.groups.get(founded.group.group_id)
        # Messages may have come before: then there is a state, but without the group itself.
        if known is not None and known.agents:
            return known
        cards = tuple(AgentCard(n.agent_id, n.name, n.headline) for n in founded.newcomers)
        empty = ModulatorState(founded.group, cards)
        state = replace(
            known or empty,
            group=founded.group,
            agents=cards,
            parked=not self.may_run(empty),
            token=ObservationsDelivered(founded.group.group_id, 0),
        )
        await self.groups.put(founded.group.group_id, state)
        return state

    async def join(self, joined: AgentsJoined) -> ModulatorState | None:
        """Take in who joined a group; one that rests goes on, since newcomers have plans.

        Returns the state whose token is to be published, None where no such group was founded. A
        repeat changes nothing.
        """
        state = self.groups.get(joined.group_id)
        if state is None or not state.agents:
            return None
        present = {card.agent_id for card in state.agents}
        cards = [
            AgentCard(n.agent_id, n.name, n.headline)
            for n in joined.newcomers
            if n.agent_id not in present
        ]
        if not cards:
            return state
        grown = replace(state, agents=(*state.agents, *cards))
        if state.resting:
            token = ObservationsDelivered(joined.group_id, state.applied_step + 1)
            grown = replace(grown, resting=False, parked=not self.may_run(grown), token=token)
        await self.groups.put(joined.group_id, grown)
        return grown

    async def route_step(self, acted: AgentsActed) -> Outcome:
        """Route what a group did, and prepare its next token; a repeat returns the same again."""
        group_id = acted.group.group_id
        state = self.groups.get(group_id) or ModulatorState(acted.group, acted.agents)
        unit = self._journal.unit(f"route/{group_id}/{acted.step}", group_id)
        if acted.step <= state.applied_step:
            return (state if acted.step == state.applied_step else None), unit.forget()
        state = replace(state, group=acted.group, agents=acted.agents)
        routed, aware = await asyncio.gather(
            self._router.route(state, acted.actions, unit),
            self._noticed(state, state.arrived, unit),
        )
        arrived = list(zip(state.arrived, aware, strict=True))
        noticed = tuple(observation for observation, ids in arrived if ids)
        events = [f"{o.from_name}: {o.text}" for o in noticed]
        events += [f"{r.action.agent_name}: {r.action.text}" for r in routed if r.plausible]
        memory, older = bounded((*state.memory, *events))
        summary = state.summary
        if older:
            summary = await self._router.summarise(summary, older, unit)
        delivered = inboxes(acted.agents, routed, arrived)
        resting = not delivered and not acted.planning
        new_state = replace(
            state,
            applied_step=acted.step,
            memory=memory,
            summary=summary,
            arrived=(),
            resting=resting,
            parked=not resting and not self.may_run(state),
            token=None if resting else ObservationsDelivered(group_id, acted.step + 1, delivered),
            forwarded=tuple(forwards(group_id, acted.step, routed)),
            completed=StepCompleted(
                acted.group, acted.step, acted.agents, routed, noticed, resting
            ),
        )
        await self.groups.put(group_id, new_state)
        self._metrics.rests += resting
        self._metrics.routed += len(routed)
        self._metrics.implausible += sum(not r.plausible for r in routed)
        self._metrics.deliveries += sum(len(r.aware_agent_ids) for r in routed)
        self._metrics.forwarded += sum(len(r.aware_group_ids) for r in routed)
        return new_state, unit.forget()

    async def take_in(
        self, message: MessagesForwarded, published_step: int | None = None
    ) -> Outcome:
        """Keep a message from another group for the next routing; one that rests is woken.

        A sleeping group's modulator routes at once: if somebody notices, the group goes on, and
        the token of the state that is returned is to be published. What `published_step` brought
        out is in the log and needs no keeping: the state would be written with it, thrice as large,
        for each of several messages a step.
        """
        # A group that has not acted yet is known by its id only; its first step brings the rest.
        unknown = ModulatorState(Group(message.group_id, "", ""), ())
        state = self.groups.get(message.group_id) or unknown
        name = f"wake/{message.group_id}/{message.from_group_id}/{message.from_step}"
        unit = self._journal.unit(name, message.group_id)
        if message.from_step <= state.senders.get(message.from_group_id, -1):
            return (None if state.resting else state), unit.forget()
        if state.applied_step == published_step:
            state = replace(state, forwarded=(), completed=None)
        senders = {**state.senders, message.from_group_id: message.from_step}
        arrived = (*state.arrived, *message.observations)[-NEWS_KEPT:]
        if not state.resting:
            new_state = replace(state, senders=senders, arrived=arrived)
            await self.groups.put(message.group_id, new_state)
            return None, unit.forget()
        return await self._wake(replace(state, senders=senders, arrived=()), arrived, unit)

    async def _wake(
        self, state: ModulatorState, arrived: tuple[Observation, ...], unit: UnitOfWork
    ) -> Outcome:
        group_id = state.group.group_id
        aware = await self._noticed(state, arrived, unit)
        delivered = inboxes(state.agents, (), list(zip(arrived, aware, strict=True)))
        if not delivered:
            await self.groups.put(group_id, state)
            return None, unit.forget()
        noticed = [o for o, ids in zip(arrived, aware, strict=True) if ids]
        token = ObservationsDelivered(group_id, state.applied_step + 1, delivered)
        new_state = replace(
            state,
            memory=(*state.memory, *(f"{o.from_name}: {o.text}" for o in noticed)),
            resting=False,
            parked=not self.may_run(state),
            token=token,
        )
        await self.groups.put(group_id, new_state)
        return new_state, unit.forget()

    async def _noticed(
        self, state: ModulatorState, arrived: tuple[Observation, ...], unit: UnitOfWork
    ) -> list[tuple[str, ...]]:
        routing = (self._router.route_arrived(state, news, unit) for news in arrived)
        return list(await asyncio.gather(*routing))

    async def parked_token(self, group_id: str) -> ObservationsDelivered | None:
        """Return the token of a group that is parked though it may run."""
        place = self.roster.place(group_id)
        # Asked before the state is unpacked: another limit may have come for thousands of groups.
        if place is None or not self._may_run(place):
            return None
        state = self.groups.get(group_id)
        return None if state is None else state.token

    async def unpark(self, group_id: str) -> None:
        """Note that a parked group's token is on its way."""
        state = self.groups.get(group_id)
        if state is not None and state.parked:
            await self.groups.put(group_id, replace(state, parked=False))

    def lock(self, group_id: str) -> asyncio.Lock:
        """Return the lock to hold around what changes a group.

        A parked group is released by an event of its region, beside the lane of its own events.
        """
        return self._locks[group_id]
