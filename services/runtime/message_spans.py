"""Spans of messages: what is sent, and what is done with what comes.

By the OpenTelemetry conventions of messaging. The header `traceparent` of a record says in which
span it was sent.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from opentelemetry.trace import Link, Span, SpanContext, SpanKind

from services.runtime import tracing
from services.runtime.ports import Delivery, Record
from services.runtime.trace_context import TRACEPARENT, sampled_parent

_MOST = 256
"""Records of one publish that carry a trace on: more, as of an import, are no one thing's doing."""


def sending(records: Sequence[Record]) -> AbstractContextManager[Sequence[Record]]:
    """Give records with the header of the span that sends them, for as long as that takes."""
    if tracing.current() is None or not records:
        return nullcontext(records)
    return _sending(records)


@contextmanager
def _sending(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    # Tombstones of the journal go with what they were for, and nobody acts on them.
    found = [record for record in records if record.value]
    topics = list(dict.fromkeys(record.topic for record in found or records))
    name = f"send {topics[0]}" if len(topics) == 1 else "send"
    with tracing.child(name, SpanKind.PRODUCER) as span:
        if span is None:
            yield records
            return
        span.set_attributes(
            {
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.operation.name": "send",
                "matrix.topics": topics,
            }
        )
        if len(topics) == 1:
            span.set_attribute("messaging.destination.name", topics[0])
        if len(records) == 1:
            span.set_attribute("messaging.kafka.message.key", records[0].key)
        if len(records) > 1:
            span.set_attribute("messaging.batch.message_count", len(records))
        if len(found) > _MOST:
            yield records
            return
        carried = tracing.headers()
        yield [
            replace(record, headers={**record.headers, **carried}) if record.value else record
            for record in records
        ]


def processing(group: str, delivery: Delivery, begins: bool = False) -> tracing.Spanning:
    """Return the span of what is done with a message, if its trace is sampled.

    Args:
        group: the consumer group.
        delivery: the message.
        begins: whether it begins a trace of its own, which is linked to the span that sent it.
    """
    if not tracing.enabled():
        return tracing.child("")
    return _processing(group, delivery, begins)


@contextmanager
def _processing(group: str, delivery: Delivery, begins: bool) -> Iterator[Span | None]:
    parent = sender(delivery)
    name = f"process {delivery.topic}"
    made = (
        tracing.root(f"step {delivery.key}", SpanKind.CONSUMER, [Link(parent)] if parent else [])
        if begins
        else tracing.child_of(parent, name, SpanKind.CONSUMER)
    )
    with made as span:
        if span is not None:
            span.set_attributes(
                {
                    "messaging.system": "kafka",
                    "messaging.operation.type": "process",
                    "messaging.operation.name": "process",
                    "messaging.destination.name": delivery.topic,
                    "messaging.destination.partition.id": str(delivery.partition),
                    "messaging.kafka.offset": delivery.offset,
                    "messaging.kafka.message.key": delivery.key,
                    "messaging.consumer.group.name": group,
                    "messaging.message.id": delivery.headers.get("message-id", ""),
                }
            )
        yield span


def sender(delivery: Delivery) -> SpanContext | None:
    """Return the span that sent a message; None where it was not sampled, or nothing is traced."""
    if not tracing.enabled():
        return None
    text = delivery.headers.get(TRACEPARENT)
    return None if text is None else sampled_parent(text)
