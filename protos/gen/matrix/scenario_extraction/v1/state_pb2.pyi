from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WindowState(_message.Message):
    __slots__ = ("applied_step", "window", "steps", "outcome")
    APPLIED_STEP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    applied_step: int
    window: int
    steps: _containers.RepeatedCompositeFieldContainer[_events_pb2.StepCompleted]
    outcome: _events_pb2.ScenarioExtracted
    def __init__(self, applied_step: _Optional[int] = ..., window: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[_events_pb2.StepCompleted, _Mapping]]] = ..., outcome: _Optional[_Union[_events_pb2.ScenarioExtracted, _Mapping]] = ...) -> None: ...
