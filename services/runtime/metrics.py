"""What the platform counts about itself, declared once; ops/metrics.md is made from this.

Labels are of bounded sets: roles, stages, kinds, reasons, topics, groups of consumers, methods, and
datasets, of which only the first `MOST_DATASETS` have names of their own. None names an agent, a
group of the society, a partition, or a sample.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from prometheus_client import CollectorRegistry, GCCollector, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from services.runtime.metric_fields import Gauge, Told, Value, counter, families, gauge, histogram
from services.runtime.transport_metrics import (
    GrpcMetrics,
    KafkaMetrics,
    Labelled,
    ProcessMetrics,
    StoreMetrics,
)

MOST_DATASETS = 100
OTHER = "other"
"""Stands for what is beyond the bound of a label."""
_CALL = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
_LONG = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


def _stages(part: "ModelMetrics") -> set[str]:
    return {stage for _, stage in part.calls}


@dataclass(slots=True)
class ModelMetrics:
    """Model calls of this process."""

    calls: Labelled = counter("matrix_model_calls_total", "Answered calls.", "role", "stage")
    prompt_tokens: Labelled = counter(
        "matrix_model_prompt_tokens_total", "Tokens sent in prompts.", "role", "stage"
    )
    cached_tokens: Labelled = counter(
        "matrix_model_cached_prompt_tokens_total",
        "Tokens of prompts that the server had in its prefix cache, where it tells.",
        "role",
        "stage",
    )
    completion_tokens: Labelled = counter(
        "matrix_model_completion_tokens_total", "Tokens generated.", "role", "stage"
    )
    retries: Counter[str] = counter(
        "matrix_model_retries_total",
        "Repeated requests by cause.",
        "cause",
        known=lambda part: ("HTTP 503", "time-out", "broken connection", "unreadable answer"),
    )
    refused: Counter[str] = counter(
        "matrix_model_refused_total",
        "Requests that the server will never answer (HTTP 4xx).",
        "stage",
        known=_stages,
    )
    malformed: Counter[str] = counter(
        "matrix_model_malformed_total",
        "Answers without the form asked for.",
        "stage",
        known=_stages,
    )
    given_up: Counter[str] = counter(
        "matrix_model_given_up_total",
        "Calls without an answer in spite of retries.",
        "stage",
        known=_stages,
    )
    seconds: Histogram = histogram(
        "matrix_model_call_seconds",
        "From the request to its whole answer; waiting here is not in it.",
        "role",
        "stage",
        buckets=_CALL,
    )
    queue_seconds: Histogram = histogram(
        "matrix_model_queue_seconds",
        "How long calls waited here for a free slot of their server.",
        "role",
        buckets=_CALL,
    )
    in_flight: Gauge = gauge(
        "matrix_model_in_flight", "Sequences that a server works on for this process.", "server"
    )
    waiting: Gauge = gauge(
        "matrix_model_waiting", "Sequences that wait here for a slot of a server.", "server"
    )
    slots: Gauge = gauge(
        "matrix_model_slots", "Sequences that this process sends to a server at once.", "server"
    )
    running: Gauge = gauge(
        "matrix_model_server_running", "Sequences in a server's batch, as it tells.", "server"
    )
    queued: Gauge = gauge(
        "matrix_model_server_queued", "Sequences in a server's queue, as it tells.", "server"
    )
    cost: dict[str, float] = counter(
        "matrix_model_cost_total",
        "Cost of the tokens by the prices in the settings, in their currency.",
        "role",
    )


@dataclass(slots=True)
class SocietyMetrics:
    """What the simulated society does in this process."""

    agents: int = gauge("matrix_agents", "People of the groups owned here.", default=0)
    born: int = gauge("matrix_agents_born", "Of these, those who have acted.", default=0)
    groups: int = gauge("matrix_groups", "Groups owned here, agents' side.", default=0)
    steps: int = counter("matrix_steps_total", "Steps of groups.")
    step_seconds: Histogram = histogram(
        "matrix_step_seconds", "From a group's token to what its agents did.", buckets=_LONG
    )
    actions: Counter[str] = counter("matrix_actions_total", "Actions by kind.", "kind")
    implausible: int = counter("matrix_actions_implausible_total", "Actions that go to nobody.")
    deliveries: int = counter(
        "matrix_deliveries_total", "Agents of the same group made aware of an action."
    )
    forwarded: int = counter(
        "matrix_actions_forwarded_total", "Groups that an action was forwarded to."
    )
    routed: int = counter("matrix_actions_routed_total", "Actions that went through routing.")
    rests: int = counter("matrix_rests_total", "Groups that went to rest: nobody had a reason.")
    scenarios: int = counter("matrix_scenarios_total", "Scenarios extracted.")
    active: int = gauge(
        "matrix_agents_active",
        "Agents of the groups whose token is on its way: in a step, or about to be.",
        default=0,
    )
    resting: Value = gauge("matrix_groups_resting", "Groups that wait for something to happen.")
    parked: int = gauge(
        "matrix_groups_parked",
        "Groups whose token is held back: not wanted, or more than the population may be.",
        default=0,
    )
    target: int | None = gauge(
        "matrix_population_target_agents", "Agents that are to be active, while it is controlled."
    )
    target_changes: Counter[str] = counter(
        "matrix_population_changes_total", "New targets, by reason.", "reason"
    )


@dataclass(slots=True)
class LineMetrics:
    """From scenarios to samples."""

    instructions: Counter[str] = counter(
        "matrix_instructions_total", "Instructions generated: candidates.", "dataset"
    )
    claims_waiting: Value = gauge("matrix_claims_waiting", "Candidates that wait for their turn.")
    claims_in_work: Value = gauge("matrix_claims_in_work", "Candidates being instructed.")
    accepted: Labelled = counter(
        "matrix_samples_accepted_total", "Candidates accepted.", "dataset", "kind"
    )
    rejected: Labelled = counter(
        "matrix_candidates_rejected_total", "Candidates rejected.", "dataset", "kind", "reason"
    )
    tokens: Labelled = counter(
        "matrix_judged_tokens_total",
        "Tokens that judged candidates cost, rejected ones too; type: prompt or completion.",
        "dataset",
        "type",
    )
    judging_seconds: Histogram = histogram(
        "matrix_judging_seconds", "From an instruction to the verdict on it.", buckets=_LONG
    )
    samples: Gauge | Told = gauge(
        "matrix_dataset_samples", "Accepted samples of a dataset so far.", "dataset"
    )
    size: Gauge | Told = gauge("matrix_dataset_size", "Samples ordered.", "dataset")
    wanted: Gauge | Told = gauge(
        "matrix_dataset_wanted", "1 while more is to be made for a dataset, else 0.", "dataset"
    )
    newest: Gauge | Told = gauge(
        "matrix_dataset_newest_sample_timestamp_seconds",
        "When the newest sample was made; the order itself before there is one.",
        "dataset",
    )
    rows: Counter[str] = counter(
        "matrix_rows_written_total", "Samples in committed rows of tables.", "dataset"
    )
    freshness_seconds: Histogram = histogram(
        "matrix_sample_freshness_seconds",
        "From when a sample's judging began to its committed row.",
        buckets=_LONG,
    )
    _names: set[str] = field(default_factory=set)

    def name(self, dataset: str) -> str:
        """Return the label of a dataset: its name, or `OTHER` beyond the bound."""
        if dataset not in self._names:
            if len(self._names) >= MOST_DATASETS:
                return OTHER
            self._names.add(dataset)
        return dataset


@dataclass(slots=True)
class Metrics:
    """All metrics of one process."""

    model: ModelMetrics = field(default_factory=ModelMetrics)
    society: SocietyMetrics = field(default_factory=SocietyMetrics)
    line: LineMetrics = field(default_factory=LineMetrics)
    kafka: KafkaMetrics = field(default_factory=KafkaMetrics)
    store: StoreMetrics = field(default_factory=StoreMetrics)
    grpc: GrpcMetrics = field(default_factory=GrpcMetrics)
    process: ProcessMetrics = field(default_factory=ProcessMetrics)

    def registry(self) -> CollectorRegistry:
        """Return what exposes these metrics, and those of the process."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Exposed(self))
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        return registry


class _Exposed(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for part in fields(self._metrics):
            yield from families(getattr(self._metrics, part.name))
