"""The events that travel between the services, as values.

They mirror protos/matrix/events/v1/events.proto field by field; the .proto holds their meaning,
units and keys, and a test keeps the two equal. Nothing else is shared between services.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


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


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an instruction is asked to be."""

    requirement_id: str
    category: str
    complexity: int
    style: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """How the candidates of a dataset are filtered."""

    stages: tuple[str, ...] = ("static", "response")
    responses: int = 4
    max_response_tokens: int = 512
    min_instruction_words: int = 5
    max_instruction_words: int = 200
    min_response_words: int = 8
    max_response_words: int = 1000
    max_jaccard: float = 0.7
    min_distance: float = 0.08
    reward_quantile: float = 0.25


@dataclass(frozen=True, slots=True)
class Grant:
    """How many accepted samples a stratum may hold, and gives back."""

    stratum: str
    granted: int
    recall: int = 0


@dataclass(frozen=True, slots=True)
class DatasetDeclared:
    """A standing order for samples."""

    dataset: str
    kind: str
    size: int
    domain: str
    requirements: tuple[Requirement, ...]
    filter: FilterSpec
    grants: tuple[Grant, ...]
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a piece of work cost."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a sample comes from."""

    scenario_id: str
    group_id: str
    agent_id: str
    agent_ids: tuple[str, ...] = ()
    action_ids: tuple[str, ...] = ()
    prompt: str = ""
    instruction_model: str = ""
    response_model: str = ""
    reward_model: str = ""
    persona: str = ""


@dataclass(frozen=True, slots=True)
class InstructionGenerated:
    """An instruction in the words of a persona."""

    candidate_id: str
    dataset: str
    stratum: str
    kind: str
    requirement: Requirement
    instruction: str
    provenance: Provenance
    usage: Usage = field(default_factory=Usage)
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SampleJudged:
    """The verdict on a candidate, and all that explains it."""

    sample_id: str
    dataset: str
    stratum: str
    kind: str
    requirement: Requirement
    accepted: bool
    reason: str
    stage: str
    messages: tuple[ChatMessage, ...]
    provenance: Provenance
    rewards: tuple[float, ...] = ()
    chosen: int = -1
    scores: Mapping[str, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    created_at: float = 0.0
    embedding: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class QuotaReleased:
    """A stratum gives back quota that it was asked for."""

    dataset: str
    stratum: str
    released: int


@dataclass(frozen=True, slots=True)
class Appetite:
    """Whether the groups of a region are to go on."""

    region: str
    hungry: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SocietyImported:
    """The import is complete: every group has its token."""

    agents: int
    groups: int
    regions: Mapping[str, int]
    refused: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no handler could take."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, str]
    reason: str
    service: str
