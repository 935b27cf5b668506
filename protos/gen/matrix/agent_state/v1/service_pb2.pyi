from matrix.events.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImportOptions(_message.Message):
    __slots__ = ("seed", "join")
    SEED_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    seed: int
    join: bool
    def __init__(self, seed: _Optional[int] = ..., join: _Optional[bool] = ...) -> None: ...

class ImportAgentsRequest(_message.Message):
    __slots__ = ("options", "profile")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    options: ImportOptions
    profile: str
    def __init__(self, options: _Optional[_Union[ImportOptions, _Mapping]] = ..., profile: _Optional[str] = ...) -> None: ...

class LineError(_message.Message):
    __slots__ = ("line", "reason")
    LINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    line: int
    reason: str
    def __init__(self, line: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ImportAgentsResponse(_message.Message):
    __slots__ = ("agents", "groups", "regions", "errors", "refused", "joined", "joined_groups", "founded_groups", "present")
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
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    JOINED_GROUPS_FIELD_NUMBER: _ClassVar[int]
    FOUNDED_GROUPS_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    agents: int
    groups: int
    regions: _containers.ScalarMap[str, int]
    errors: _containers.RepeatedCompositeFieldContainer[LineError]
    refused: int
    joined: int
    joined_groups: int
    founded_groups: int
    present: int
    def __init__(self, agents: _Optional[int] = ..., groups: _Optional[int] = ..., regions: _Optional[_Mapping[str, int]] = ..., errors: _Optional[_Iterable[_Union[LineError, _Mapping]]] = ..., refused: _Optional[int] = ..., joined: _Optional[int] = ..., joined_groups: _Optional[int] = ..., founded_groups: _Optional[int] = ..., present: _Optional[int] = ...) -> None: ...

class GetAgentRequest(_message.Message):
    __slots__ = ("agent_id",)
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    def __init__(self, agent_id: _Optional[str] = ...) -> None: ...

class Recollection(_message.Message):
    __slots__ = ("text", "step")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    text: str
    step: int
    def __init__(self, text: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class AgentProfile(_message.Message):
    __slots__ = ("agent_id", "name", "headline", "description", "born", "personality", "goal", "plan", "plan_done", "memories", "memory_summary", "group_id", "region", "step")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BORN_FIELD_NUMBER: _ClassVar[int]
    PERSONALITY_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    PLAN_DONE_FIELD_NUMBER: _ClassVar[int]
    MEMORIES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    headline: str
    description: str
    born: bool
    personality: str
    goal: str
    plan: _containers.RepeatedScalarFieldContainer[str]
    plan_done: int
    memories: _containers.RepeatedCompositeFieldContainer[Recollection]
    memory_summary: str
    group_id: str
    region: str
    step: int
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., headline: _Optional[str] = ..., description: _Optional[str] = ..., born: _Optional[bool] = ..., personality: _Optional[str] = ..., goal: _Optional[str] = ..., plan: _Optional[_Iterable[str]] = ..., plan_done: _Optional[int] = ..., memories: _Optional[_Iterable[_Union[Recollection, _Mapping]]] = ..., memory_summary: _Optional[str] = ..., group_id: _Optional[str] = ..., region: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class GetAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: AgentProfile
    def __init__(self, agent: _Optional[_Union[AgentProfile, _Mapping]] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "group_id", "region")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    group_id: str
    region: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., group_id: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class AgentSummary(_message.Message):
    __slots__ = ("agent_id", "name", "headline", "born", "group_id", "region")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    BORN_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    headline: str
    born: bool
    group_id: str
    region: str
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., headline: _Optional[str] = ..., born: _Optional[bool] = ..., group_id: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents", "next_page_token")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentSummary]
    next_page_token: str
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListGroupsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "region", "seats")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    region: str
    seats: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., region: _Optional[str] = ..., seats: _Optional[bool] = ...) -> None: ...

class GroupSummary(_message.Message):
    __slots__ = ("group_id", "region", "description", "agents", "rank", "step", "centroid", "founding_rank", "agent_ids")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CENTROID_FIELD_NUMBER: _ClassVar[int]
    FOUNDING_RANK_FIELD_NUMBER: _ClassVar[int]
    AGENT_IDS_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    region: str
    description: str
    agents: int
    rank: int
    step: int
    centroid: bytes
    founding_rank: int
    agent_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, group_id: _Optional[str] = ..., region: _Optional[str] = ..., description: _Optional[str] = ..., agents: _Optional[int] = ..., rank: _Optional[int] = ..., step: _Optional[int] = ..., centroid: _Optional[bytes] = ..., founding_rank: _Optional[int] = ..., agent_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListGroupsResponse(_message.Message):
    __slots__ = ("groups", "next_page_token")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[GroupSummary]
    next_page_token: str
    def __init__(self, groups: _Optional[_Iterable[_Union[GroupSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Population(_message.Message):
    __slots__ = ("agents", "groups", "regions", "max_agents", "imported_at", "min_agents", "target_agents", "active_agents", "reason", "decided_at")
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
    MAX_AGENTS_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    MIN_AGENTS_FIELD_NUMBER: _ClassVar[int]
    TARGET_AGENTS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_AGENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    agents: int
    groups: int
    regions: _containers.ScalarMap[str, int]
    max_agents: int
    imported_at: float
    min_agents: int
    target_agents: int
    active_agents: int
    reason: str
    decided_at: float
    def __init__(self, agents: _Optional[int] = ..., groups: _Optional[int] = ..., regions: _Optional[_Mapping[str, int]] = ..., max_agents: _Optional[int] = ..., imported_at: _Optional[float] = ..., min_agents: _Optional[int] = ..., target_agents: _Optional[int] = ..., active_agents: _Optional[int] = ..., reason: _Optional[str] = ..., decided_at: _Optional[float] = ...) -> None: ...

class SetPopulationRequest(_message.Message):
    __slots__ = ("max_agents", "min_agents")
    MAX_AGENTS_FIELD_NUMBER: _ClassVar[int]
    MIN_AGENTS_FIELD_NUMBER: _ClassVar[int]
    max_agents: int
    min_agents: int
    def __init__(self, max_agents: _Optional[int] = ..., min_agents: _Optional[int] = ...) -> None: ...

class SetPopulationResponse(_message.Message):
    __slots__ = ("population",)
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    population: Population
    def __init__(self, population: _Optional[_Union[Population, _Mapping]] = ...) -> None: ...

class GetPopulationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPopulationResponse(_message.Message):
    __slots__ = ("population",)
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    population: Population
    def __init__(self, population: _Optional[_Union[Population, _Mapping]] = ...) -> None: ...

class WatchActionsRequest(_message.Message):
    __slots__ = ("group_id",)
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    def __init__(self, group_id: _Optional[str] = ...) -> None: ...

class WatchActionsResponse(_message.Message):
    __slots__ = ("group_id", "region", "step", "action")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    region: str
    step: int
    action: _events_pb2.Action
    def __init__(self, group_id: _Optional[str] = ..., region: _Optional[str] = ..., step: _Optional[int] = ..., action: _Optional[_Union[_events_pb2.Action, _Mapping]] = ...) -> None: ...
