from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Memory(_message.Message):
    __slots__ = ("text", "step", "embedding")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    text: str
    step: int
    embedding: bytes
    def __init__(self, text: _Optional[str] = ..., step: _Optional[int] = ..., embedding: _Optional[bytes] = ...) -> None: ...

class Agent(_message.Message):
    __slots__ = ("agent_id", "name", "headline", "description", "past_actions", "born", "personality", "goal", "plan", "plan_done", "memories", "memory_summary")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PAST_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    BORN_FIELD_NUMBER: _ClassVar[int]
    PERSONALITY_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    PLAN_DONE_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    headline: str
    description: str
    past_actions: _containers.RepeatedScalarFieldContainer[str]
    born: bool
    personality: str
    goal: str
    plan: _containers.RepeatedScalarFieldContainer[str]
    plan_done: int
    memories: _containers.RepeatedCompositeFieldContainer[Memory]
    memory_summary: str
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., headline: _Optional[str] = ..., description: _Optional[str] = ..., past_actions: _Optional[_Iterable[str]] = ..., born: _Optional[bool] = ..., personality: _Optional[str] = ..., goal: _Optional[str] = ..., plan: _Optional[_Iterable[str]] = ..., plan_done: _Optional[int] = ..., memories: _Optional[_Iterable[_Union[Memory, _Mapping]]] = ..., memory_summary: _Optional[str] = ...) -> None: ...

class GroupState(_message.Message):
    __slots__ = ("group", "agents", "applied_step", "outcome", "centroid")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_STEP_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CENTROID_FIELD_NUMBER: _ClassVar[int]
    group: _events_pb2.Group
    agents: _containers.RepeatedCompositeFieldContainer[Agent]
    applied_step: int
    outcome: _events_pb2.AgentsActed
    centroid: bytes
    def __init__(self, group: _Optional[_Union[_events_pb2.Group, _Mapping]] = ..., agents: _Optional[_Iterable[_Union[Agent, _Mapping]]] = ..., applied_step: _Optional[int] = ..., outcome: _Optional[_Union[_events_pb2.AgentsActed, _Mapping]] = ..., centroid: _Optional[bytes] = ...) -> None: ...
