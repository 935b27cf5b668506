from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentCard(_message.Message):
    __slots__ = ("agent_id", "name", "headline", "persona", "goal")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    headline: str
    persona: str
    goal: str
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., headline: _Optional[str] = ..., persona: _Optional[str] = ..., goal: _Optional[str] = ...) -> None: ...

class Neighbour(_message.Message):
    __slots__ = ("group_id", "description")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    description: str
    def __init__(self, group_id: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("group_id", "region", "description", "neighbours", "rank")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    region: str
    description: str
    neighbours: _containers.RepeatedCompositeFieldContainer[Neighbour]
    rank: int
    def __init__(self, group_id: _Optional[str] = ..., region: _Optional[str] = ..., description: _Optional[str] = ..., neighbours: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ..., rank: _Optional[int] = ...) -> None: ...

class Newcomer(_message.Message):
    __slots__ = ("agent_id", "name", "headline", "description", "past_actions")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PAST_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    headline: str
    description: str
    past_actions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., headline: _Optional[str] = ..., description: _Optional[str] = ..., past_actions: _Optional[_Iterable[str]] = ...) -> None: ...

class GroupFounded(_message.Message):
    __slots__ = ("group", "newcomers", "centroid")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NEWCOMERS_FIELD_NUMBER: _ClassVar[int]
    CENTROID_FIELD_NUMBER: _ClassVar[int]
    group: Group
    newcomers: _containers.RepeatedCompositeFieldContainer[Newcomer]
    centroid: bytes
    def __init__(self, group: _Optional[_Union[Group, _Mapping]] = ..., newcomers: _Optional[_Iterable[_Union[Newcomer, _Mapping]]] = ..., centroid: _Optional[bytes] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("message_id", "from_agent_id", "from_name", "text")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    from_agent_id: str
    from_name: str
    text: str
    def __init__(self, message_id: _Optional[str] = ..., from_agent_id: _Optional[str] = ..., from_name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Inbox(_message.Message):
    __slots__ = ("agent_id", "observations")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, agent_id: _Optional[str] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class ObservationsDelivered(_message.Message):
    __slots__ = ("group_id", "step", "inboxes")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    INBOXES_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    step: int
    inboxes: _containers.RepeatedCompositeFieldContainer[Inbox]
    def __init__(self, group_id: _Optional[str] = ..., step: _Optional[int] = ..., inboxes: _Optional[_Iterable[_Union[Inbox, _Mapping]]] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("action_id", "agent_id", "agent_name", "kind", "plan_step", "text", "observed")
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PLAN_STEP_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    action_id: str
    agent_id: str
    agent_name: str
    kind: str
    plan_step: int
    text: str
    observed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, action_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., agent_name: _Optional[str] = ..., kind: _Optional[str] = ..., plan_step: _Optional[int] = ..., text: _Optional[str] = ..., observed: _Optional[_Iterable[str]] = ...) -> None: ...

class AgentsActed(_message.Message):
    __slots__ = ("group", "step", "agents", "actions", "planning")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    PLANNING_FIELD_NUMBER: _ClassVar[int]
    group: Group
    step: int
    agents: _containers.RepeatedCompositeFieldContainer[AgentCard]
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    planning: int
    def __init__(self, group: _Optional[_Union[Group, _Mapping]] = ..., step: _Optional[int] = ..., agents: _Optional[_Iterable[_Union[AgentCard, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ..., planning: _Optional[int] = ...) -> None: ...

class RoutedAction(_message.Message):
    __slots__ = ("action", "plausible", "aware_agent_ids", "aware_group_ids", "reason")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PLAUSIBLE_FIELD_NUMBER: _ClassVar[int]
    AWARE_AGENT_IDS_FIELD_NUMBER: _ClassVar[int]
    AWARE_GROUP_IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    action: Action
    plausible: bool
    aware_agent_ids: _containers.RepeatedScalarFieldContainer[str]
    aware_group_ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, action: _Optional[_Union[Action, _Mapping]] = ..., plausible: _Optional[bool] = ..., aware_agent_ids: _Optional[_Iterable[str]] = ..., aware_group_ids: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class MessagesForwarded(_message.Message):
    __slots__ = ("group_id", "from_group_id", "from_step", "observations")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    from_group_id: str
    from_step: int
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, group_id: _Optional[str] = ..., from_group_id: _Optional[str] = ..., from_step: _Optional[int] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class StepCompleted(_message.Message):
    __slots__ = ("group", "step", "agents", "actions", "arrived", "resting")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_FIELD_NUMBER: _ClassVar[int]
    RESTING_FIELD_NUMBER: _ClassVar[int]
    group: Group
    step: int
    agents: _containers.RepeatedCompositeFieldContainer[AgentCard]
    actions: _containers.RepeatedCompositeFieldContainer[RoutedAction]
    arrived: _containers.RepeatedCompositeFieldContainer[Observation]
    resting: bool
    def __init__(self, group: _Optional[_Union[Group, _Mapping]] = ..., step: _Optional[int] = ..., agents: _Optional[_Iterable[_Union[AgentCard, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[RoutedAction, _Mapping]]] = ..., arrived: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ..., resting: _Optional[bool] = ...) -> None: ...

class ScenarioExtracted(_message.Message):
    __slots__ = ("scenario_id", "group_id", "region", "window", "first_step", "last_step", "summary", "agents", "actions", "embedding")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    group_id: str
    region: str
    window: int
    first_step: int
    last_step: int
    summary: str
    agents: _containers.RepeatedCompositeFieldContainer[AgentCard]
    actions: _containers.RepeatedCompositeFieldContainer[RoutedAction]
    embedding: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, scenario_id: _Optional[str] = ..., group_id: _Optional[str] = ..., region: _Optional[str] = ..., window: _Optional[int] = ..., first_step: _Optional[int] = ..., last_step: _Optional[int] = ..., summary: _Optional[str] = ..., agents: _Optional[_Iterable[_Union[AgentCard, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[RoutedAction, _Mapping]]] = ..., embedding: _Optional[_Iterable[float]] = ...) -> None: ...

class Requirement(_message.Message):
    __slots__ = ("requirement_id", "category", "complexity", "style", "text")
    REQUIREMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    requirement_id: str
    category: str
    complexity: int
    style: str
    text: str
    def __init__(self, requirement_id: _Optional[str] = ..., category: _Optional[str] = ..., complexity: _Optional[int] = ..., style: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class FilterSpec(_message.Message):
    __slots__ = ("stages", "responses", "max_response_tokens", "min_instruction_words", "max_instruction_words", "min_response_words", "max_response_words", "max_jaccard", "min_distance", "reward_quantile", "student_responses", "rip_quantile", "margin_quantile", "max_length_ratio", "rollouts", "screening_rollouts", "min_success", "max_success", "min_turns", "max_turns", "min_benign_share", "min_chance", "min_agreement", "language", "max_word_jaccard", "tell_response_words", "min_trace_words", "max_trace_words")
    STAGES_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MIN_INSTRUCTION_WORDS_FIELD_NUMBER: _ClassVar[int]
    MAX_INSTRUCTION_WORDS_FIELD_NUMBER: _ClassVar[int]
    MIN_RESPONSE_WORDS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_WORDS_FIELD_NUMBER: _ClassVar[int]
    MAX_JACCARD_FIELD_NUMBER: _ClassVar[int]
    MIN_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    REWARD_QUANTILE_FIELD_NUMBER: _ClassVar[int]
    STUDENT_RESPONSES_FIELD_NUMBER: _ClassVar[int]
    RIP_QUANTILE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_QUANTILE_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_RATIO_FIELD_NUMBER: _ClassVar[int]
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    SCREENING_ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    MIN_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MAX_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MIN_TURNS_FIELD_NUMBER: _ClassVar[int]
    MAX_TURNS_FIELD_NUMBER: _ClassVar[int]
    MIN_BENIGN_SHARE_FIELD_NUMBER: _ClassVar[int]
    MIN_CHANCE_FIELD_NUMBER: _ClassVar[int]
    MIN_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_WORD_JACCARD_FIELD_NUMBER: _ClassVar[int]
    TELL_RESPONSE_WORDS_FIELD_NUMBER: _ClassVar[int]
    MIN_TRACE_WORDS_FIELD_NUMBER: _ClassVar[int]
    MAX_TRACE_WORDS_FIELD_NUMBER: _ClassVar[int]
    stages: _containers.RepeatedScalarFieldContainer[str]
    responses: int
    max_response_tokens: int
    min_instruction_words: int
    max_instruction_words: int
    min_response_words: int
    max_response_words: int
    max_jaccard: float
    min_distance: float
    reward_quantile: float
    student_responses: int
    rip_quantile: float
    margin_quantile: float
    max_length_ratio: float
    rollouts: int
    screening_rollouts: int
    min_success: float
    max_success: float
    min_turns: int
    max_turns: int
    min_benign_share: float
    min_chance: float
    min_agreement: float
    language: str
    max_word_jaccard: float
    tell_response_words: bool
    min_trace_words: int
    max_trace_words: int
    def __init__(self, stages: _Optional[_Iterable[str]] = ..., responses: _Optional[int] = ..., max_response_tokens: _Optional[int] = ..., min_instruction_words: _Optional[int] = ..., max_instruction_words: _Optional[int] = ..., min_response_words: _Optional[int] = ..., max_response_words: _Optional[int] = ..., max_jaccard: _Optional[float] = ..., min_distance: _Optional[float] = ..., reward_quantile: _Optional[float] = ..., student_responses: _Optional[int] = ..., rip_quantile: _Optional[float] = ..., margin_quantile: _Optional[float] = ..., max_length_ratio: _Optional[float] = ..., rollouts: _Optional[int] = ..., screening_rollouts: _Optional[int] = ..., min_success: _Optional[float] = ..., max_success: _Optional[float] = ..., min_turns: _Optional[int] = ..., max_turns: _Optional[int] = ..., min_benign_share: _Optional[float] = ..., min_chance: _Optional[float] = ..., min_agreement: _Optional[float] = ..., language: _Optional[str] = ..., max_word_jaccard: _Optional[float] = ..., tell_response_words: _Optional[bool] = ..., min_trace_words: _Optional[int] = ..., max_trace_words: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("stratum", "granted", "recall")
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    stratum: str
    granted: int
    recall: int
    def __init__(self, stratum: _Optional[str] = ..., granted: _Optional[int] = ..., recall: _Optional[int] = ...) -> None: ...

class DatasetDeclared(_message.Message):
    __slots__ = ("dataset", "kind", "size", "domain", "requirements", "filter", "grants", "created_at", "revision", "weight", "continuous", "paused", "deleted", "seed", "categories", "complexities", "styles", "balance", "steer")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITIES_FIELD_NUMBER: _ClassVar[int]
    STYLES_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    STEER_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    kind: str
    size: int
    domain: str
    requirements: _containers.RepeatedCompositeFieldContainer[Requirement]
    filter: FilterSpec
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    created_at: float
    revision: int
    weight: float
    continuous: bool
    paused: bool
    deleted: bool
    seed: int
    categories: _containers.RepeatedScalarFieldContainer[str]
    complexities: _containers.RepeatedScalarFieldContainer[int]
    styles: _containers.RepeatedScalarFieldContainer[str]
    balance: str
    steer: str
    def __init__(self, dataset: _Optional[str] = ..., kind: _Optional[str] = ..., size: _Optional[int] = ..., domain: _Optional[str] = ..., requirements: _Optional[_Iterable[_Union[Requirement, _Mapping]]] = ..., filter: _Optional[_Union[FilterSpec, _Mapping]] = ..., grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., created_at: _Optional[float] = ..., revision: _Optional[int] = ..., weight: _Optional[float] = ..., continuous: _Optional[bool] = ..., paused: _Optional[bool] = ..., deleted: _Optional[bool] = ..., seed: _Optional[int] = ..., categories: _Optional[_Iterable[str]] = ..., complexities: _Optional[_Iterable[int]] = ..., styles: _Optional[_Iterable[str]] = ..., balance: _Optional[str] = ..., steer: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("calls", "prompt_tokens", "completion_tokens")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    def __init__(self, calls: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("scenario_id", "group_id", "agent_id", "agent_ids", "action_ids", "prompt", "instruction_model", "response_model", "reward_model", "persona", "student_model", "held_out_model")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_IDS_FIELD_NUMBER: _ClassVar[int]
    ACTION_IDS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_MODEL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MODEL_FIELD_NUMBER: _ClassVar[int]
    REWARD_MODEL_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    STUDENT_MODEL_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_MODEL_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    group_id: str
    agent_id: str
    agent_ids: _containers.RepeatedScalarFieldContainer[str]
    action_ids: _containers.RepeatedScalarFieldContainer[str]
    prompt: str
    instruction_model: str
    response_model: str
    reward_model: str
    persona: str
    student_model: str
    held_out_model: str
    def __init__(self, scenario_id: _Optional[str] = ..., group_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., agent_ids: _Optional[_Iterable[str]] = ..., action_ids: _Optional[_Iterable[str]] = ..., prompt: _Optional[str] = ..., instruction_model: _Optional[str] = ..., response_model: _Optional[str] = ..., reward_model: _Optional[str] = ..., persona: _Optional[str] = ..., student_model: _Optional[str] = ..., held_out_model: _Optional[str] = ...) -> None: ...

class InstructionGenerated(_message.Message):
    __slots__ = ("candidate_id", "dataset", "stratum", "kind", "requirement", "instruction", "provenance", "usage", "created_at")
    CANDIDATE_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    candidate_id: str
    dataset: str
    stratum: str
    kind: str
    requirement: Requirement
    instruction: str
    provenance: Provenance
    usage: Usage
    created_at: float
    def __init__(self, candidate_id: _Optional[str] = ..., dataset: _Optional[str] = ..., stratum: _Optional[str] = ..., kind: _Optional[str] = ..., requirement: _Optional[_Union[Requirement, _Mapping]] = ..., instruction: _Optional[str] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., created_at: _Optional[float] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("policy", "text", "reward", "outcome")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    policy: str
    text: str
    reward: float
    outcome: str
    def __init__(self, policy: _Optional[str] = ..., text: _Optional[str] = ..., reward: _Optional[float] = ..., outcome: _Optional[str] = ...) -> None: ...

class SampleJudged(_message.Message):
    __slots__ = ("sample_id", "dataset", "stratum", "kind", "requirement", "accepted", "reason", "stage", "messages", "rewards", "chosen", "scores", "provenance", "usage", "created_at", "embedding", "student_responses", "rejected", "answer", "tests")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    STUDENT_RESPONSES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TESTS_FIELD_NUMBER: _ClassVar[int]
    sample_id: str
    dataset: str
    stratum: str
    kind: str
    requirement: Requirement
    accepted: bool
    reason: str
    stage: str
    messages: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    rewards: _containers.RepeatedScalarFieldContainer[float]
    chosen: int
    scores: _containers.ScalarMap[str, float]
    provenance: Provenance
    usage: Usage
    created_at: float
    embedding: _containers.RepeatedScalarFieldContainer[float]
    student_responses: _containers.RepeatedCompositeFieldContainer[Response]
    rejected: int
    answer: str
    tests: str
    def __init__(self, sample_id: _Optional[str] = ..., dataset: _Optional[str] = ..., stratum: _Optional[str] = ..., kind: _Optional[str] = ..., requirement: _Optional[_Union[Requirement, _Mapping]] = ..., accepted: _Optional[bool] = ..., reason: _Optional[str] = ..., stage: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ..., rewards: _Optional[_Iterable[float]] = ..., chosen: _Optional[int] = ..., scores: _Optional[_Mapping[str, float]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., created_at: _Optional[float] = ..., embedding: _Optional[_Iterable[float]] = ..., student_responses: _Optional[_Iterable[_Union[Response, _Mapping]]] = ..., rejected: _Optional[int] = ..., answer: _Optional[str] = ..., tests: _Optional[str] = ...) -> None: ...

class QuotaReleased(_message.Message):
    __slots__ = ("dataset", "stratum", "released")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    stratum: str
    released: int
    def __init__(self, dataset: _Optional[str] = ..., stratum: _Optional[str] = ..., released: _Optional[int] = ...) -> None: ...

class Appetite(_message.Message):
    __slots__ = ("region", "hungry", "reason")
    REGION_FIELD_NUMBER: _ClassVar[int]
    HUNGRY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    region: str
    hungry: bool
    reason: str
    def __init__(self, region: _Optional[str] = ..., hungry: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class SocietyImported(_message.Message):
    __slots__ = ("agents", "groups", "regions", "refused", "fingerprint", "imported_at", "joins", "shifts")
    class RegionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    JOINS_FIELD_NUMBER: _ClassVar[int]
    SHIFTS_FIELD_NUMBER: _ClassVar[int]
    agents: int
    groups: int
    regions: _containers.ScalarMap[str, int]
    refused: int
    fingerprint: str
    imported_at: float
    joins: int
    shifts: _containers.RepeatedCompositeFieldContainer[RankShift]
    def __init__(self, agents: _Optional[int] = ..., groups: _Optional[int] = ..., regions: _Optional[_Mapping[str, int]] = ..., refused: _Optional[int] = ..., fingerprint: _Optional[str] = ..., imported_at: _Optional[float] = ..., joins: _Optional[int] = ..., shifts: _Optional[_Iterable[_Union[RankShift, _Mapping]]] = ...) -> None: ...

class PopulationSet(_message.Message):
    __slots__ = ("max_agents", "set_at", "min_agents")
    MAX_AGENTS_FIELD_NUMBER: _ClassVar[int]
    SET_AT_FIELD_NUMBER: _ClassVar[int]
    MIN_AGENTS_FIELD_NUMBER: _ClassVar[int]
    max_agents: int
    set_at: float
    min_agents: int
    def __init__(self, max_agents: _Optional[int] = ..., set_at: _Optional[float] = ..., min_agents: _Optional[int] = ...) -> None: ...

class PopulationTarget(_message.Message):
    __slots__ = ("active_agents", "reason", "decided_at", "running", "backlog", "slots")
    ACTIVE_AGENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    active_agents: int
    reason: str
    decided_at: float
    running: float
    backlog: float
    slots: float
    def __init__(self, active_agents: _Optional[int] = ..., reason: _Optional[str] = ..., decided_at: _Optional[float] = ..., running: _Optional[float] = ..., backlog: _Optional[float] = ..., slots: _Optional[float] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("topic", "partition", "offset", "value", "headers", "reason", "service")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    value: bytes
    headers: _containers.ScalarMap[str, str]
    reason: str
    service: str
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., value: _Optional[bytes] = ..., headers: _Optional[_Mapping[str, str]] = ..., reason: _Optional[str] = ..., service: _Optional[str] = ...) -> None: ...

class RankShift(_message.Message):
    __slots__ = ("above", "by")
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    above: int
    by: int
    def __init__(self, above: _Optional[int] = ..., by: _Optional[int] = ...) -> None: ...

class AgentsJoined(_message.Message):
    __slots__ = ("group_id", "newcomers", "neighbours")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    NEWCOMERS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    newcomers: _containers.RepeatedCompositeFieldContainer[Newcomer]
    neighbours: _containers.RepeatedCompositeFieldContainer[Neighbour]
    def __init__(self, group_id: _Optional[str] = ..., newcomers: _Optional[_Iterable[_Union[Newcomer, _Mapping]]] = ..., neighbours: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ...) -> None: ...

class JoinDecided(_message.Message):
    __slots__ = ("number", "decision_id", "founded", "joined", "society", "carried_out")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    FOUNDED_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    SOCIETY_FIELD_NUMBER: _ClassVar[int]
    CARRIED_OUT_FIELD_NUMBER: _ClassVar[int]
    number: int
    decision_id: str
    founded: _containers.RepeatedCompositeFieldContainer[GroupFounded]
    joined: _containers.RepeatedCompositeFieldContainer[AgentsJoined]
    society: SocietyImported
    carried_out: bool
    def __init__(self, number: _Optional[int] = ..., decision_id: _Optional[str] = ..., founded: _Optional[_Iterable[_Union[GroupFounded, _Mapping]]] = ..., joined: _Optional[_Iterable[_Union[AgentsJoined, _Mapping]]] = ..., society: _Optional[_Union[SocietyImported, _Mapping]] = ..., carried_out: _Optional[bool] = ...) -> None: ...
