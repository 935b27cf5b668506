"""The way out to the broker."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from services.runtime import tracing
from services.runtime.errors import Rejected, Retryable
from services.runtime.kafka_client import client_options, connect
from services.runtime.message_spans import sending
from services.runtime.partitions import partition_of
from services.runtime.ports import Record
from services.runtime.settings import KafkaSettings
from services.runtime.transport_metrics import KafkaMetrics

_DELIVERY_MS = 10 * 60 * 1000
"""How long a record is offered to a broker that is away before its publishing counts as failed."""
_OVERHEAD = 16 * 1024
"""Bytes of a request beside its records."""


def waves(records: Sequence[Record]) -> list[list[Record]]:
    """Return `records` as what goes out first, and the tombstones that go out after it."""
    found = [record for record in records if record.value]
    tombstones = [record for record in records if not record.value]
    return [wave for wave in (found, tombstones) if wave]


class KafkaPublisher:
    """Appends records; keys decide the partition, by our rule and no client's."""

    def __init__(
        self, settings: KafkaSettings, client_id: str, metrics: KafkaMetrics | None = None
    ) -> None:
        self._settings = settings
        self._metrics = metrics or KafkaMetrics()
        self._client_id = client_id
        self._topics: Sequence[str] = ()
        self._producer: KafkaProducer | None = None
        self._spoilt = False
        """After an answer that it cannot place an idempotent producer takes nothing any more."""
        # Sending may block (metadata, a full buffer), and one thread keeps the order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-send")

    async def start(self, topics: Sequence[str]) -> None:
        """Connect, and learn where `topics` are, so that the first sends do not wait.

        Raises:
            Rejected: the broker refuses us.
        """
        self._topics = topics
        self._producer = await connect(self._settings, "the publisher", self._make)

    def _make(self) -> KafkaProducer:
        producer = KafkaProducer(
            **client_options(self._settings, self._client_id),
            metrics_enabled=False,
            acks="all",
            enable_idempotence=self._settings.idempotence,
            max_in_flight_requests_per_connection=5 if self._settings.idempotence else 1,
            linger_ms=self._settings.linger_ms,
            delivery_timeout_ms=_DELIVERY_MS,
            max_block_ms=_DELIVERY_MS,
            max_request_size=self._settings.max_message_bytes + _OVERHEAD,
            allow_auto_create_topics=False,
        )
        for topic in self._topics:
            producer.partitions_for(topic)
        return producer

    def _usable(self) -> KafkaProducer:
        """Return the producer, or another one in its place; on the thread that sends."""
        if self._producer is None:
            raise RuntimeError("KafkaPublisher is used before its start")
        if self._spoilt:
            # What it still has on its way must not come after what the next one sends.
            with contextlib.suppress(KafkaError):
                self._producer.close(timeout=5)
            self._producer = self._make()
            self._spoilt = False
        return self._producer

    def partition(self, record: Record) -> int:
        """Return the partition that a record goes to."""
        if record.partition is not None:
            return record.partition
        return partition_of(record.partition_key or record.key, self._settings.partitions)

    async def publish(self, records: Sequence[Record]) -> None:
        """Append `records`, in order within each partition; returns when all are durable.

        Tombstones go out when the others are durable: what they remove may be needed until then.

        Raises:
            Rejected: a record is larger than the broker takes.
            Retryable: the broker was away for too long.
        """
        for wave in waves(records):
            await self.append(wave)

    async def append(self, records: Sequence[Record]) -> list[int]:
        """Append `records` all at once, and return their offsets when all are durable.

        Raises:
            Rejected, Retryable: like `publish`.
        """
        with sending(records) as carrying:
            return await self._append(carrying)

    async def _append(self, records: Sequence[Record]) -> list[int]:
        loop = asyncio.get_running_loop()
        limit = self._settings.max_message_bytes
        for record in records:
            if len(record.value) > limit:
                raise Rejected(
                    f"a record of {len(record.value)} bytes for {record.topic} is larger than "
                    f"MATRIX_KAFKA__MAX_MESSAGE_BYTES, {limit}"
                )
        done: asyncio.Future[None] = loop.create_future()
        offsets = [-1] * len(records)
        left = len(records)

        def finish(number: int, result: Any) -> None:
            nonlocal left
            left -= 1
            if done.done():
                return
            if isinstance(result, Exception):
                done.set_exception(result)
                return
            offsets[number] = result.offset
            if not left:
                done.set_result(None)

        def answered(number: int, result: Any) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has ended: nobody waits any more.
                loop.call_soon_threadsafe(finish, number, result)

        def send() -> KafkaProducer:
            producer = self._usable()
            for number, record in enumerate(records):
                future = producer.send(
                    record.topic,
                    key=record.key.encode(),
                    value=record.value or None,
                    headers=[(name, text.encode()) for name, text in record.headers.items()],
                    partition=self.partition(record),
                )
                future.add_both(partial(answered, number))
            return producer

        used, began = self._producer, time.monotonic()
        try:
            used = await loop.run_in_executor(self._thread, send)
            await done
            self._metrics.publish_seconds.observe(time.monotonic() - began, tracing.exemplar())
            for record in records:
                self._metrics.published[record.topic] += 1
            return offsets
        except MessageSizeTooLargeError as error:
            raise Rejected(f"the broker takes no record so large: {error}") from error
        except KafkaError as error:
            self._metrics.publish_failures += 1
            self._spoilt = self._spoilt or used is self._producer
            raise Retryable(
                f"broker {self._settings.bootstrap_servers} did not take {len(records)} records "
                f"({type(error).__name__}: {error})"
            ) from error

    async def close(self) -> None:
        """Send what waits, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # What was not acknowledged by now was not done; its input comes again.
            with contextlib.suppress(KafkaError):
                await asyncio.to_thread(producer.close, timeout=5)
        self._thread.shutdown(wait=False)
