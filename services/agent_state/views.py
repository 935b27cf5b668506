"""People, groups and the population as they are shown to callers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.agent_state.domain import Agent, GroupState
from services.events import RankShift
from services.events.ranks import shifted


@dataclass(frozen=True, slots=True)
class Recollection:
    """Something that an agent remembers."""

    text: str
    step: int


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """A person as they are now."""

    agent_id: str
    name: str
    headline: str
    description: str
    born: bool
    personality: str
    goal: str
    plan: tuple[str, ...]
    plan_done: int
    memories: tuple[Recollection, ...]
    memory_summary: str
    group_id: str
    region: str
    step: int


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """A person in a list."""

    agent_id: str
    name: str
    headline: str
    born: bool
    group_id: str
    region: str


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A group in a list."""

    group_id: str
    region: str
    description: str
    agents: int
    rank: int
    step: int
    centroid: bytes = b""
    founding_rank: int = 0
    agent_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Population:
    """How large the society is."""

    agents: int = 0
    groups: int = 0
    regions: Mapping[str, int] = field(default_factory=dict)
    max_agents: int | None = None
    imported_at: float = 0.0
    min_agents: int = 0
    target_agents: int | None = None
    active_agents: int = 0
    """Of the groups that may go on now, on this replica."""
    reason: str = ""
    decided_at: float = 0.0


def profile_of(agent: Agent, state: GroupState) -> AgentProfile:
    """Return a person of a group as they are now."""
    return AgentProfile(
        agent_id=agent.agent_id,
        name=agent.name,
        headline=agent.headline,
        description=agent.description,
        born=agent.born,
        personality=agent.personality,
        goal=agent.goal,
        plan=agent.plan,
        plan_done=agent.plan_done,
        memories=tuple(Recollection(memory.text, memory.step) for memory in agent.memories),
        memory_summary=agent.memory_summary,
        group_id=state.group.group_id,
        region=state.group.region,
        step=state.applied_step,
    )


def summary_of(agent: Agent, state: GroupState) -> AgentSummary:
    """Return a person of a group in brief."""
    return AgentSummary(
        agent.agent_id,
        agent.name,
        agent.headline,
        agent.born,
        state.group.group_id,
        state.group.region,
    )


def group_summary_of(
    state: GroupState, shifts: Sequence[RankShift] = (), seats: bool = False
) -> GroupSummary:
    """Return a group in brief; `shifts` of ranks, `seats`: and what a join needs to know."""
    group = state.group
    summary = GroupSummary(
        group.group_id,
        group.region,
        group.description,
        len(state.agents),
        shifted(group.rank, shifts),
        state.applied_step,
    )
    if not seats:
        return summary
    return replace(
        summary,
        centroid=state.centroid,
        founding_rank=group.rank,
        agent_ids=tuple(agent.agent_id for agent in state.agents),
    )
