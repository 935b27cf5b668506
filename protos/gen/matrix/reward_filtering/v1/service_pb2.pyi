from matrix.events.v1 import events_pb2 as _events_pb2
from matrix.instruction_generation.v1 import service_pb2 as _service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    EXPORT_FORMAT_PARQUET: _ClassVar[ExportFormat]
    EXPORT_FORMAT_JSONL: _ClassVar[ExportFormat]
EXPORT_FORMAT_UNSPECIFIED: ExportFormat
EXPORT_FORMAT_PARQUET: ExportFormat
EXPORT_FORMAT_JSONL: ExportFormat

class JudgeSampleRequest(_message.Message):
    __slots__ = ("instruction", "responses", "kind", "filter")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    responses: _containers.RepeatedScalarFieldContainer[str]
    kind: str
    filter: _service_pb2.FilterOverrides
    def __init__(self, instruction: _Optional[str] = ..., responses: _Optional[_Iterable[str]] = ..., kind: _Optional[str] = ..., filter: _Optional[_Union[_service_pb2.FilterOverrides, _Mapping]] = ...) -> None: ...

class JudgeSampleResponse(_message.Message):
    __slots__ = ("accepted", "stage", "reason", "static_reason", "instruction", "responses", "rewards", "chosen", "scores", "usage", "response_model", "reward_model")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATIC_REASON_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MODEL_FIELD_NUMBER: _ClassVar[int]
    REWARD_MODEL_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    stage: str
    reason: str
    static_reason: str
    instruction: str
    responses: _containers.RepeatedScalarFieldContainer[str]
    rewards: _containers.RepeatedScalarFieldContainer[float]
    chosen: int
    scores: _containers.ScalarMap[str, float]
    usage: _events_pb2.Usage
    response_model: str
    reward_model: str
    def __init__(self, accepted: _Optional[bool] = ..., stage: _Optional[str] = ..., reason: _Optional[str] = ..., static_reason: _Optional[str] = ..., instruction: _Optional[str] = ..., responses: _Optional[_Iterable[str]] = ..., rewards: _Optional[_Iterable[float]] = ..., chosen: _Optional[int] = ..., scores: _Optional[_Mapping[str, float]] = ..., usage: _Optional[_Union[_events_pb2.Usage, _Mapping]] = ..., response_model: _Optional[str] = ..., reward_model: _Optional[str] = ...) -> None: ...

class GetSampleRequest(_message.Message):
    __slots__ = ("sample_id",)
    SAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    sample_id: str
    def __init__(self, sample_id: _Optional[str] = ...) -> None: ...

class GetSampleResponse(_message.Message):
    __slots__ = ("sample",)
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    sample: _events_pb2.SampleJudged
    def __init__(self, sample: _Optional[_Union[_events_pb2.SampleJudged, _Mapping]] = ...) -> None: ...

class ListSamplesRequest(_message.Message):
    __slots__ = ("dataset", "page_size", "page_token", "include_rejected")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_REJECTED_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    page_size: int
    page_token: str
    include_rejected: bool
    def __init__(self, dataset: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_rejected: _Optional[bool] = ...) -> None: ...

class ListSamplesResponse(_message.Message):
    __slots__ = ("samples", "next_page_token")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    samples: _containers.RepeatedCompositeFieldContainer[_events_pb2.SampleJudged]
    next_page_token: str
    def __init__(self, samples: _Optional[_Iterable[_Union[_events_pb2.SampleJudged, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDatasetStatsRequest(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    def __init__(self, dataset: _Optional[str] = ...) -> None: ...

class DatasetStats(_message.Message):
    __slots__ = ("accepted", "rejected", "usage", "tokens_per_accepted", "newest_at", "delivered")
    class RejectedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NEWEST_AT_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejected: _containers.ScalarMap[str, int]
    usage: _events_pb2.Usage
    tokens_per_accepted: float
    newest_at: float
    delivered: int
    def __init__(self, accepted: _Optional[int] = ..., rejected: _Optional[_Mapping[str, int]] = ..., usage: _Optional[_Union[_events_pb2.Usage, _Mapping]] = ..., tokens_per_accepted: _Optional[float] = ..., newest_at: _Optional[float] = ..., delivered: _Optional[int] = ...) -> None: ...

class GetDatasetStatsResponse(_message.Message):
    __slots__ = ("stats",)
    STATS_FIELD_NUMBER: _ClassVar[int]
    stats: DatasetStats
    def __init__(self, stats: _Optional[_Union[DatasetStats, _Mapping]] = ...) -> None: ...

class ExportDatasetRequest(_message.Message):
    __slots__ = ("dataset", "format", "shape", "rollouts")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    format: ExportFormat
    shape: str
    rollouts: int
    def __init__(self, dataset: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., shape: _Optional[str] = ..., rollouts: _Optional[int] = ...) -> None: ...

class FileChunk(_message.Message):
    __slots__ = ("path", "data")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    path: str
    data: bytes
    def __init__(self, path: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class ExportSummary(_message.Message):
    __slots__ = ("version", "rows", "files", "bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    version: int
    rows: int
    files: int
    bytes: int
    def __init__(self, version: _Optional[int] = ..., rows: _Optional[int] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class ExportDatasetResponse(_message.Message):
    __slots__ = ("chunk", "summary")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    chunk: FileChunk
    summary: ExportSummary
    def __init__(self, chunk: _Optional[_Union[FileChunk, _Mapping]] = ..., summary: _Optional[_Union[ExportSummary, _Mapping]] = ...) -> None: ...

class ReportDatasetRequest(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    def __init__(self, dataset: _Optional[str] = ...) -> None: ...

class ReportSummary(_message.Message):
    __slots__ = ("accepted", "candidates", "bytes")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    candidates: int
    bytes: int
    def __init__(self, accepted: _Optional[int] = ..., candidates: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class ReportDatasetResponse(_message.Message):
    __slots__ = ("chunk", "summary")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    summary: ReportSummary
    def __init__(self, chunk: _Optional[bytes] = ..., summary: _Optional[_Union[ReportSummary, _Mapping]] = ...) -> None: ...

class WatchSamplesRequest(_message.Message):
    __slots__ = ("dataset", "include_rejected")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_REJECTED_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    include_rejected: bool
    def __init__(self, dataset: _Optional[str] = ..., include_rejected: _Optional[bool] = ...) -> None: ...

class WatchSamplesResponse(_message.Message):
    __slots__ = ("sample",)
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    sample: _events_pb2.SampleJudged
    def __init__(self, sample: _Optional[_Union[_events_pb2.SampleJudged, _Mapping]] = ...) -> None: ...
