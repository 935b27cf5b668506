"""What a topic holds now, read once from its beginning, for commands that people type; blocks.

Unlike the readers of services it does not wait for a broker that is away, and it asks the topic
how many partitions it has.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.kafka_client import client_options, delivery, unreachable
from services.runtime.kafka_reader import BATCH, POLL_MS
from services.runtime.kafka_refusals import REFUSALS
from services.runtime.ports import Delivery
from services.runtime.settings import KafkaSettings

_BOOTSTRAP_MS = 5_000
"""How long the first connection may take: somebody waits for the answer."""
_SILENCE_SECONDS = 30.0
"""Without news for so long, the broker counts as gone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that a topic holds."""

    delivery: Delivery
    published_at: float
    """Seconds since the epoch; 0 when the broker does not know."""


class KafkaHistory:
    """A connection for reading; close it."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        """Connect.

        Raises:
            Rejected: the broker refuses us.
            Retryable: it gave no answer.
        """
        self._settings = settings
        try:
            self._consumer = KafkaConsumer(
                **client_options(settings, client_id) | {"bootstrap_timeout_ms": _BOOTSTRAP_MS},
                metrics_enabled=False,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                fetch_max_wait_ms=POLL_MS,
                max_partition_fetch_bytes=settings.max_message_bytes,
            )
        except REFUSALS as error:
            raise self._refused(error) from None
        except (KafkaError, OSError) as error:
            raise unreachable(settings, error) from None

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has.

        Raises:
            NotFound: there is no such topic.
            Rejected: the broker refuses us.
            Retryable: it gave no answer.
        """
        try:
            found = self._consumer.partitions_for_topic(topic)
        except REFUSALS as error:
            raise self._refused(error) from None
        except KafkaError as error:
            raise unreachable(self._settings, error) from None
        if not found:
            raise NotFound(
                f"broker {self._settings.bootstrap_servers} has no topic {topic}: is it the "
                "platform's? `matrix topics create` makes its topics"
            )
        return len(found)

    def read(self, topic: str, starts: Mapping[int, int] | None = None) -> Iterator[Kept]:
        """Yield the messages that a topic holds now, in order within each partition.

        Args:
            topic: to be read.
            starts: the first offset of each partition to be read; all of all by default.

        Raises:
            NotFound: there is no such topic or partition.
            Rejected: the broker refuses us.
            Retryable: it gave no answer.
        """
        count = self.partitions(topic)
        begin = dict.fromkeys(range(count), 0) if starts is None else dict(starts)
        if beyond := [partition for partition in begin if not 0 <= partition < count]:
            raise NotFound(f"topic {topic} has {count} partitions and none of number {beyond[0]}")
        try:
            yield from self._read({TopicPartition(topic, p): o for p, o in begin.items()})
        except REFUSALS as error:
            raise self._refused(error) from None
        except KafkaError as error:
            raise unreachable(self._settings, error) from None

    def _read(self, begin: dict[TopicPartition, int]) -> Iterator[Kept]:
        consumer = self._consumer
        consumer.assign(list(begin))
        for place, offset in begin.items():
            consumer.seek(place, offset)
        ends: dict[TopicPartition, int] = {}
        left, heard = set(begin), time.monotonic()
        while left:
            batches = consumer.poll(POLL_MS, max_records=BATCH)
            for place in left - set(ends):
                # The end as it was first heard of: what comes later is not waited for.
                if (end := consumer.highwater(place)) is not None:
                    ends[place], heard = end, time.monotonic()
            for records in batches.values():
                heard = time.monotonic()
                for record in records:
                    yield Kept(delivery(record), max(record.timestamp or 0, 0) / 1000)
            left = {p for p in left if p not in ends or consumer.position(p) < ends[p]}
            if time.monotonic() - heard > _SILENCE_SECONDS:
                raise Retryable(
                    f"broker {self._settings.bootstrap_servers} has fallen silent: "
                    f"{len(left)} partitions were not read to their end; try again"
                )

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _refused(self, error: Exception) -> Rejected:
        return Rejected(
            f"broker {self._settings.bootstrap_servers} refuses us: {type(error).__name__}; look "
            "at MATRIX_KAFKA__SECURITY_PROTOCOL, SASL_USERNAME, SASL_PASSWORD and the files of "
            "certificates"
        )
