"""What callers want to know of people and groups; changes nothing."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from services.agent_state.decisions import DecisionLog
from services.agent_state.domain import GroupState
from services.agent_state.views import (
    AgentProfile,
    AgentSummary,
    GroupSummary,
    Population,
    group_summary_of,
    profile_of,
    summary_of,
)
from services.events import (
    Action,
    AgentsActed,
    Appetite,
    JoinDecided,
    PopulationSet,
    PopulationTarget,
    RankShift,
    SocietyImported,
    codec,
)
from services.events.limits import rank_limit
from services.events.ranks import shifted
from services.events.topics import AGENTS_ACTED, POPULATION
from services.runtime.errors import NotFound
from services.runtime.ports import Delivery
from services.runtime.state import Changelog
from services.runtime.worker import Route


@dataclass(frozen=True, slots=True)
class WatchedAction:
    """Something that a person did, as it is told to those who watch."""

    group_id: str
    region: str
    step: int
    action: Action


class ActionFeed:
    """Tells watchers what people do."""

    def __init__(self, tell: Callable[[WatchedAction], None]) -> None:
        self._tell = tell

    def broadcasts(self) -> list[Route]:
        """Return what handles the events, of which only the newest are wanted."""
        return [Route(AGENTS_ACTED.name, self.on_event)]

    async def on_event(self, delivery: Delivery) -> None:
        """Tell what a group did."""
        acted = codec.from_delivery(delivery)
        for action in acted.actions if isinstance(acted, AgentsActed) else ():
            group = acted.group
            self._tell(WatchedAction(group.group_id, group.region, acted.step, action))


class SocietyQueries:
    """The people and groups that this replica owns."""

    def __init__(self, groups: Changelog[GroupState]) -> None:
        self._groups = groups
        self._members: dict[str, tuple[str, ...]] = {}
        """Ids of the people of each group."""
        self._places: dict[str, tuple[str, int]] = {}
        """Region and rank of each group: states at rest are packed, and not to be looked into."""
        self._stale = True
        """Whether somebody came or went since the ids were sorted."""
        self._group_ids: list[str] = []
        self._group_of: dict[str, str] = {}
        self._agent_ids: list[str] = []
        groups.watch(self._note)

    def agent(self, agent_id: str) -> AgentProfile:
        """Return a person.

        Raises:
            NotFound: nobody of that id is in a group of this replica.
        """
        self._index()
        state = self._groups.get(self._group_of.get(agent_id, ""))
        for agent in state.agents if state is not None else ():
            if agent.agent_id == agent_id and state is not None:
                return profile_of(agent, state)
        raise NotFound(f"no agent {agent_id!r}: ids are those of ListAgents")

    def agents(
        self, after: str, limit: int, group_id: str = "", region: str = ""
    ) -> list[AgentSummary]:
        """Return up to `limit` people in order of id, from the first one after `after`."""
        self._index()
        found: list[AgentSummary] = []
        for place in range(bisect_right(self._agent_ids, after), len(self._agent_ids)):
            if len(found) == limit:
                break
            agent_id = self._agent_ids[place]
            state = self._groups.get(self._group_of[agent_id])
            if state is None or not _within(state, group_id, region):
                continue
            agent = next(agent for agent in state.agents if agent.agent_id == agent_id)
            found.append(summary_of(agent, state))
        return found

    def groups(
        self,
        after: str,
        limit: int,
        region: str = "",
        shifts: Sequence[RankShift] = (),
        seats: bool = False,
    ) -> list[GroupSummary]:
        """Return up to `limit` groups in order of id, from the first one after `after`.

        For `shifts` and `seats` see `views.group_summary_of`.
        """
        self._index()
        found: list[GroupSummary] = []
        for place in range(bisect_right(self._group_ids, after), len(self._group_ids)):
            if len(found) == limit:
                break
            state = self._groups.get(self._group_ids[place])
            if state is not None and _within(state, "", region):
                found.append(group_summary_of(state, shifts, seats))
        return found

    def active(
        self, regions: Collection[str], limit: int | None, shifts: Sequence[RankShift] = ()
    ) -> int:
        """Return the agents of the groups of these regions that `limit` agents leave room for."""
        return sum(
            len(self._members[group_id])
            for group_id, (region, rank) in self._places.items()
            if region in regions
            and (limit is None or shifted(rank, shifts) + len(self._members[group_id]) <= limit)
        )

    def _note(self, group_id: str, state: GroupState | None) -> None:
        """Take in who is in a group, or that it is not owned any more (None)."""
        members = None if state is None else tuple(agent.agent_id for agent in state.agents)
        if members == self._members.get(group_id):
            return
        self._stale = True
        if state is None or members is None:
            del self._members[group_id], self._places[group_id]
        else:
            self._members[group_id] = members
            self._places[group_id] = state.group.region, state.group.rank

    def _index(self) -> None:
        """Sort all ids again, if people or groups came or went."""
        if not self._stale:
            return
        self._stale, self._group_ids = False, sorted(self._members)
        self._group_of = {
            agent_id: group_id
            for group_id, members in self._members.items()
            for agent_id in members
        }
        self._agent_ids = sorted(self._group_of)


class PopulationQueries:
    """How large the society is, and how much of it may be active: every replica knows it."""

    def __init__(self) -> None:
        self.decisions = DecisionLog()
        self.limit = PopulationSet(None, 0.0)
        self.target = PopulationTarget(None, "", 0.0)
        self.wanted: set[str] = set()
        """Regions whose groups are to go on."""

    @property
    def society(self) -> SocietyImported | None:
        """The society; None before the first import."""
        return self.decisions.society

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads."""
        return [Route(POPULATION.name, self.on_population)]

    async def on_population(self, delivery: Delivery) -> None:
        """Learn of an import or a join, a limit, a target, or what is wanted."""
        self.restore([delivery])

    def restore(self, history: Iterable[Delivery]) -> None:
        """Learn all that the population topic holds."""
        for delivery in history:
            match codec.from_delivery(delivery):
                case SocietyImported() | JoinDecided() as event:
                    self.decisions.learn(event)
                case PopulationSet() as limit:
                    self.set_limit(limit)
                case PopulationTarget() as target:
                    self.set_target(target)
                case Appetite(region, hungry):
                    (self.wanted.add if hungry else self.wanted.discard)(region)

    def set_limit(self, limit: PopulationSet) -> None:
        """Take a limit over: the last one in the log is in force."""
        self.limit = limit

    def set_target(self, target: PopulationTarget) -> None:
        """Take a target over: the last one in the log is in force."""
        self.target = target

    @property
    def wanted_agents(self) -> int:
        """Agents of the regions that are wanted."""
        regions = self.society.regions if self.society is not None else {}
        return sum(regions.get(region, 0) for region in self.wanted)

    @property
    def rank_limit(self) -> int | None:
        """The limit for rank plus size of a group, see `rank_limit`."""
        limit, regions = self.limit, self.society.regions if self.society is not None else {}
        target = self.target.active_agents
        return rank_limit(target, limit.min_agents, limit.max_agents, regions, self.wanted)

    def population(self, active_agents: int = 0) -> Population:
        """Return the population; all zero before the first import."""
        known = Population() if self.society is None else _described(self.society)
        return replace(
            known,
            max_agents=self.limit.max_agents,
            min_agents=self.limit.min_agents,
            target_agents=self.target.active_agents,
            active_agents=active_agents,
            reason=self.target.reason,
            decided_at=self.target.decided_at,
        )


def _described(society: SocietyImported) -> Population:
    return Population(
        society.agents, society.groups, society.regions, imported_at=society.imported_at
    )


def _within(state: GroupState, group_id: str, region: str) -> bool:
    group = state.group
    return (not group_id or group.group_id == group_id) and (not region or group.region == region)
