from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetGroupRequest(_message.Message):
    __slots__ = ("group_id",)
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    def __init__(self, group_id: _Optional[str] = ...) -> None: ...

class GroupView(_message.Message):
    __slots__ = ("group", "members", "memory", "summary", "applied_step", "resting", "parked")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    APPLIED_STEP_FIELD_NUMBER: _ClassVar[int]
    RESTING_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    group: _events_pb2.Group
    members: _containers.RepeatedCompositeFieldContainer[_events_pb2.AgentCard]
    memory: _containers.RepeatedScalarFieldContainer[str]
    summary: str
    applied_step: int
    resting: bool
    parked: bool
    def __init__(self, group: _Optional[_Union[_events_pb2.Group, _Mapping]] = ..., members: _Optional[_Iterable[_Union[_events_pb2.AgentCard, _Mapping]]] = ..., memory: _Optional[_Iterable[str]] = ..., summary: _Optional[str] = ..., applied_step: _Optional[int] = ..., resting: _Optional[bool] = ..., parked: _Optional[bool] = ...) -> None: ...

class GetGroupResponse(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: GroupView
    def __init__(self, group: _Optional[_Union[GroupView, _Mapping]] = ...) -> None: ...

class WatchMessagesRequest(_message.Message):
    __slots__ = ("group_id",)
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    def __init__(self, group_id: _Optional[str] = ...) -> None: ...

class WatchMessagesResponse(_message.Message):
    __slots__ = ("group_id", "region", "step", "action")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    region: str
    step: int
    action: _events_pb2.RoutedAction
    def __init__(self, group_id: _Optional[str] = ..., region: _Optional[str] = ..., step: _Optional[int] = ..., action: _Optional[_Union[_events_pb2.RoutedAction, _Mapping]] = ...) -> None: ...

class RouteActionRequest(_message.Message):
    __slots__ = ("group_id", "agent_id", "text")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    agent_id: str
    text: str
    def __init__(self, group_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class RouteActionResponse(_message.Message):
    __slots__ = ("plausible", "aware_agent_ids", "aware_group_ids", "reason")
    PLAUSIBLE_FIELD_NUMBER: _ClassVar[int]
    AWARE_AGENT_IDS_FIELD_NUMBER: _ClassVar[int]
    AWARE_GROUP_IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    plausible: bool
    aware_agent_ids: _containers.RepeatedScalarFieldContainer[str]
    aware_group_ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, plausible: _Optional[bool] = ..., aware_agent_ids: _Optional[_Iterable[str]] = ..., aware_group_ids: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...
