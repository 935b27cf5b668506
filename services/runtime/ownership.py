"""What this process owns of a topic: partitions, their state, and the right to write it.

When partitions are assigned, markers are written and the state up to them is restored; then their
messages come. When they are revoked, what is in work is cancelled and the state dropped.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from services.runtime.errors import NotOwner, Retryable
from services.runtime.fencing import EPOCH, Claim, Fence, healing, is_marker, marker
from services.runtime.kafka_member import KafkaMember
from services.runtime.kafka_publisher import KafkaPublisher, waves
from services.runtime.kafka_reader import KafkaReader, Place
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery, Record
from services.runtime.settings import KafkaSettings
from services.runtime.transport_metrics import KafkaMetrics

_log = structlog.get_logger(__name__)

History = Mapping[str, list[Delivery]]
"""By topic, what a partition of it holds."""


class Work(Protocol):
    """What is done with the messages of the partitions that are owned."""

    async def run(self) -> None:
        """Work until cancelled."""

    async def revoke(self, partitions: set[int]) -> None:
        """Drop what is in work of partitions that are somebody else's now."""

    async def finish(self) -> None:
        """Wait until all that was taken is done."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """What a service does when partitions come and go."""

    adopt: Callable[[int, History], Awaitable[None]]
    """Take over the state of a partition; may publish."""
    release: Callable[[set[int]], Awaitable[None]]
    """Drop the state of partitions."""


class Ownership:
    """The membership in one group, and the publisher that only an owner can use.

    `fenced` topics are changelogs, partitioned like the group's topic: only the owner of a
    partition may write it. `restored` ones are read back as well, but need no fence: that of their
    writer is enough. Which of them are compacted is told by `compacted`.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: str,
        fenced: Sequence[str],
        restored: Sequence[str],
        publisher: KafkaPublisher,
        reader: KafkaReader,
        compacted: Sequence[str] = (),
        metrics: KafkaMetrics | None = None,
    ) -> None:
        self._metrics = metrics = metrics or KafkaMetrics()
        self.member = KafkaMember(settings, group, topic, self._assigned, self._revoked, metrics)
        self.void = 0
        """Records of former owners that were passed over."""
        self._settings = settings
        self._fenced = tuple(fenced)
        self._restored = (*fenced, *restored)
        self._compacted = frozenset(compacted)
        self._publisher = publisher
        self._reader = reader
        self._claims: dict[Place, Claim] = {}
        self._turns: defaultdict[int, int] = defaultdict(int)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Future[None]] = set()
        self._failed: asyncio.Future[None] | None = None
        self._held: set[int] = set()
        self._restoring: dict[int, float] = {}
        """When the restores under way began, by their number."""
        metrics.void[group] += 0  # A first one is to be seen as one more than none.
        metrics.partitions[group] = lambda: len(self._held)
        metrics.restoring[group] = self._longest_restore

    def _longest_restore(self) -> float:
        begun = min(self._restoring.values(), default=None)
        return 0.0 if begun is None else time.monotonic() - begun

    async def settled(self) -> None:
        """Wait until the group has taken us in, and the state of our partitions is here."""
        await self.member.joined.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # What a service asks.

    def owns_partition(self, partition: int) -> bool:
        """Return whether the state of a partition is here."""
        return partition in self._held and self.member.owns(partition)

    def owns(self, key: str) -> bool:
        """Return whether the state of a key is here."""
        return self.owns_partition(partition_of(key, self._settings.partitions))

    async def certain(self, key: str) -> None:
        """Wait until the group has confirmed us, and see to it that `key` is ours.

        Raises:
            NotOwner: it is another replica's.
        """
        await self.member.lease.held()
        if not self.owns(key):
            raise NotOwner(f"{key} is another replica's now")

    async def publish(self, records: Sequence[Record]) -> None:
        """Append `records` as their owner; see `ports.Publisher`.

        One who does not know whether it is still the owner waits until it does.

        Raises:
            NotOwner: a changelog of `records` is not, or not any more, this process's to write.
        """
        claims = {place: self._claims.get(place) for place in map(self._place, records)}
        for wave in waves(records):
            await self.member.lease.held()
            for place, claim in claims.items():
                # Not owned, or owned anew: then what was computed rests on a state that is gone.
                if place[0] in self._fenced and (
                    claim is None or self._claims.get(place) is not claim
                ):
                    raise NotOwner(f"{place[0]}[{place[1]}] is another replica's now")
            await self._append(wave, claims)

    def _place(self, record: Record) -> Place:
        return record.topic, self._publisher.partition(record)

    async def _append(
        self, records: Sequence[Record], claims: Mapping[Place, Claim | None]
    ) -> None:
        stamped = []
        for record in records:
            claim = claims[self._place(record)]
            if claim is not None:
                headers = {**record.headers, EPOCH: str(claim.epoch)}
                record = replace(record, headers=headers)
            stamped.append(record)
        offsets = await self._publisher.append(stamped)
        written = [
            (place, claim, offset)
            for record, offset in zip(records, offsets, strict=True)
            if (claim := claims[place := self._place(record)]) is not None
        ]
        for _, claim, offset in written:
            claim.wrote(offset)
        for place, claim, offset in written:
            if not claim.explains(offset):
                await self._look_for_others(place, claim, offset)

    async def _look_for_others(self, place: Place, claim: Claim, offset: int) -> None:
        """Find out who else writes a changelog of ours, if there is more in it than we wrote.

        Only one that was frozen while it joined writes a marker into a partition that is not its
        own; what we write behind that counts for nobody.
        """
        history = await self._reader.between(*place, claim.known + 1, offset)
        if any(map(is_marker, history)):
            error = Retryable(
                f"another process has taken {place[0]}[{place[1]}], which this one was given: it "
                "has to start again"
            )
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)
            raise NotOwner(str(error))
        # A person's record, or one of ours of which it is not known, or not yet, that it came.
        claim.looked(offset)

    # Coming and going.

    async def run(self, work: Work, keeper: Keeper) -> None:
        """Be a member until cancelled; raises what ends the work."""
        self._work, self._keeper = work, keeper
        self._failed = asyncio.get_running_loop().create_future()
        await self.member.start()
        working = asyncio.create_task(work.run(), name=f"work/{self.member.group}")
        try:
            await asyncio.wait({working, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            working.result()
        finally:
            for task in (working, *self._tasks):
                task.cancel()
            await asyncio.gather(working, *self._tasks, return_exceptions=True)
            await self.member.close()

    def _assigned(self, partitions: set[int]) -> None:
        for partition in partitions:
            self._turns[partition] += 1
        turns = {partition: self._turns[partition] for partition in partitions}
        self._begin(self._take_over(turns))

    def _revoked(self, partitions: set[int]) -> None:
        for partition in partitions:
            self._turns[partition] += 1
            self._held.discard(partition)
            for topic in self._fenced:
                self._claims.pop((topic, partition), None)
        self._begin(self._give_up(partitions))

    def _begin(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _give_up(self, partitions: set[int]) -> None:
        async with self._lock:
            await self._work.revoke(partitions)
            await self._keeper.release(partitions)
        _log.info("partitions given up", group=self.member.group, partitions=sorted(partitions))

    async def _take_over(self, turns: Mapping[int, int]) -> None:
        began = time.monotonic()
        number = id(turns)
        self._restoring[number] = began
        try:
            await self._restored_and_adopted(turns, began)
        finally:
            del self._restoring[number]

    async def _restored_and_adopted(self, turns: Mapping[int, int], began: float) -> None:
        histories, epochs, healing = await self._restore(list(turns))
        messages = sum(len(h) for history in histories.values() for h in history.values())
        for partition, turn in turns.items():
            async with self._lock:
                if self._turns[partition] != turn:
                    continue  # It went to somebody else meanwhile.
                for topic in self._fenced:
                    self._claims[topic, partition] = Claim(epochs[topic, partition])
                await self.publish([r for r in healing if r.partition == partition])
                await self._keeper.adopt(partition, histories[partition])
                if self._turns[partition] == turn:
                    self._held.add(partition)
                    self.member.resume(partition)
        self._metrics.restore_seconds.labels(self.member.group).observe(time.monotonic() - began)
        _log.info(
            "partitions taken over",
            group=self.member.group,
            partitions=sorted(turns),
            records=messages,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _restore(
        self, partitions: list[int]
    ) -> tuple[dict[int, dict[str, list[Delivery]]], dict[tuple[str, int], int], list[Record]]:
        """Return the state of partitions up to our markers, their epochs, and what heals topics."""
        places = [(topic, partition) for topic in self._restored for partition in partitions]
        markers = {place: marker(*place) for place in places}
        # A marker makes void what others write: one that was frozen while it joined must not.
        await self.member.lease.held()
        await self._publisher.publish(list(markers.values()))
        history = await self._reader.up_to({place: m.value for place, m in markers.items()})
        fence = Fence()
        kept = fence.filtered(history)
        epochs = {
            (delivery.topic, delivery.partition): delivery.offset
            for delivery in history
            if is_marker(delivery)
        }
        histories: dict[int, dict[str, list[Delivery]]] = {
            partition: {topic: [] for topic in self._restored} for partition in partitions
        }
        for delivery in kept:
            histories[delivery.partition][delivery.topic].append(delivery)
        records = []
        if fence.void:
            self.void += fence.void
            self._metrics.void[self.member.group] += fence.void
            _log.warning("void records", group=self.member.group, records=fence.void)
            compacted = [d for d in history if d.topic in self._compacted]
            records = healing(compacted, [d for d in kept if d.topic in self._compacted])
        return histories, epochs, records
