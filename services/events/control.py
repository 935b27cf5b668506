"""Events that steer: what is wanted, who is there, and what could not be handled."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.events.society import AgentsJoined, GroupFounded


@dataclass(frozen=True, slots=True)
class Appetite:
    """Whether the groups of a region are to go on."""

    region: str
    hungry: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RankShift:
    """How far the ranks above one moved since they were given."""

    above: int
    by: int


@dataclass(frozen=True, slots=True)
class SocietyImported:
    """The import is complete: all groups are founded."""

    agents: int
    groups: int
    regions: Mapping[str, int]
    refused: int
    fingerprint: str
    imported_at: float = 0.0
    joins: int = 0
    shifts: tuple[RankShift, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinDecided:
    """Who joins which group, and which groups are founded."""

    number: int
    decision_id: str
    founded: tuple[GroupFounded, ...] = ()
    joined: tuple[AgentsJoined, ...] = ()
    society: SocietyImported | None = None
    carried_out: bool = False


@dataclass(frozen=True, slots=True)
class PopulationSet:
    """How many agents may be active."""

    max_agents: int | None
    set_at: float
    min_agents: int = 0


@dataclass(frozen=True, slots=True)
class PopulationTarget:
    """How many agents are to be active, so that the model server is just saturated."""

    active_agents: int | None
    reason: str
    decided_at: float
    running: float = 0.0
    backlog: float = 0.0
    slots: float = 0.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no handler could take."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, str]
    reason: str
    service: str
