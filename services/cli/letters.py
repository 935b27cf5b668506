"""Dead letters as they lie on their topic: read, and put back where they came from.

That a letter was replayed is a record of its own in the same partition, after it: it has no value
that anybody reads, only the header `replayed` with the letter's place. It is written when the
original is durable again; whoever dies in between leaves a letter that looks unreplayed, and
replaying it once more is harmless, because every service drops repeats.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.events import DeadLetter, codec
from services.events.topics import DEAD_LETTERS, TOPICS
from services.runtime.errors import NotFound, Rejected
from services.runtime.fencing import EPOCH
from services.runtime.kafka_history import KafkaHistory, Kept
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.ports import Delivery, Record

REPLAYED = "replayed"
"""Header of the record that says that a letter was replayed: its place."""
REPLAYED_FROM = "replayed-from"
"""Header of a replayed message: the place of the letter."""
_PLACE = re.compile(r"(?:\S+\[)?(?P<partition>\d{1,9})\]?@(?P<offset>\d{1,18})")
_CUT = re.compile(r"\(cut here from \d+ bytes; whole at \S+\)$")
_AT_ONCE = 200
"""Letters that are replayed before the next marks are written."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a letter lies on its topic."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Return the place that a text names.

        Raises:
            Rejected: it names none.
        """
        found = _PLACE.fullmatch(text)
        if found is None:
            raise Rejected(
                f"{text!r} is no place of a letter like 3@17: `dead-letters list` has it"
            )
        return cls(int(found["partition"]), int(found["offset"]))

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter, where and since when it lies there."""

    place: Place
    key: str
    content: DeadLetter
    size: int
    """Bytes of the message as it was kept; it may have been left out of `content`."""
    buried_at: float
    """Seconds since the epoch; 0 when that is not known."""
    replayed_at: float | None = None
    """When it was put back; None: not yet."""

    @property
    def cut(self) -> bool:
        """Whether only the beginning of the message was kept."""
        return _CUT.search(self.content.reason) is not None

    @property
    def origin(self) -> str:
        """Where the message was."""
        content = self.content
        return f"{content.topic}[{content.partition}]@{content.offset}"

    def original(self) -> Delivery:
        """Return the message as its service got it."""
        content = self.content
        return Delivery(
            content.topic,
            content.partition,
            content.offset,
            self.key,
            content.value,
            content.headers,
        )


def all_letters(history: KafkaHistory, whole: bool = False) -> list[Letter]:
    """Return all letters, oldest first; their messages are left out unless asked for."""
    letters: dict[Place, Letter] = {}
    for kept in history.read(DEAD_LETTERS.name):
        _take(kept, letters, whole)
    return sorted(letters.values(), key=_age)


def _age(letter: Letter) -> tuple[float, int, int]:
    return letter.buried_at, letter.place.partition, letter.place.offset


def letter_at(history: KafkaHistory, place: Place) -> Letter:
    """Return one letter.

    Raises:
        NotFound: there is none at that place.
    """
    letters: dict[Place, Letter] = {}
    for kept in history.read(DEAD_LETTERS.name, {place.partition: place.offset}):
        if not letters and kept.delivery.offset != place.offset:
            break
        if kept.delivery.offset == place.offset or REPLAYED in kept.delivery.headers:
            _take(kept, letters, whole=True)
    if place not in letters:
        raise NotFound(f"no letter at {place}: `matrix dead-letters list` has the places")
    return letters[place]


def _take(kept: Kept, letters: dict[Place, Letter], whole: bool) -> None:
    """Note a letter, or that one was replayed."""
    delivery = kept.delivery
    if (replayed := delivery.headers.get(REPLAYED)) is not None:
        found = _PLACE.fullmatch(replayed)
        letter = letters.get(Place.parse(replayed)) if found else None
        if letter is not None:
            letters[letter.place] = replace(letter, replayed_at=kept.published_at)
        return
    place = Place(delivery.partition, delivery.offset)
    try:
        content = codec.from_delivery(delivery)
    except Rejected as error:
        # Somebody else's message: shown, so that nothing is hidden, and never replayed.
        content = DeadLetter("", 0, 0, delivery.value, delivery.headers, f"no letter: {error}", "")
    size = len(content.value)
    if not whole:
        content = replace(content, value=b"")
    letters[place] = Letter(place, delivery.key, content, size, kept.published_at)


def check_replayable(letter: Letter, partitions: int) -> None:
    """Check that a letter can be put back.

    Args:
        letter: to be replayed.
        partitions: of every topic.

    Raises:
        Rejected: it was cut, or did not come from a partition of one of our topics.
    """
    if letter.cut:
        raise Rejected(
            f"letter {letter.place} holds only the beginning of its message, which may still be "
            f"whole at {letter.origin}: {letter.content.reason}"
        )
    content = letter.content
    if content.topic not in {topic.name for topic in TOPICS} or content.topic == DEAD_LETTERS.name:
        raise Rejected(f"letter {letter.place} came from no topic of ours: {content.topic!r}")
    if not 0 <= content.partition < partitions:
        raise Rejected(
            f"letter {letter.place} came from partition {content.partition} of {content.topic}, "
            f"which has {partitions}"
        )


async def replay(publisher: KafkaPublisher, letters: Iterable[Letter]) -> int:
    """Put letters back where they came from, and mark them; return how many.

    Raises:
        Rejected: a message is larger than the broker takes.
        Retryable: the broker was away for too long; what was put back is marked, up to 200 letters.
    """
    waiting = list(letters)
    for begin in range(0, len(waiting), _AT_ONCE):
        part = waiting[begin : begin + _AT_ONCE]
        await publisher.publish([_original(letter) for letter in part])
        await publisher.publish([_mark(letter) for letter in part])
    return len(waiting)


def _original(letter: Letter) -> Record:
    content = letter.content
    # Its owner of then may own it no longer: a record without an epoch is a person's, and counts.
    headers = {name: text for name, text in content.headers.items() if name != EPOCH}
    headers[REPLAYED_FROM] = f"{DEAD_LETTERS.name}[{letter.place.partition}]@{letter.place.offset}"
    return Record(content.topic, letter.key, content.value, headers, partition=content.partition)


def _mark(letter: Letter) -> Record:
    headers = {REPLAYED: str(letter.place)}
    # Not empty: an empty value would be a tombstone.
    value = f"replayed to {letter.content.topic}[{letter.content.partition}]".encode()
    partition = letter.place.partition
    return Record(DEAD_LETTERS.name, letter.key, value, headers, partition=partition)
