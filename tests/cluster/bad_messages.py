"""Messages that nobody should ever send, and who is to bury them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError

from services.events import (
    AgentsActed,
    FilterSpec,
    Grant,
    InstructionGenerated,
    ObservationsDelivered,
    SampleJudged,
    StepCompleted,
    codec,
)
from services.events import topics as t
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery
from tests.cluster.platform import PARTITIONS

FOREIGN = "foreign"
"""Header of all that is sent from here."""
LARGE = 20 * 1024 * 1024
_BURIED_BY = {
    t.OBSERVATIONS_DELIVERED: ("agent_state",),
    t.AGENTS_ACTED: ("message_modulation",),
    t.STEP_COMPLETED: ("scenario_extraction",),
    t.INSTRUCTIONS_GENERATED: ("reward_filtering",),
    t.SAMPLES_JUDGED: ("instruction_generation", "dataset-writer"),
    # Read whole by every replica, and owned by nobody: passed over.
    t.SCENARIOS_EXTRACTED: (),
    t.DATASETS: (),
    t.POPULATION: (),
}


@dataclass(frozen=True)
class Bad:
    """A message, and what is to become of it."""

    name: str
    topic: str
    key: bytes
    value: bytes
    type: str | None
    buried_by: tuple[str, ...] = ()
    reason: str = ""
    """Part of the reason that is given."""


def bad_messages(history: Sequence[Delivery], later: InstructionGenerated) -> list[Bad]:
    """Return all of them; some are made of what a running platform said."""
    return [
        *(bad for topic in _BURIED_BY for bad in _malformed(topic)),
        *_absurd(history),
        *_absurd_orders(history),
        _of(
            t.INSTRUCTIONS_GENERATED,
            "of a later dataset",
            "later/" + later.stratum,
            later,
            ("reward_filtering",),
            "dataset 'later' is not known",
        ),
        *_repeated(history),
    ]


def _malformed(topic: t.Topic) -> Iterator[Bad]:
    right, buriers = topic.carries[0].__name__, _BURIED_BY[topic]
    # The first byte is a tag of no wire type.
    noise = b"\xff" + random.Random(topic.name).randbytes(200)

    def bad(name: str, key: bytes, value: bytes, header: str | None, reason: str) -> Bad:
        return Bad(name, topic.name, key, value, header, buriers, reason)

    yield bad("random bytes", b"k1", noise, right, f"201 bytes are no matrix.events.v1.{right}")
    yield bad("unknown type", b"k2", b"", "Nonsense", "type header 'Nonsense', expected")
    yield bad("no headers", b"k3", noise, None, "type header '', expected")
    yield bad("key that is no text", b"\xff\xfe\x00k", noise, right, "201 bytes are no")
    yield bad("empty", b"k4", b"", right, f"empty, expected a {right}")
    if topic in (t.STEP_COMPLETED, t.POPULATION):  # One that is owned, one that all read.
        reason = f"cut here from {LARGE} bytes"
        yield bad("20 MB", b"k5", noise[:1] * LARGE, right, reason)


def _of(
    topic: t.Topic,
    name: str,
    key: str,
    event: object,
    buried_by: tuple[str, ...] = (),
    reason: str = "",
) -> Bad:
    record = codec.to_record(topic, key, event)
    kind = type(event).__name__
    return Bad(name, topic.name, key.encode(), record.value, kind, buried_by, reason)


def _last(history: Sequence[Delivery], topic: t.Topic, kind: type) -> Any:
    """Return the last event of a kind that is on a topic, an accepted one if there are such."""
    events = [
        codec.from_delivery(each)
        for each in history
        if each.topic == topic.name and each.headers.get("type") == kind.__name__
    ]
    return [event for event in events if getattr(event, "accepted", True)][-1]


def _absurd(history: Sequence[Delivery]) -> Iterator[Bad]:
    """Well-formed events that cannot be."""
    token = ObservationsDelivered("nobody", 3)
    yield _of(
        t.OBSERVATIONS_DELIVERED,
        "token of nobody",
        "nobody",
        token,
        ("agent_state",),
        "group nobody is not known here",
    )
    step: StepCompleted = _last(history, t.STEP_COMPLETED, StepCompleted)
    huge = replace(step, step=2**62)
    yield _of(
        t.STEP_COMPLETED,
        "huge step",
        step.group.group_id,
        huge,
        ("scenario_extraction",),
        f"step {2**62} of group {step.group.group_id}",
    )
    sample: SampleJudged = _last(history, t.SAMPLES_JUDGED, SampleJudged)
    nowhere = replace(sample, dataset="nowhere", sample_id="1" * 32)
    yield _of(t.SAMPLES_JUDGED, "verdict of nothing", "nowhere/r00", nowhere)
    bare = replace(sample, dataset="nowhere", sample_id="2" * 32, messages=(), chosen=9)
    # Every replica that remembers accepted instructions looks for the first message.
    yield _of(t.SAMPLES_JUDGED, "accepted without messages", "nowhere/r00", bare)
    late = replace(sample, dataset="nowhere", sample_id="3" * 32, created_at=1e300)
    yield _of(
        t.SAMPLES_JUDGED,
        "absurd time",
        "nowhere/r00",
        late,
        ("dataset-writer",),
        "no row can be made of it",
    )


def _absurd_orders(history: Sequence[Delivery]) -> Iterator[Bad]:
    """An order whose filter cannot be, and a candidate on which the handler crashes."""
    candidate: InstructionGenerated = _last(history, t.INSTRUCTIONS_GENERATED, InstructionGenerated)
    order = codec.from_delivery(
        [m for m in history if m.topic == t.DATASETS.name and "type" in m.headers][-1]
    )
    absurd = replace(
        order,
        dataset="absurd",
        filter=replace(order.filter, reward_quantile=7.0),
        grants=(Grant(candidate.stratum, 5),),
        paused=True,
    )
    yield _of(t.DATASETS, "order that cannot be", "absurd", absurd)
    bare = replace(absurd, dataset="bare", requirements=(), filter=FilterSpec(), paused=False)
    yield _of(t.DATASETS, "order of nothing", "bare", bare)
    poison = replace(candidate, dataset="absurd", candidate_id="4" * 32)
    yield _of(
        t.INSTRUCTIONS_GENERATED,
        "poison",
        f"absurd/{candidate.stratum}",
        poison,
        ("reward_filtering",),
        "the handler crashed 3 times: ValueError: quantile 7",
    )


def _repeated(history: Sequence[Delivery]) -> Iterator[Bad]:
    """Good messages that were handled before, each once more."""
    for topic, kind in (
        (t.OBSERVATIONS_DELIVERED, ObservationsDelivered),
        (t.AGENTS_ACTED, AgentsActed),
        (t.STEP_COMPLETED, StepCompleted),
        (t.INSTRUCTIONS_GENERATED, InstructionGenerated),
        (t.SAMPLES_JUDGED, SampleJudged),
    ):
        first = next(
            each
            for each in history
            if each.topic == topic.name and each.headers.get("type") == kind.__name__
        )
        name, value = kind.__name__, first.value
        yield Bad(f"{name} again", topic.name, first.key.encode(), value, name)


class Sender:
    """A producer of somebody else: plain kafka-python, with nothing of ours."""

    def __init__(self, broker: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=broker, max_request_size=2 * LARGE)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._producer.close()

    def send_all(self, messages: Sequence[Bad]) -> list[tuple[Bad, int, int]]:
        """Send messages; return those that the broker took, with partition and offset."""
        sent = []
        for bad in messages:
            key = bad.key.decode(errors="replace")
            headers = [] if bad.type is None else [("type", bad.type.encode())]
            if bad.type is not None:
                headers.append((FOREIGN, bad.name.encode()))
            future = self._producer.send(
                bad.topic,
                key=bad.key,
                value=bad.value,
                headers=headers,
                partition=partition_of(key, PARTITIONS),
            )
            try:
                place = future.get(timeout=30)
            except MessageSizeTooLargeError:
                print(f"\nthe broker refuses {bad.name} on {bad.topic}")
                continue
            sent.append((bad, place.partition, place.offset))
        return sent
