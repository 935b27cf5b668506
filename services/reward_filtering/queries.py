"""What callers want to know of samples: verdicts by id and in pages, and counts; changes nothing.

The verdicts themselves stay in the log. In memory a sample takes about 150 bytes: its id, and the
place of its verdict.
"""

import asyncio
import re
import uuid
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from services.events import SampleJudged, Usage, codec
from services.events.topics import SAMPLES_JUDGED
from services.reward_filtering.sample_schema import REJECTED
from services.runtime.errors import NotFound
from services.runtime.pages import bad_token, page_place, page_token
from services.runtime.ports import Delivery
from services.runtime.tables import Table
from services.runtime.worker import Route

ReadAt = Callable[[int, int], Awaitable[Delivery]]
"""Reads the message of samples-judged at a partition and an offset."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What the table of a dataset that nobody ordered may be called."""
_OFFSET_BITS, _PARTITION_BITS = 46, 17
_ACCEPTED = 1 << (_OFFSET_BITS + _PARTITION_BITS)
_OFFSETS, _PARTITIONS = (1 << _OFFSET_BITS) - 1, (1 << _PARTITION_BITS) - 1


@dataclass(frozen=True, slots=True)
class DatasetStats:
    """The verdicts of a dataset, counted."""

    accepted: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    tokens_per_accepted: float = 0.0
    newest_at: float = 0.0
    delivered: int = 0


@dataclass(slots=True)
class _Dataset:
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    newest_at: float = 0.0
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    """In order of arrival: whether accepted, partition, offset."""


class VerdictIndex:
    """The verdicts on the samples of all datasets: every replica has them."""

    def __init__(
        self, read_at: ReadAt, tell: Callable[[SampleJudged], None] = lambda sample: None
    ) -> None:
        """Set up.

        Args:
            read_at: reads a message of the topic again.
            tell: is given every new verdict, without its embedding.
        """
        self._read_at = read_at
        self._tell = tell
        self._places: dict[bytes, int] = {}
        self._datasets: dict[str, _Dataset] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, dataset: str) -> bool:
        return dataset in self._datasets

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads from the beginning."""
        return [Route(SAMPLES_JUDGED.name, self.on_event)]

    async def on_event(self, delivery: Delivery) -> None:
        """Take in a verdict."""
        event = codec.from_delivery(delivery)
        if isinstance(event, SampleJudged):
            self.add(event, delivery.partition, delivery.offset)

    def add(self, sample: SampleJudged, partition: int, offset: int) -> bool:
        """Take in a verdict and where it stands; False for a repeat."""
        key = _key(sample.sample_id)
        if key in self._places:
            return False
        place = partition << _OFFSET_BITS | offset
        self._places[key] = place
        dataset = self._datasets.setdefault(sample.dataset, _Dataset())
        dataset.places.append(place | _ACCEPTED * sample.accepted)
        dataset.usage += sample.usage
        if sample.accepted:
            dataset.accepted += 1
            dataset.newest_at = max(dataset.newest_at, sample.created_at)
        else:
            dataset.rejected[sample.reason] += 1
        self._tell(replace(sample, embedding=()))
        return True

    async def sample(self, sample_id: str) -> SampleJudged:
        """Return a verdict, without its embedding.

        Raises:
            NotFound: there is none on a sample of that id.
            Retryable: the log is away.
        """
        place = self._places.get(_key(sample_id))
        if place is None:
            raise NotFound(f"no verdict on a sample {sample_id!r}: ids are those of ListSamples")
        return await self._at(place)

    async def page(
        self, dataset: str, token: str, size: int, include_rejected: bool
    ) -> tuple[list[SampleJudged], str]:
        """Return the next verdicts of a dataset in order of arrival, and the next page's token.

        Partitions may arrive in another order at another replica. So a token names the next offset
        of each partition: whoever answers, the pages together hold every verdict once.

        Raises:
            Rejected: the token was not given out for this dataset.
            Retryable: the log is away.
        """
        begun = _frontier(page_place(f"samples/{dataset}", token), token)
        known = self._datasets.get(dataset, _Dataset())
        places = np.array(known.places, dtype=np.uint64)
        if not include_rejected:
            places = places[places >= _ACCEPTED]
        offsets = (places & np.uint64(_OFFSETS)).astype(np.int64)
        partitions = (places >> np.uint64(_OFFSET_BITS) & np.uint64(_PARTITIONS)).astype(np.int64)
        bounds = np.zeros(_PARTITIONS + 1 if begun else 1, dtype=np.int64)
        for partition, offset in begun.items():
            bounds[partition] = offset
        fresh = np.flatnonzero(offsets >= (bounds[partitions] if begun else 0))
        for place in fresh[:size]:
            begun[int(partitions[place])] = int(offsets[place]) + 1
        verdicts = await asyncio.gather(*(self._at(int(places[place])) for place in fresh[:size]))
        rest = [list(item) for item in sorted(begun.items())] if len(fresh) > size else None
        return verdicts, page_token(f"samples/{dataset}", rest) if rest else ""

    def stats(self, dataset: str, delivered: int = 0) -> DatasetStats:
        """Return the counts of a dataset.

        Args:
            dataset: Its name; all zero when it has no verdicts yet.
            delivered: Rows in its table.
        """
        known = self._datasets.get(dataset, _Dataset())
        tokens = known.usage.prompt_tokens + known.usage.completion_tokens
        return DatasetStats(
            known.accepted,
            dict(known.rejected),
            known.usage,
            tokens / known.accepted if known.accepted else 0.0,
            known.newest_at,
            delivered,
        )

    async def _at(self, place: int) -> SampleJudged:
        partition = place >> _OFFSET_BITS & _PARTITIONS
        delivery = await self._read_at(partition, place & _OFFSETS)
        sample: SampleJudged = codec.from_delivery(delivery)
        return replace(sample, embedding=())


def check_known(dataset: str, declared: Collection[str], verdicts: VerdictIndex) -> None:
    """Refuse a dataset of which nothing is known.

    Raises:
        NotFound: it was neither declared, nor are there verdicts of it.
    """
    if dataset not in declared and dataset not in verdicts:
        raise NotFound(f"no dataset {dataset!r}: names are those of ListDatasets")


async def check_there(
    dataset: str,
    declared: Collection[str],
    verdicts: VerdictIndex,
    open_table: Callable[[str], Table],
) -> None:
    """Refuse a dataset of which nothing is known and nothing kept.

    Who filters candidates again writes tables of a dataset that nobody ordered.

    Raises:
        NotFound: it was not declared, there are no verdicts of it, and neither of its tables.
        Retryable: the object store is away.
    """
    try:
        check_known(dataset, declared, verdicts)
    except NotFound:
        # Of a name that could lead elsewhere no table is opened.
        for table in (dataset, REJECTED + dataset) if _NAME.fullmatch(dataset) else ():
            if await asyncio.to_thread(open_table(table).exists):
                return
        raise


def _key(sample_id: str) -> bytes:
    try:
        number = uuid.UUID(sample_id)
    except ValueError:
        return sample_id.encode(errors="surrogatepass")
    # Only in its usual form: other spellings of the same number are no id of ours.
    return number.bytes if str(number) == sample_id else sample_id.encode()


def _frontier(place: object, token: str) -> dict[int, int]:
    """Return the next offset of each partition that a token names."""
    if place is None:
        return {}
    items: list[Any] = place if isinstance(place, list) else [None]
    for item in items:
        if not (isinstance(item, list) and len(item) == 2 and all(type(n) is int for n in item)):
            raise bad_token(token)
        if not (0 <= item[0] <= _PARTITIONS and 0 <= item[1] <= _OFFSETS):
            raise bad_token(token)
    return {partition: offset for partition, offset in items}
