"""The events that travel between the services, as values.

They mirror protos/matrix/events/v1/events.proto field by field; the .proto holds their meaning,
units and keys, and a test keeps the two equal. Nothing else is shared between services.
"""

from services.events.control import (
    Appetite,
    DeadLetter,
    PopulationSet,
    SocietyImported,
)
from services.events.datasets import (
    ChatMessage,
    DatasetDeclared,
    FilterSpec,
    Grant,
    InstructionGenerated,
    Provenance,
    QuotaReleased,
    Requirement,
    Response,
    SampleJudged,
    Usage,
)
from services.events.society import (
    Action,
    AgentCard,
    AgentsActed,
    Group,
    GroupFounded,
    Inbox,
    MessagesForwarded,
    Neighbour,
    Newcomer,
    Observation,
    ObservationsDelivered,
    RoutedAction,
    ScenarioExtracted,
    StepCompleted,
)

__all__ = [
    "Action",
    "AgentCard",
    "AgentsActed",
    "Appetite",
    "ChatMessage",
    "DatasetDeclared",
    "DeadLetter",
    "FilterSpec",
    "Grant",
    "Group",
    "GroupFounded",
    "Inbox",
    "InstructionGenerated",
    "MessagesForwarded",
    "Neighbour",
    "Newcomer",
    "Observation",
    "ObservationsDelivered",
    "PopulationSet",
    "Provenance",
    "QuotaReleased",
    "Requirement",
    "Response",
    "RoutedAction",
    "SampleJudged",
    "ScenarioExtracted",
    "SocietyImported",
    "StepCompleted",
    "Usage",
]
