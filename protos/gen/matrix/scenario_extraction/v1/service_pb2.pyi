from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetScenarioRequest(_message.Message):
    __slots__ = ("scenario_id",)
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    def __init__(self, scenario_id: _Optional[str] = ...) -> None: ...

class GetScenarioResponse(_message.Message):
    __slots__ = ("scenario",)
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    scenario: _events_pb2.ScenarioExtracted
    def __init__(self, scenario: _Optional[_Union[_events_pb2.ScenarioExtracted, _Mapping]] = ...) -> None: ...

class SearchScenariosRequest(_message.Message):
    __slots__ = ("query", "limit", "region")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    query: str
    limit: int
    region: str
    def __init__(self, query: _Optional[str] = ..., limit: _Optional[int] = ..., region: _Optional[str] = ...) -> None: ...

class FoundScenario(_message.Message):
    __slots__ = ("similarity", "scenario")
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    similarity: float
    scenario: _events_pb2.ScenarioExtracted
    def __init__(self, similarity: _Optional[float] = ..., scenario: _Optional[_Union[_events_pb2.ScenarioExtracted, _Mapping]] = ...) -> None: ...

class SearchScenariosResponse(_message.Message):
    __slots__ = ("scenarios",)
    SCENARIOS_FIELD_NUMBER: _ClassVar[int]
    scenarios: _containers.RepeatedCompositeFieldContainer[FoundScenario]
    def __init__(self, scenarios: _Optional[_Iterable[_Union[FoundScenario, _Mapping]]] = ...) -> None: ...

class WatchScenariosRequest(_message.Message):
    __slots__ = ("region",)
    REGION_FIELD_NUMBER: _ClassVar[int]
    region: str
    def __init__(self, region: _Optional[str] = ...) -> None: ...

class WatchScenariosResponse(_message.Message):
    __slots__ = ("scenario",)
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    scenario: _events_pb2.ScenarioExtracted
    def __init__(self, scenario: _Optional[_Union[_events_pb2.ScenarioExtracted, _Mapping]] = ...) -> None: ...
