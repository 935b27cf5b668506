"""Events to log records and back."""

from hashlib import blake2b
from typing import Any

from matrix.events.v1 import events_pb2 as pb

from services import events
from services.events.topics import Topic
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.ports import Delivery, Record
from services.runtime.protobuf import Codec

_TYPES: tuple[type, ...] = (
    events.ObservationsDelivered,
    events.AgentsActed,
    events.MessagesForwarded,
    events.StepCompleted,
    events.ScenarioExtracted,
    events.DatasetDeclared,
    events.InstructionGenerated,
    events.SampleJudged,
    events.QuotaReleased,
    events.Appetite,
    events.SocietyImported,
    events.DeadLetter,
)

CODECS: dict[str, Codec[Any]] = {t.__name__: Codec(t, getattr(pb, t.__name__)) for t in _TYPES}


def to_record(topic: Topic, key: str, event: object, *, cause: str = "") -> Record:
    """Return `event` as a record; `cause` (default: its content) decides its message id."""
    name = type(event).__name__
    value = CODECS[name].encode(event)
    message_id = derived_id("message", name, key, cause or blake2b(value).hexdigest())
    return Record(topic.name, key, value, {"type": name, "message-id": message_id})


def from_delivery(delivery: Delivery) -> Any:
    """Return the event that a message carries.

    Raises:
        Rejected: the type header is unknown, or the bytes are not of that type.
    """
    name = delivery.headers.get("type", "")
    codec = CODECS.get(name)
    if codec is None:
        place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
        raise Rejected(f"{place}: unknown type header {name!r}; known: {', '.join(CODECS)}")
    return codec.decode(delivery.value)
