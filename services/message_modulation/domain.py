"""A group's modulator as a value, and the rules of routing and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from services.events import (
    AgentCard,
    Group,
    Inbox,
    MessagesForwarded,
    Observation,
    ObservationsDelivered,
    RankShift,
    RoutedAction,
    StepCompleted,
)
from services.events.ranks import shifted
from services.runtime.ids import derived_id

Communication = Literal["structured", "random", "none"]
"""How messages find their receivers; the paper's ablation (its table on communication)."""

MEMORY_KEPT = 16
"""Events in a modulator's memory before the older half is summarised."""
NEWS_KEPT = 4
"""Messages from other groups that a modulator attends to in a step: the newest ones."""
RANDOM_SHARE = 0.4
"""Under random communication: the chance of any member to hear of any action."""
RANDOM_FORWARD_SHARE = 0.25
"""Under random communication: the chance of any neighbouring group to hear of any action."""


@dataclass(frozen=True, slots=True)
class ModulatorState:
    """A group's modulator after a step."""

    group: Group
    agents: tuple[AgentCard, ...]
    applied_step: int = -1
    memory: tuple[str, ...] = ()
    summary: str = ""
    arrived: tuple[Observation, ...] = ()
    senders: Mapping[str, int] = field(default_factory=dict)
    resting: bool = False
    parked: bool = False
    token: ObservationsDelivered | None = None
    forwarded: tuple[MessagesForwarded, ...] = ()
    completed: StepCompleted | None = None


def within_limit(
    rank: int, agents: int, max_agents: int | None, shifts: Sequence[RankShift] = ()
) -> bool:
    """Return whether a group is among the first ones that `max_agents` agents leave room for.

    Ranks are partial sums of sizes: whatever the limit, those within it come first in the order of
    ranks and have together at most `max_agents` agents, and nobody has to count them. None: no
    limit. Ranks are as the groups were founded; `shifts` tells how far they moved since.
    """
    return max_agents is None or shifted(rank, shifts) + agents <= max_agents


def listed(indices: object, count: int) -> list[int]:
    """Return the places (from 0) that a model named by numbers from 1; others are dropped."""
    if not isinstance(indices, list):
        return []
    numbers = {i for i in indices if isinstance(i, int) and not isinstance(i, bool)}
    return sorted(i - 1 for i in numbers if 1 <= i <= count)


def random_receivers(rng: Random, candidates: Sequence[str], share: float) -> tuple[str, ...]:
    """Return each candidate with probability `share`, whatever the message says."""
    return tuple(c for c in candidates if rng.random() < share)


def as_observation(routed: RoutedAction) -> Observation:
    """Return an action as others perceive it."""
    action = routed.action
    return Observation(action.action_id, action.agent_id, action.agent_name, action.text)


def inboxes(
    agents: Sequence[AgentCard],
    routed: Sequence[RoutedAction],
    arrived: Sequence[tuple[Observation, tuple[str, ...]]],
) -> tuple[Inbox, ...]:
    """Return what each agent observes next: actions of its group, and news from other groups."""
    observations: dict[str, list[Observation]] = {agent.agent_id: [] for agent in agents}
    for action in routed:
        for agent_id in action.aware_agent_ids:
            observations[agent_id].append(as_observation(action))
    for observation, aware in arrived:
        for agent_id in aware:
            observations[agent_id].append(observation)
    return tuple(Inbox(agent_id, tuple(own)) for agent_id, own in observations.items() if own)


def forwards(group_id: str, step: int, routed: Sequence[RoutedAction]) -> list[MessagesForwarded]:
    """Return one message per group that somebody thought should hear of an action."""
    by_group: dict[str, list[Observation]] = {}
    for action in routed:
        for target in action.aware_group_ids:
            by_group.setdefault(target, []).append(as_observation(action))
    return [
        MessagesForwarded(target, group_id, step, tuple(observations))
        for target, observations in sorted(by_group.items())
    ]


def message_cause(message: MessagesForwarded) -> str:
    """Return what makes a forwarded message the same message."""
    return derived_id("forward", message.from_group_id, message.from_step, message.group_id)


def bounded(memory: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the memory to keep, and the older half to be summarised if it grew too long."""
    if len(memory) <= MEMORY_KEPT:
        return tuple(memory), ()
    kept = MEMORY_KEPT // 2
    return tuple(memory[-kept:]), tuple(memory[:-kept])
