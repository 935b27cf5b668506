"""Events of the ring: who people are, what they do, and who becomes aware of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentCard:
    """What others of the society know of an agent."""

    agent_id: str
    name: str
    headline: str
    persona: str = ""
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A group that messages may be sent to."""

    group_id: str
    description: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group of similar agents, and the groups nearest to it."""

    group_id: str
    region: str
    description: str
    neighbours: tuple[Neighbour, ...] = ()
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Newcomer:
    """An imported person, before birth."""

    agent_id: str
    name: str
    headline: str
    description: str
    past_actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupFounded:
    """A group comes into being."""

    group: Group
    newcomers: tuple[Newcomer, ...]
    centroid: bytes = b""


@dataclass(frozen=True, slots=True)
class AgentsJoined:
    """People join a group."""

    group_id: str
    newcomers: tuple[Newcomer, ...]
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that an agent did, as others perceive it."""

    message_id: str
    from_agent_id: str
    from_name: str
    text: str


@dataclass(frozen=True, slots=True)
class Inbox:
    """The observations of one agent."""

    agent_id: str
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class ObservationsDelivered:
    """The token of a group's step: its agents may act."""

    group_id: str
    step: int
    inboxes: tuple[Inbox, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """One textual action of one agent."""

    action_id: str
    agent_id: str
    agent_name: str
    kind: str
    plan_step: int
    text: str
    observed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentsActed:
    """Every agent of a group that had a reason to act did so."""

    group: Group
    step: int
    agents: tuple[AgentCard, ...]
    actions: tuple[Action, ...]
    planning: int


@dataclass(frozen=True, slots=True)
class RoutedAction:
    """An action, and whom the modulator made aware of it."""

    action: Action
    plausible: bool = True
    aware_agent_ids: tuple[str, ...] = ()
    aware_group_ids: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MessagesForwarded:
    """What happened in one group and may be noticed in another."""

    group_id: str
    from_group_id: str
    from_step: int
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """A step whose actions are routed."""

    group: Group
    step: int
    agents: tuple[AgentCard, ...]
    actions: tuple[RoutedAction, ...]
    arrived: tuple[Observation, ...] = ()
    resting: bool = False


@dataclass(frozen=True, slots=True)
class ScenarioExtracted:
    """What happened in a window of steps."""

    scenario_id: str
    group_id: str
    region: str
    window: int
    first_step: int
    last_step: int
    summary: str
    agents: tuple[AgentCard, ...]
    actions: tuple[RoutedAction, ...]
    embedding: tuple[float, ...] = ()
