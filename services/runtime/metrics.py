"""What the platform counts about itself, declared once."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class ModelMetrics:
    """Model calls of this process; plain counters that a view or an exporter reads."""

    calls: Counter[str] = field(default_factory=Counter)
    """Answered calls by stage."""
    prompt_tokens: Counter[str] = field(default_factory=Counter)
    completion_tokens: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    """Repeated requests by cause."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that the server will never answer, by stage."""
    malformed: Counter[str] = field(default_factory=Counter)
    """Answers that did not have the form asked for, by stage."""


@dataclass(slots=True)
class SocietyMetrics:
    """What the simulated society does in this process."""

    agents: int = 0
    born: int = 0
    groups: int = 0
    steps: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    """By kind: plan or react."""
    implausible: int = 0
    deliveries: int = 0
    """Agents of the same group made aware of an action."""
    forwarded: int = 0
    """Groups that an action was forwarded to."""
    routed: int = 0
    """Actions that went through routing."""
    scenarios: int = 0
    active: int = 0
    """Agents of the groups whose token is on its way: in a step, or about to be."""
    parked: int = 0
    """Groups whose token is held back: not wanted, or more than the population may be."""
    target: int | None = None
    """Agents that are to be active; None while nobody controls the population."""


@dataclass(slots=True)
class Metrics:
    """All counters of one process."""

    model: ModelMetrics = field(default_factory=ModelMetrics)
    society: SocietyMetrics = field(default_factory=SocietyMetrics)
    dead_letters: int = 0
