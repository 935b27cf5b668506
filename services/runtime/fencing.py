"""No two owners: markers in the log say from where on the records of an earlier owner are void.

Who takes a partition over writes a marker into its changelog and restores up to that marker; every
record that it writes carries the marker's offset as its epoch. One that was frozen and wakes may
still have records on their way: those that land before the marker were restored by the new owner,
those that land after it carry the offset of an older marker and count for nobody. The log alone
decides, without clocks or counters, so that all readers decide alike.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from uuid import uuid4

from services.runtime.ports import Delivery, Record

EPOCH = "epoch"
"""Header of a record of a changelog: the offset of its writer's marker."""
MARKER = "fence"
"""Header of a marker."""


def is_marker(delivery: Delivery) -> bool:
    """Return whether a message is a marker, which no handler is to see."""
    return MARKER in delivery.headers


def marker(topic: str, partition: int) -> Record:
    """Return a marker; its value tells it from every other one."""
    value = uuid4().hex.encode()
    return Record(topic, f"fence/{partition}", value, {MARKER: "1"}, partition=partition)


class Claim:
    """The right to write one changelog partition, and whether somebody else does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        """Offset of our marker."""
        self.known = epoch
        """Up to here nobody else has written."""
        self._ours: set[int] = set()
        """Offsets beyond that of which we know that they are ours."""

    def wrote(self, offset: int) -> None:
        """Note that a record of ours stands there."""
        self._ours.add(offset)
        self._advance()

    def explains(self, offset: int) -> bool:
        """Return whether all up to an offset is known to be ours, or to be nobody's who counts.

        How many records are on their way says nothing: a marker may stand before the first of
        several that were sent at once, and would pass for one of them.
        """
        return offset <= self.known

    def looked(self, offset: int) -> None:
        """Note that up to an offset nobody else took the partition."""
        self.known = max(self.known, offset)
        self._ours = {each for each in self._ours if each > self.known}
        self._advance()

    def _advance(self) -> None:
        while self.known + 1 in self._ours:
            self.known += 1
            self._ours.discard(self.known)


class Fence:
    """The markers of some partitions, and what they make void."""

    def __init__(self) -> None:
        self._markers: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        self.void = 0
        """Records passed over so far."""

    def note(self, delivery: Delivery) -> None:
        """Take in a message of a partition, in the order of the log; markers count."""
        markers = self._markers[delivery.topic, delivery.partition]
        if is_marker(delivery) and (not markers or delivery.offset > markers[-1]):
            markers.append(delivery.offset)

    def valid(self, delivery: Delivery) -> bool:
        """Return whether a message counts: it is no marker, and its writer was the owner then.

        All markers before it must have been noted. Records without an epoch count: they are none
        of an owner's (a person's replay).
        """
        if is_marker(delivery):
            return False
        if EPOCH not in delivery.headers:
            return True
        markers = self._markers[delivery.topic, delivery.partition]
        before = bisect_left(markers, delivery.offset)
        epoch = delivery.headers[EPOCH]
        written_in = int(epoch) if epoch.isascii() and epoch.isdigit() and len(epoch) < 20 else -1
        return not before or written_in >= markers[before - 1]

    def filtered(self, history: Iterable[Delivery]) -> list[Delivery]:
        """Return the messages that count; notes all, and counts the void ones."""
        kept = []
        for delivery in history:
            self.note(delivery)
            if self.valid(delivery):
                kept.append(delivery)
            elif not is_marker(delivery):
                self.void += 1
        return kept


def healing(history: Iterable[Delivery], kept: Iterable[Delivery]) -> list[Record]:
    """Return the records that put right what void ones would spoil in a compacted topic.

    Compaction keeps the last record of a key, void or not: the valid one is written once more, and
    a key that only void records have is removed.
    """
    last = {(d.topic, d.partition, d.key): d for d in history if not is_marker(d)}
    valid = {(d.topic, d.partition, d.key): d for d in kept}
    records = []
    for place, delivery in last.items():
        truth = valid.get(place)
        if truth is not delivery:
            headers = {k: v for k, v in truth.headers.items() if k != EPOCH} if truth else {}
            value = truth.value if truth else b""
            topic, partition, key = place
            records.append(Record(topic, key, value, headers, partition=partition))
    return records
