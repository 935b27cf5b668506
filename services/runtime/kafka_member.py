"""A member of a consumer group: which partitions this process owns, and their messages.

The consumer lives on one thread that polls without a break, so that the broker always sees us; it
is slowed down by pausing partitions. What happens to the membership is told by kafka-python's own
thread and handed over to the event loop.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from kafka import OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError
from kafka.structs import MemberState

from services.runtime.kafka_client import (
    RestingConsumer,
    client_options,
    connect,
    delivery,
)
from services.runtime.kafka_refusals import REFUSALS
from services.runtime.lease import Lease
from services.runtime.ports import Delivery
from services.runtime.settings import KafkaSettings
from services.runtime.transport_metrics import KafkaMetrics

_log = structlog.get_logger(__name__)
_POLL_MS = 100
_COMMIT_SECONDS = 0.5
_BUFFER = 200
"""Messages that wait here before the partitions are paused."""


class KafkaMember(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """An event source whose partitions come and go.

    `on_assigned` and `on_revoked` are called in the event loop, in order. Messages of a partition
    come only after `resume` was called for it. From the moment of a revocation on `owns` says no.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: str,
        on_assigned: Callable[[set[int]], None],
        on_revoked: Callable[[set[int]], None],
        metrics: KafkaMetrics | None = None,
    ) -> None:
        self.group = group
        self.topic = topic
        self.joined = asyncio.Event()
        """Whether the group has taken us in, with or without partitions."""
        self.lease = Lease(settings.session_timeout_seconds)
        self._settings = settings
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._owned: set[int] = set()
        self._ready: set[int] = set()
        self._marks: dict[int, int] = {}
        """Offsets to commit."""
        self._lock = threading.Lock()
        self._consumer: RestingConsumer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{group}")
        self._buffer: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._draining = False
        self._metrics = metrics or KafkaMetrics()
        self._lag = 0
        self._read: dict[int, int] = {}
        """Offset behind the last message that was fetched, by partition; on the thread."""
        self._metrics.lag[group] = lambda: self._lag
        self._metrics.connected[group] = lambda: self.lease.holds
        self._metrics.pending_commits[group] = lambda: len(self._marks)
        for counted in (self._metrics.rebalances, self._metrics.lost):
            counted[group] += 0  # A first one is to be seen as one more than none.

    async def start(self) -> None:
        """Join the group.

        Raises:
            Rejected: the broker refuses us.
        """
        self._loop = asyncio.get_running_loop()
        self._consumer = await connect(self._settings, f"group {self.group}", self._open)
        self._task = asyncio.create_task(self._run(), name=f"member/{self.group}")

    def _open(self) -> RestingConsumer:
        session = int(self._settings.session_timeout_seconds * 1000)
        consumer = RestingConsumer(
            **client_options(self._settings, f"matrix-{self.group}"),
            metrics_enabled=False,
            group_id=self.group,
            group_instance_id=self._instance(),
            partition_assignment_strategy=(CooperativeStickyAssignor,),
            session_timeout_ms=session,
            # Often: a new member waits for the first answer before it writes.
            heartbeat_interval_ms=max(200, min(session // 8, 1_000)),
            # How long a rebalance waits for a member that is gone, too: with the usual five minutes
            # some brokers hold the others up for so long. We poll without a break.
            max_poll_interval_ms=2 * session,
            request_timeout_ms=2 * session + 2_000,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            fetch_max_wait_ms=_POLL_MS,
            max_partition_fetch_bytes=self._settings.max_message_bytes,
        )
        consumer.on_heartbeat(self.lease.confirm)
        consumer.subscribe([self.topic], listener=self)
        return consumer

    def _instance(self) -> str | None:
        name = self._settings.instance_id
        return f"{self.group}-{name}" if name else None

    # On kafka-python's thread.

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Hold the new partitions back until their state is restored."""
        assert self._consumer is not None
        parts = {place.partition for place in assigned}
        self._consumer.pause(*assigned)
        with self._lock:
            self._owned |= parts
            self._ready -= parts
        self._metrics.rebalances[self.group] += 1
        self._tell(self._on_assigned, parts)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Give partitions up: what is done is committed, what is not is somebody else's now."""
        marks = self._drop(revoked)
        if marks and self._consumer is not None:
            try:
                await self._consumer.commit_async(marks)
            except KafkaError as error:
                _log.info("commit before giving up failed", reason=type(error).__name__)

    async def on_partitions_lost(self, lost: Any) -> None:
        """The membership ended without us: others own the partitions already."""
        _log.warning("membership lost", group=self.group, partitions=len(lost))
        self._metrics.lost[self.group] += 1
        self._drop(lost)

    def _drop(self, places: Any) -> dict[Any, Any]:
        parts = {place.partition for place in places}
        with self._lock:
            self._owned -= parts
            self._ready -= parts
            marks = {part: self._marks.pop(part) for part in parts if part in self._marks}
            for part in parts:
                self._read.pop(part, None)
        self._tell(self._on_revoked, parts)
        return self._offsets(marks)

    def _offsets(self, marks: Mapping[int, int]) -> dict[Any, Any]:
        return {
            TopicPartition(self.topic, part): OffsetAndMetadata(offset, "", -1)
            for part, offset in marks.items()
        }

    def _tell(self, callback: Callable[[set[int]], None], parts: set[int]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop may have ended.
            self._loop.call_soon_threadsafe(self._take_note, callback, parts)

    # In the event loop.

    def _take_note(self, callback: Callable[[set[int]], None], parts: set[int]) -> None:
        if callback == self._on_revoked:
            kept = [message for message in self._buffer if message.partition not in parts]
            self._buffer.clear()
            self._buffer.extend(kept)
        callback(parts)

    def owns(self, partition: int) -> bool:
        """Return whether this process owns a partition, as far as it knows."""
        return partition in self._owned

    def resume(self, partition: int) -> None:
        """Let messages of a partition come: its state is restored."""
        with self._lock:
            if partition in self._owned:
                self._ready.add(partition)

    def drain(self) -> None:
        """Take no more messages; what was taken may be finished and committed."""
        self._draining = True
        self._buffer.clear()

    async def poll(self, limit: int, wait: bool = True) -> list[Delivery]:
        """Return the next messages, at most `limit`; waits for at least one unless told not to."""
        while not self._buffer or self._draining:
            if not wait:
                return []
            if self._task is not None and self._task.done():
                await self._task
            self._arrived.clear()
            await self._arrived.wait()
        return [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Have offsets stored soon; those of partitions that were given up are not."""
        with self._lock:
            for (_, partition), offset in offsets.items():
                if partition in self._owned:
                    self._marks[partition] = max(offset, self._marks.get(partition, 0))

    async def _run(self) -> None:
        committed = 0.0
        try:
            while not self._stopping:
                commit = time.monotonic() - committed > _COMMIT_SECONDS
                if commit:
                    committed = time.monotonic()
                messages = await self._loop.run_in_executor(self._thread, self._turn, commit)
                if not self.joined.is_set() and self._is_stable():
                    self.joined.set()
                if self._draining:
                    continue
                owned = [message for message in messages if self.owns(message.partition)]
                if owned:
                    self._buffer.extend(owned)
                    self._arrived.set()
        finally:
            self._arrived.set()

    def _is_stable(self) -> bool:
        return self._consumer is not None and (
            self._consumer.group_metadata().state == MemberState.STABLE
        )

    # On the consumer's thread.

    def _turn(self, commit: bool) -> list[Delivery]:
        """Commit if it is time, hold back or let go, and poll once."""
        assert self._consumer is not None
        if commit:
            self._commit()
            self._lag = self._measured_lag()
        if self.joined.is_set() and not self._is_stable():
            self.lease.carry_on()
        assigned = self._consumer.assignment()
        full = self._draining or len(self._buffer) >= _BUFFER
        go = {p for p in assigned if not full and p.partition in self._ready}
        paused = self._consumer.paused()
        if stop := (assigned - go) - paused:
            self._consumer.pause(*stop)
        if start := go & paused:
            self._consumer.resume(*start)
        try:
            batches = self._consumer.poll(_POLL_MS, max_records=_BUFFER)
        except REFUSALS:
            raise
        except KafkaError as error:
            _log.warning("polling is interrupted", reason=f"{type(error).__name__}: {error}")
            time.sleep(_POLL_MS / 1000)
            return []
        for place, batch in batches.items():
            if batch:
                self._read[place.partition] = batch[-1].offset + 1
        return [delivery(record) for batch in batches.values() for record in batch]

    def _measured_lag(self) -> int:
        """Return how many messages of our partitions wait, by what the last fetches told.

        Not by asking the broker, which would hold up the polling when it is away; nor by
        `position`, which may ask it.
        """
        assert self._consumer is not None
        lag = len(self._buffer)
        for place in self._consumer.assignment():
            read = self._read.get(place.partition)
            with contextlib.suppress(KafkaError):  # It may have been taken from us meanwhile.
                if read is not None:
                    lag += max(0, (self._consumer.highwater(place) or 0) - read)
        return lag

    def _commit(self) -> None:
        assert self._consumer is not None
        with self._lock:
            marks, self._marks = self._marks, {}
        if not marks:
            return

        def answered(_: Any, answer: Any) -> None:
            if isinstance(answer, Exception):
                # "Not yet", or no broker: they are committed another time.
                with self._lock:
                    for part, offset in marks.items():
                        if part in self._owned:
                            self._marks[part] = max(offset, self._marks.get(part, 0))

        self._consumer.commit_async(self._offsets(marks), callback=answered)

    async def close(self) -> None:
        """Commit what is done, and leave the group."""
        self._stopping = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        consumer = self._consumer
        if consumer is not None:
            await self._loop.run_in_executor(
                self._thread, lambda: consumer.close(autocommit=False, timeout_ms=5_000)
            )
            self._consumer = None
        self._thread.shutdown(wait=False)
