from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Claim(_message.Message):
    __slots__ = ("candidate_id", "dataset", "stratum", "scenario_id", "agent_id", "index", "requirement", "group_id")
    CANDIDATE_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    candidate_id: str
    dataset: str
    stratum: str
    scenario_id: str
    agent_id: str
    index: int
    requirement: _events_pb2.Requirement
    group_id: str
    def __init__(self, candidate_id: _Optional[str] = ..., dataset: _Optional[str] = ..., stratum: _Optional[str] = ..., scenario_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., index: _Optional[int] = ..., requirement: _Optional[_Union[_events_pb2.Requirement, _Mapping]] = ..., group_id: _Optional[str] = ...) -> None: ...

class GroupClaims(_message.Message):
    __slots__ = ("claimed", "open")
    class ClaimedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    claimed: _containers.ScalarMap[str, int]
    open: _containers.RepeatedCompositeFieldContainer[Claim]
    def __init__(self, claimed: _Optional[_Mapping[str, int]] = ..., open: _Optional[_Iterable[_Union[Claim, _Mapping]]] = ...) -> None: ...
