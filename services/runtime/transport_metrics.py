"""What the platform counts of broker, object store and gRPC; a part of `metrics.Metrics`."""

from collections import Counter
from dataclasses import dataclass

from prometheus_client import Histogram

from services.runtime.metric_fields import Gauge, Value, counter, gauge, histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

Labelled = Counter[tuple[str, ...]]
"""By the values of the labels, in order."""


@dataclass(slots=True)
class KafkaMetrics:
    """The broker, and this process as a member of groups of consumers."""

    lag: Gauge = gauge(
        "matrix_kafka_lag_messages",
        "Messages of the partitions owned here that are not fetched yet.",
        "group",
    )
    in_flight: Gauge = gauge(
        "matrix_kafka_in_flight_messages", "Messages taken and not yet done.", "group"
    )
    pending_commits: Gauge = gauge(
        "matrix_kafka_pending_commits",
        "Partitions with an offset that is done and not committed.",
        "group",
    )
    partitions: Gauge = gauge(
        "matrix_kafka_partitions", "Partitions owned, their state restored.", "group"
    )
    rebalances: Counter[str] = counter(
        "matrix_kafka_rebalances_total", "Times that partitions were given or taken.", "group"
    )
    lost: Counter[str] = counter(
        "matrix_kafka_memberships_lost_total",
        "Times that others got our partitions without our doing.",
        "group",
    )
    restore_seconds: Histogram = histogram(
        "matrix_kafka_restore_seconds",
        "From being given partitions to taking their messages.",
        "group",
        buckets=_LONG,
    )
    restoring: Gauge = gauge(
        "matrix_kafka_restoring_seconds",
        "How long the restore that has begun first takes by now; 0 when there is none.",
        "group",
    )
    void: Counter[str] = counter(
        "matrix_kafka_void_records_total", "Records of former owners passed over.", "group"
    )
    handled: Counter[str] = counter(
        "matrix_kafka_messages_handled_total", "Messages done.", "topic"
    )
    handling_seconds: Histogram = histogram(
        "matrix_kafka_handling_seconds",
        "Work on one message, the model's share and other attempts included.",
        "topic",
        buckets=_LONG,
    )
    retried: Counter[str] = counter(
        "matrix_kafka_messages_retried_total", "Attempts at a message that were put off.", "topic"
    )
    dead_letters: Counter[str] = counter(
        "matrix_dead_letters_total", "Messages that no handler could take.", "topic"
    )
    published: Counter[str] = counter(
        "matrix_kafka_records_published_total", "Records acknowledged by the broker.", "topic"
    )
    publish_seconds: Histogram = histogram(
        "matrix_kafka_publish_seconds", "Until records are durable.", buckets=_FAST
    )
    publish_failures: int = counter(
        "matrix_kafka_publish_failures_total", "Appends that the broker did not take."
    )
    connected: Gauge = gauge(
        "matrix_kafka_connected", "1 while the group of consumers confirms us, else 0.", "group"
    )


@dataclass(slots=True)
class StoreMetrics:
    """The tables in the object store."""

    commit_seconds: Histogram = histogram(
        "matrix_table_commit_seconds", "One commit of rows and reading positions.", buckets=_FAST
    )
    commits: int = counter("matrix_table_commits_total", "Commits that went through.")
    failures: Counter[str] = counter(
        "matrix_table_commit_failures_total",
        "Commits that did not, by cause: away, denied or unfit.",
        "cause",
        known=lambda part: ("away", "denied", "unfit"),
    )
    conflicts: int = counter(
        "matrix_table_conflicts_total", "Commits that another writer came before."
    )
    bytes: int = counter(
        "matrix_table_bytes_total", "Bytes of committed rows, before they are compressed."
    )
    away: int = gauge(
        "matrix_store_away", "1 while the object store does not take rows that wait.", default=0
    )


@dataclass(slots=True)
class GrpcMetrics:
    """Calls that this process serves."""

    calls: Labelled = counter(
        "matrix_grpc_requests_total", "Calls by method and status.", "method", "code"
    )
    seconds: Histogram = histogram(
        "matrix_grpc_request_seconds", "Unary calls, from start to answer.", "method", buckets=_FAST
    )
    open: dict[str, float] = gauge(
        "matrix_grpc_open_calls", "Calls being served, watches too.", "method"
    )
    certificates: Gauge = gauge(
        "matrix_certificate_expiry_timestamp_seconds",
        "When a certificate that this process shows or trusts ends.",
        "certificate",
    )


@dataclass(slots=True)
class ProcessMetrics:
    """The process itself, beside what Prometheus' client tells of it."""

    ready: Value = gauge("matrix_ready", "1 while calls are wanted, else 0.", default=0)
    info: Gauge = gauge("matrix_build_info", "1, for the version that runs.", "version")
    loop_lag: Value = gauge(
        "matrix_event_loop_lag_seconds",
        "How late the event loop was at the last look, one each second.",
        default=0.0,
    )
    log_lines: Counter[str] = counter(
        "matrix_log_lines_total",
        "Lines logged by level; held back ones too.",
        "level",
        known=lambda part: ("warning", "error"),
    )
