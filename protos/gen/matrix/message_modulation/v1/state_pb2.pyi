from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModulatorState(_message.Message):
    __slots__ = ("group", "agents", "applied_step", "memory", "summary", "arrived", "senders", "resting", "parked", "token", "forwarded", "completed")
    class SendersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    GROUP_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_STEP_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_FIELD_NUMBER: _ClassVar[int]
    SENDERS_FIELD_NUMBER: _ClassVar[int]
    RESTING_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    group: _events_pb2.Group
    agents: _containers.RepeatedCompositeFieldContainer[_events_pb2.AgentCard]
    applied_step: int
    memory: _containers.RepeatedScalarFieldContainer[str]
    summary: str
    arrived: _containers.RepeatedCompositeFieldContainer[_events_pb2.Observation]
    senders: _containers.ScalarMap[str, int]
    resting: bool
    parked: bool
    token: _events_pb2.ObservationsDelivered
    forwarded: _containers.RepeatedCompositeFieldContainer[_events_pb2.MessagesForwarded]
    completed: _events_pb2.StepCompleted
    def __init__(self, group: _Optional[_Union[_events_pb2.Group, _Mapping]] = ..., agents: _Optional[_Iterable[_Union[_events_pb2.AgentCard, _Mapping]]] = ..., applied_step: _Optional[int] = ..., memory: _Optional[_Iterable[str]] = ..., summary: _Optional[str] = ..., arrived: _Optional[_Iterable[_Union[_events_pb2.Observation, _Mapping]]] = ..., senders: _Optional[_Mapping[str, int]] = ..., resting: _Optional[bool] = ..., parked: _Optional[bool] = ..., token: _Optional[_Union[_events_pb2.ObservationsDelivered, _Mapping]] = ..., forwarded: _Optional[_Iterable[_Union[_events_pb2.MessagesForwarded, _Mapping]]] = ..., completed: _Optional[_Union[_events_pb2.StepCompleted, _Mapping]] = ...) -> None: ...
