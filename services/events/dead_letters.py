"""Where messages go that no handler can take."""

from services.events import codec
from services.events.control import DeadLetter
from services.events.topics import DEAD_LETTERS
from services.runtime.metrics import Metrics
from services.runtime.ports import Delivery, Publisher

_LONGEST = 256 * 1024
"""Bytes of a message that are kept: a longer one is cut; the whole stays where it was."""


class DeadLetterTopic:
    """Dead letters as messages of a topic of their own; see `worker.DeadLetters`."""

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics

    async def bury(self, service: str, delivery: Delivery, reason: str) -> None:
        """Keep the message with the reason."""
        value = delivery.value
        if len(value) > _LONGEST:
            place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
            reason = f"{reason} (cut here from {len(value)} bytes; whole at {place})"
            value = value[:_LONGEST]
        letter = DeadLetter(
            delivery.topic,
            delivery.partition,
            delivery.offset,
            value,
            delivery.headers,
            reason,
            service,
        )
        await self._publisher.publish([codec.to_record(DEAD_LETTERS, delivery.key, letter)])
        self._metrics.kafka.dead_letters[delivery.topic] += 1
