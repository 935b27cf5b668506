from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FilterOverrides(_message.Message):
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

class CreateDatasetRequest(_message.Message):
    __slots__ = ("name", "kind", "size", "continuous", "requirement", "weight", "filter", "seed", "categories", "complexities", "styles", "balance", "steer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITIES_FIELD_NUMBER: _ClassVar[int]
    STYLES_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    STEER_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    size: int
    continuous: bool
    requirement: str
    weight: float
    filter: FilterOverrides
    seed: int
    categories: _containers.RepeatedScalarFieldContainer[str]
    complexities: _containers.RepeatedScalarFieldContainer[int]
    styles: _containers.RepeatedScalarFieldContainer[str]
    balance: str
    steer: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., size: _Optional[int] = ..., continuous: _Optional[bool] = ..., requirement: _Optional[str] = ..., weight: _Optional[float] = ..., filter: _Optional[_Union[FilterOverrides, _Mapping]] = ..., seed: _Optional[int] = ..., categories: _Optional[_Iterable[str]] = ..., complexities: _Optional[_Iterable[int]] = ..., styles: _Optional[_Iterable[str]] = ..., balance: _Optional[str] = ..., steer: _Optional[str] = ...) -> None: ...

class DatasetStatus(_message.Message):
    __slots__ = ("dataset", "state", "size", "wanted", "accepted", "judged", "claimed", "rejected", "usage", "newest_at")
    class RejectedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_AT_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    state: str
    size: int
    wanted: int
    accepted: int
    judged: int
    claimed: int
    rejected: _containers.ScalarMap[str, int]
    usage: _events_pb2.Usage
    newest_at: float
    def __init__(self, dataset: _Optional[str] = ..., state: _Optional[str] = ..., size: _Optional[int] = ..., wanted: _Optional[int] = ..., accepted: _Optional[int] = ..., judged: _Optional[int] = ..., claimed: _Optional[int] = ..., rejected: _Optional[_Mapping[str, int]] = ..., usage: _Optional[_Union[_events_pb2.Usage, _Mapping]] = ..., newest_at: _Optional[float] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("order", "status")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    order: _events_pb2.DatasetDeclared
    status: DatasetStatus
    def __init__(self, order: _Optional[_Union[_events_pb2.DatasetDeclared, _Mapping]] = ..., status: _Optional[_Union[DatasetStatus, _Mapping]] = ...) -> None: ...

class CreateDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "next_page_token")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class ResumeDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteDatasetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PreviewInstructionRequest(_message.Message):
    __slots__ = ("scenario_id", "agent_id", "kind", "requirement", "seed")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    agent_id: str
    kind: str
    requirement: str
    seed: int
    def __init__(self, scenario_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., kind: _Optional[str] = ..., requirement: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class PreviewInstructionResponse(_message.Message):
    __slots__ = ("instruction", "prompt", "requirement", "agent_id", "model", "usage")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    prompt: str
    requirement: _events_pb2.Requirement
    agent_id: str
    model: str
    usage: _events_pb2.Usage
    def __init__(self, instruction: _Optional[str] = ..., prompt: _Optional[str] = ..., requirement: _Optional[_Union[_events_pb2.Requirement, _Mapping]] = ..., agent_id: _Optional[str] = ..., model: _Optional[str] = ..., usage: _Optional[_Union[_events_pb2.Usage, _Mapping]] = ...) -> None: ...
