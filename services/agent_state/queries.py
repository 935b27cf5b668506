"""What callers want to know of people and groups; changes nothing."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    JoinDecided,
    PopulationSet,
    RankShift,
    SocietyImported,
    codec,
)
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
        self._indexed: frozenset[tuple[str, int]] = frozenset()
        self._group_ids: list[str] = []
        self._group_of: dict[str, str] = {}
        self._agent_ids: list[str] = []

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

    def _index(self) -> None:
        """Sort all ids again, if groups came, went or grew; nobody leaves a group."""
        states = self._groups.values()
        present = frozenset((state.group.group_id, len(state.agents)) for state in states)
        if present == self._indexed:
            return
        self._indexed, self._group_ids = present, sorted(group_id for group_id, _ in present)
        self._group_of = {
            agent.agent_id: state.group.group_id
            for state in self._groups.values()
            for agent in state.agents
        }
        self._agent_ids = sorted(self._group_of)


class PopulationQueries:
    """How large the society is, and how much of it may be active: every replica knows it."""

    def __init__(self) -> None:
        self.decisions = DecisionLog()
        self._limit = PopulationSet(None, 0.0)

    @property
    def society(self) -> SocietyImported | None:
        """The society; None before the first import."""
        return self.decisions.society

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads."""
        return [Route(POPULATION.name, self.on_population)]

    async def on_population(self, delivery: Delivery) -> None:
        """Learn of an import or a join, or of a limit."""
        event = codec.from_delivery(delivery)
        if isinstance(event, SocietyImported | JoinDecided):
            self.decisions.learn(event)
        elif isinstance(event, PopulationSet):
            self.set_limit(event)

    def set_limit(self, limit: PopulationSet) -> None:
        """Take a limit over: the last one in the log is in force."""
        self._limit = limit

    def population(self) -> Population:
        """Return the population; all zero before the first import."""
        if self.society is None:
            return Population(max_agents=self._limit.max_agents)
        return Population(
            self.society.agents,
            self.society.groups,
            self.society.regions,
            self._limit.max_agents,
            self.society.imported_at,
        )


def _within(state: GroupState, group_id: str, region: str) -> bool:
    group = state.group
    return (not group_id or group.group_id == group_id) and (not region or group.region == region)
