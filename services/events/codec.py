"""Events to log records and back."""

from hashlib import blake2b
from typing import Any

from matrix.events.v1 import events_pb2 as pb

from services.events.topics import TOPICS, Topic
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.ports import Delivery, Record
from services.runtime.protobuf import Codec

CODECS: dict[str, Codec[Any]] = {
    event.__name__: Codec(event, getattr(pb, event.__name__))
    for topic in TOPICS
    for event in topic.carries
}
_CARRIED = {topic.name: [event.__name__ for event in topic.carries] for topic in TOPICS}


def to_record(topic: Topic, key: str, event: object, *, cause: str = "") -> Record:
    """Return `event` as a record; `cause` (default: its content) decides its message id."""
    name = type(event).__name__
    value = CODECS[name].encode(event)
    message_id = derived_id("message", name, key, cause or blake2b(value).hexdigest())
    return Record(topic.name, key, value, {"type": name, "message-id": message_id})


def from_delivery(delivery: Delivery) -> Any:
    """Return the event that a message carries.

    Raises:
        Rejected: the type header names no event of that topic, or the bytes are not of that type.
            No event is empty: all fields would have no value, and no group or dataset has no name.
    """
    name = delivery.headers.get("type", "")
    carried = _CARRIED.get(delivery.topic, [])
    if name not in carried:
        place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
        expected = " or ".join(carried) or "no event on this topic"
        raise Rejected(f"{place}: type header {name!r}, expected {expected}")
    if not delivery.value:
        place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
        raise Rejected(f"{place}: empty, expected a {name}")
    return CODECS[name].decode(delivery.value)
