"""Does the work flow: broker, tables, calls, processes?"""

from ops.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    bad_from,
    good_below,
    good_from,
    quantiles,
    rate,
    ratio,
    total,
)

_C = 'component=~"$component"'
_P = f'job="matrix", {_C}'
"""Of metrics that other programs have as well."""


def _gauge(title: str, description: str, metric: str, by: str, **more: object) -> Panel:
    query = Query(total(metric, by, _C), f"{{{{{by}}}}}")
    return Panel(title, description, "none", (query,), **more)  # type: ignore[arg-type]


def _by_method(expression: str) -> Query:
    # Without the package of the service: `AgentStateService/GetPopulation`.
    short = f'label_replace({expression}, "method", "$1", "method", ".*[.](.+)")'
    return Query(short, "{{method}}")


_FLOW = Row(
    "Do messages flow?",
    (
        _gauge(
            "Lag by group",
            "Messages not fetched yet. Low, or falling after a restart. If one group's lag grows, "
            "its component is too slow or away: see readiness, then add replicas.",
            "matrix_kafka_lag_messages",
            "group",
            thresholds=good_below(1000, 10000),
        ),
        _gauge(
            "Messages in flight by group",
            "Taken and not yet done. Below the limit of MATRIX_MAX_PENDING for each replica. At "
            "the limit for long: handlers wait, mostly for a model or for the store.",
            "matrix_kafka_in_flight_messages",
            "group",
        ),
        _gauge(
            "Partitions with uncommitted offsets",
            "A few, for moments. If it stays high, the broker does not take commits: see the log "
            "of the component.",
            "matrix_kafka_pending_commits",
            "group",
        ),
        Panel(
            "Messages done per second by topic",
            "All topics move while datasets want more. The first topic along the line that stands "
            "still names the component to look at.",
            "none",
            (Query(rate("matrix_kafka_messages_handled_total", "topic", _C), "{{topic}}"),),
        ),
        Panel(
            "Work on a message, 95th percentile by topic",
            "The model's share is in it, so that it is seconds to minutes. If it grows, look at "
            "call latency and queue wait on Models first.",
            "s",
            (quantiles("matrix_kafka_handling_seconds", "topic", _C)[1],),
            exemplars=True,
        ),
        Panel(
            "Attempts put off per second by topic",
            "None. Messages are tried again because something is away, which the log names: "
            "`matrix_kafka_messages_retried_total` says of which topic.",
            "none",
            (Query(rate("matrix_kafka_messages_retried_total", "topic", _C), "{{topic}}"),),
            stacked=True,
            thresholds=bad_from(1),
            no_value="none",
        ),
        _gauge(
            "Dead letters by topic",
            "Messages that no handler could take, since the processes started. None. Otherwise "
            "`matrix dead-letters list --waiting` shows them with the reason.",
            "matrix_dead_letters_total",
            "topic",
            thresholds=bad_from(1),
            no_value="none",
        ),
        Panel(
            "Records published per second by topic",
            "Follows the work. If it stops while messages are in flight, see failures to publish.",
            "none",
            (Query(rate("matrix_kafka_records_published_total", "topic", _C), "{{topic}}"),),
        ),
        Panel(
            "Until records are durable",
            "Milliseconds on a healthy broker; a second and more on that of `matrix up`, which "
            "stores batches as objects. If it grows, look at the broker's disks and at the "
            "replication of its topics.",
            "s",
            quantiles("matrix_kafka_publish_seconds", "", _C),
            thresholds=good_below(0.5, 5),
            exemplars=True,
        ),
    ),
)

_MEMBERS = Row(
    "Who owns what?",
    (
        _gauge(
            "Partitions owned and restored by group",
            "Each group has all partitions, 64 by default. Less for long: a restore hangs, or a "
            "replica is away whose session has not ended.",
            "matrix_kafka_partitions",
            "group",
        ),
        Panel(
            "Rebalances and lost memberships, in 5 minutes",
            "Some when replicas start, end or scale; none otherwise. Lost ones mean that a process "
            "was frozen for longer than the session: see event loop and CPU.",
            "none",
            (
                Query(
                    f"sum by (group) (increase(matrix_kafka_rebalances_total{{{_C}}}[5m]))",
                    "rebalances {{group}}",
                ),
                Query(
                    f"sum by (group) (increase(matrix_kafka_memberships_lost_total{{{_C}}}[5m]))",
                    "lost {{group}}",
                ),
            ),
        ),
        Panel(
            "Restores",
            "From being given partitions to taking their messages: seconds. The curve that is "
            "going on grows with the size of the state; if it does not end, see the log of the "
            "component.",
            "s",
            (
                Query(
                    "histogram_quantile(0.95, sum by (le, group) "
                    f"(matrix_kafka_restore_seconds_bucket{{{_C}}}))",
                    "p95 since the start {{group}}",
                ),
                Query(
                    f"max by (group) (matrix_kafka_restoring_seconds{{{_C}}})", "going on {{group}}"
                ),
            ),
            thresholds=good_below(60, 300),
        ),
        Panel(
            "Connected to the broker",
            "The share of the replicas of each component whose last poll succeeded. 100 %. If all "
            "fall, the broker is away; if one, its network or credentials.",
            "percentunit",
            (Query(f"avg by (component) (matrix_kafka_connected{{{_C}}})", "{{component}}"),),
            thresholds=good_from(1, 1),
            maximum=1.0,
        ),
        Panel(
            "Failures to publish per second",
            "0. Appends that the broker did not take; the component tries again. If they last, the "
            "broker refuses (rights, size) or is away.",
            "none",
            (Query(rate("matrix_kafka_publish_failures_total", "component", _C), "{{component}}"),),
            thresholds=bad_from(0.01),
        ),
        _gauge(
            "Records of former owners passed over",
            "Rare, and only after an owner was taken over while it wrote. If it grows, two "
            "processes believe to own the same partition: see lost memberships.",
            "matrix_kafka_void_records_total",
            "group",
            no_value="none",
        ),
    ),
)

_STORE = Row(
    "Are rows stored?",
    (
        Panel(
            "Duration of a commit",
            "Below a second or two. If it grows, the store is slow, or tables have many small "
            "files.",
            "s",
            quantiles("matrix_table_commit_seconds", "", _C),
            thresholds=good_below(2, 10),
            exemplars=True,
        ),
        Panel(
            "Commits, conflicts and failures, in 5 minutes",
            "Commits while samples are accepted; conflicts now and then, when writers meet. "
            "Failures none: `away` is the network or the store, `denied` the rights, `unfit` a "
            "table of another form.",
            "none",
            (
                Query(
                    f"sum(increase(matrix_table_commits_total{{{_C}}}[5m]))",
                    "commits",
                ),
                Query(
                    f"sum(increase(matrix_table_conflicts_total{{{_C}}}[5m]))",
                    "conflicts",
                ),
                Query(
                    f"sum by (cause) (increase(matrix_table_commit_failures_total{{{_C}}}[5m]))",
                    "failed: {{cause}}",
                ),
            ),
        ),
        Panel(
            "Bytes of rows per second",
            "Follows the accepted samples. A jump without more samples means longer texts.",
            "Bps",
            (Query(rate("matrix_table_bytes_total", "", _C), "rows"),),
        ),
        Panel(
            "Replicas that cannot store",
            "0. Otherwise rows wait and are not lost: mend the store, its keys or its network; "
            "the log of reward_filtering says what it answers.",
            "none",
            (Query(total("matrix_store_away", "", _C), "store away"),),
            kind="stat",
            thresholds=bad_from(1),
        ),
        Panel(
            "Certificates end in",
            "Weeks. Below one, whoever renews them (cert-manager) has failed; the processes read "
            "new ones when they start.",
            "s",
            (
                Query(
                    "min by (certificate) "
                    f"(matrix_certificate_expiry_timestamp_seconds{{{_C}}}) - time()",
                    "{{certificate}}",
                ),
            ),
            kind="stat",
            thresholds=good_from(14 * 86400, 3 * 86400),
            no_value="no TLS",
        ),
        Panel(
            "Replicas by version",
            "One version, except during an update. Two for long: an update hangs; see readiness.",
            "none",
            (Query(f"count by (version) (matrix_build_info{{{_C}}})", "{{version}}"),),
            kind="stat",
        ),
    ),
)

_SERVED = "matrix_grpc_requests_total"
_OURS = "UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
_ALL = rate(_SERVED, "", _C)
_FAILED = rate(_SERVED, "", f'{_C}, code=~"{_OURS}"')
_CALLS = Row(
    "Are calls served?",
    (
        Panel(
            "Calls per second by method",
            "What users, commands and the other replicas ask. A method that jumps has a caller "
            "that repeats itself.",
            "reqps",
            (_by_method(rate(_SERVED, "method", _C)),),
        ),
        Panel(
            "Share of calls that failed by our fault",
            "Codes other than OK and those that say that the request was wrong. Below 0.1 %. "
            "UNAVAILABLE is a replica that starts or drains; INTERNAL is a defect: see the log.",
            "percentunit",
            (Query(ratio(f"({_FAILED} or 0 * {_ALL})", _ALL), "failed"),),
            thresholds=good_below(0.001, 0.01),
        ),
        Panel(
            "Latency, 95th percentile by method",
            "Tens of milliseconds for what is read; seconds for what asks a model (RouteAction, "
            "PreviewInstruction, JudgeSample). If all grow: the event loop is late, see below.",
            "s",
            (_by_method(quantiles("matrix_grpc_request_seconds", "method", _C)[1].expression),),
            exemplars=True,
        ),
        Panel(
            "Open calls by method",
            "Watches are open for as long as somebody looks. Unary ones that pile up wait for "
            "something: see latency.",
            "none",
            (_by_method(total("matrix_grpc_open_calls", "method", _C)),),
            width=12,
        ),
        Panel(
            "Calls per second by code",
            "Nearly all OK. NOT_FOUND and INVALID_ARGUMENT are the caller's mistakes; "
            "UNAUTHENTICATED and PERMISSION_DENIED a caller without a right.",
            "reqps",
            (Query(rate(_SERVED, "code", _C), "{{code}}"),),
            stacked=True,
            width=12,
        ),
    ),
)

_PROCESSES = Row(
    "Are the processes well?",
    (
        Panel(
            "Ready replicas",
            "All that should run. A replica that is not ready restores or waits for broker or "
            "models; its log says for what.",
            "none",
            (Query(total("matrix_ready", "component", _C), "{{component}}"),),
        ),
        Panel(
            "Replicas that answer Prometheus",
            "As many as should run. Fewer: a process is down, or its port cannot be reached.",
            "none",
            (Query(total("up", "component", _P), "{{component}}"),),
        ),
        Panel(
            "Log lines per second by level",
            "Few warnings, no errors. Errors name their cause in the log of the component.",
            "none",
            (Query(rate("matrix_log_lines_total", "level", _C), "{{level}}"),),
            stacked=True,
        ),
        Panel(
            "Event loop, latest",
            "How late the worst replica of a component was at its last look. Below 0.1 s. More "
            "means too much work for one core: add replicas; far more, something blocks.",
            "s",
            (
                Query(
                    f"max by (component) (matrix_event_loop_lag_seconds{{{_C}}})", "{{component}}"
                ),
            ),
            thresholds=good_below(0.1, 1.0),
        ),
        Panel(
            "CPU by component",
            "Cores in use, all replicas together. A replica uses one at most; near that, add "
            "replicas.",
            "none",
            (Query(rate("process_cpu_seconds_total", "component", _P), "{{component}}"),),
            stacked=True,
        ),
        Panel(
            "Memory of the largest replica",
            "Flat, or growing slowly with the verdicts that are kept. If it nears the limit of "
            "the pod, raise that, or add replicas: state is shared among them.",
            "bytes",
            (
                Query(
                    f"max by (component) (process_resident_memory_bytes{{{_P}}})", "{{component}}"
                ),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    "pipeline",
    "MATRIX: Pipeline",
    "Does the work flow: broker, tables, calls, processes?",
    ("component",),
    (_FLOW, _MEMBERS, _STORE, _CALLS, _PROCESSES),
)
