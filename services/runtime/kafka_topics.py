"""Topics are created once, by a person's or a cluster job's `matrix topics create`."""

from collections.abc import Sequence
from dataclasses import dataclass

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.runtime.errors import Rejected
from services.runtime.kafka_client import client_options, unreachable
from services.runtime.kafka_refusals import REFUSALS, WHERE_TO_LOOK
from services.runtime.settings import KafkaSettings

_COMPACTED = {
    "cleanup.policy": "compact",
    # A record of an owner that was frozen must not push a valid one out before it is healed.
    "min.compaction.lag.ms": str(60 * 60 * 1000),
}
_BATCH_BYTES = 16 * 1024
"""What a record and its batch take beside the value: brokers count them."""
_KEPT = {"retention.ms": "-1", "retention.bytes": "-1"}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that is to exist."""

    name: str
    compacted: bool = False
    kept: bool = False


def topic_config(spec: TopicSpec, max_message_bytes: int) -> dict[str, str]:
    """Return the configuration of a topic, as every way to create it must set it."""
    return {
        "max.message.bytes": str(max_message_bytes + _BATCH_BYTES),
        **(_COMPACTED if spec.compacted else _KEPT if spec.kept else {}),
    }


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What `create_topics` found and made."""

    created: tuple[str, ...]
    existing: tuple[str, ...]


def create_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> TopicsReport:
    """Create the topics that are missing; blocks. Doing it again changes nothing.

    Raises:
        Rejected: a topic exists with another number of partitions, or the broker refuses us.
        Retryable: the broker gave no answer.
    """
    try:
        admin = KafkaAdminClient(**client_options(settings, "matrix-topics"))
    except REFUSALS as error:
        raise Rejected(
            f"broker {settings.bootstrap_servers} refuses us: {type(error).__name__}; "
            f"{WHERE_TO_LOOK}"
        ) from None
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
    try:
        return _create(admin, settings, specs)
    except REFUSALS as error:
        raise Rejected(
            f"broker {settings.bootstrap_servers} does not let us create topics: "
            f"{type(error).__name__}; give {settings.sasl_username or 'this user'} the right to"
        ) from error
    except KafkaError as error:
        raise unreachable(settings, error) from error
    finally:
        admin.close()


def _create(
    admin: KafkaAdminClient, settings: KafkaSettings, specs: Sequence[TopicSpec]
) -> TopicsReport:
    there = set(admin.list_topics())
    existing = [spec.name for spec in specs if spec.name in there]
    for topic in admin.describe_topics(existing) if existing else []:
        count = len(topic["partitions"])
        if count != settings.partitions:
            raise Rejected(
                f"topic {topic['name']} has {count} partitions, MATRIX_KAFKA__PARTITIONS is "
                f"{settings.partitions}: the number is fixed for ever, because state lies where "
                "its key's partition is; set it to what the topics have"
            )
    missing = {
        spec.name: {
            "num_partitions": settings.partitions,
            "replication_factor": settings.replication_factor,
            "configs": topic_config(spec, settings.max_message_bytes),
        }
        for spec in specs
        if spec.name not in there
    }
    if missing:
        admin.create_topics(missing)
    return TopicsReport(tuple(missing), tuple(existing))
