from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetMetricsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReplicaMetrics(_message.Message):
    __slots__ = ("service", "replica_id", "version", "text")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    service: str
    replica_id: str
    version: str
    text: str
    def __init__(self, service: _Optional[str] = ..., replica_id: _Optional[str] = ..., version: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class UnreachableReplica(_message.Message):
    __slots__ = ("address", "reason")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    address: str
    reason: str
    def __init__(self, address: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class GetMetricsResponse(_message.Message):
    __slots__ = ("replicas", "unreachable")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaMetrics]
    unreachable: _containers.RepeatedCompositeFieldContainer[UnreachableReplica]
    def __init__(self, replicas: _Optional[_Iterable[_Union[ReplicaMetrics, _Mapping]]] = ..., unreachable: _Optional[_Iterable[_Union[UnreachableReplica, _Mapping]]] = ...) -> None: ...
