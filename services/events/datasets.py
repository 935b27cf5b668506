"""Events of the line: orders, candidates and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    student_responses: int = 4
    rip_quantile: float = 0.5
    margin_quantile: float = 0.1
    max_length_ratio: float = 2.0
    rollouts: int = 16
    screening_rollouts: int = 4
    min_success: float = 0.2
    max_success: float = 0.8
    min_chance: float = 0.25
    min_agreement: float = 0.5
    min_turns: int = 2
    max_turns: int = 6
    min_benign_share: float = 0.2
    language: str = ""
    max_word_jaccard: float = 0.75
    tell_response_words: bool = False
    min_trace_words: int = 3
    max_trace_words: int = 500


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
    revision: int = 0
    weight: float = 1.0
    continuous: bool = False
    paused: bool = False
    deleted: bool = False
    seed: int = 0
    categories: tuple[str, ...] = ()
    complexities: tuple[int, ...] = ()
    styles: tuple[str, ...] = ()
    balance: str = "population"
    steer: str = "acceptance"


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
    student_model: str = ""
    held_out_model: str = ""


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
class Response:
    """One sampled response of a policy, and what was measured of it."""

    policy: str
    """`teacher` or `student`."""
    text: str
    reward: float | None = None
    outcome: str = ""
    """Of a check: `correct`, `wrong`, `no_answer`, or how its code ended; empty without one."""


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
    student_responses: tuple[Response, ...] = ()
    rejected: int = -1
    answer: str = ""
    tests: str = ""


@dataclass(frozen=True, slots=True)
class QuotaReleased:
    """A stratum gives back quota that it was asked for."""

    dataset: str
    stratum: str
    released: int
