"""The vital figures of a platform, computed from looks at its metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.cli.top_looks import Look, Silent, Window

_CALL_SECONDS = "matrix_model_call_seconds"
HISTOGRAMS = frozenset({_CALL_SECONDS})
"""Those whose buckets are looked at."""


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """All replicas of a service together; None stands for what is not told."""

    service: str
    replicas: int
    """Those that answer."""
    ready: int
    silent: int
    """Those that do not answer."""
    cpu_percent: float | None
    """100 is one core."""
    memory_bytes: float | None
    loop_lag_seconds: float | None
    """Of the slowest event loop."""
    lag_messages: float | None
    in_flight_messages: float | None
    restores: float | None
    """Times that partitions were taken up, since the start of the replicas."""
    restoring_seconds: float | None
    """Of the longest restore that is at work; 0 when there is none."""
    dead_letters: float | None
    """Since the start of the replicas."""


@dataclass(frozen=True, slots=True)
class DatasetFigures:
    """A dataset, and how it fills."""

    name: str
    samples: float | None
    size: float | None
    """0: without end."""
    wanted: bool
    samples_per_minute: float | None
    acceptance: float | None
    """Share of the candidates judged within the window."""
    acceptance_since_start: float | None
    """Since the start of the replicas."""
    tokens_per_sample: float | None
    """Of all candidates, rejected ones too, for each accepted sample."""
    newest_age_seconds: float | None
    left_seconds: float | None


@dataclass(frozen=True, slots=True)
class SocietyFigures:
    """The people, and what they do."""

    agents: float | None
    born: float | None
    active: float | None
    target: float | None
    """How many are to be active; None: as many as may be."""
    groups: float | None
    resting: float | None
    parked: float | None
    steps_per_second: float | None
    actions_per_second: float | None
    deliveries_per_action: float | None
    """Within the window."""
    scenarios_per_minute: float | None


@dataclass(frozen=True, slots=True)
class RoleFigures:
    """Calls of one role's model within the window."""

    role: str
    calls_per_second: float | None
    prompt_tokens_per_second: float | None
    completion_tokens_per_second: float | None
    cached_share: float | None
    """Of the prompts' tokens, those found in the server's prefix cache."""
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """A model server, as this platform uses it and as it tells itself."""

    server: str
    in_flight: float | None
    slots: float | None
    waiting: float | None
    running: float | None
    queued: float | None


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """All models."""

    roles: tuple[RoleFigures, ...]
    servers: tuple[ServerFigures, ...]
    retries: float | None
    """Since the start of the replicas, as the next two."""
    refused: float | None
    given_up: float | None


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """The tables in the object store."""

    commits: float | None
    """Since the start of the replicas, as the failures."""
    commits_per_minute: float | None
    failures: float | None
    away: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one look."""

    clock: float
    """Seconds since the epoch."""
    window_seconds: float
    """What rates are measured over."""
    services: tuple[ServiceFigures, ...]
    datasets: tuple[DatasetFigures, ...]
    society: SocietyFigures
    models: ModelFigures
    store: StoreFigures
    silent: tuple[Silent, ...]


def figures(looks: Sequence[Look], services: Sequence[str]) -> Figures:
    """Return the figures of the last look.

    Args:
        looks: in order of time; rates are measured between the first one and the last.
        services: those that are shown whether they answer or not.
    """
    now = looks[-1]
    heard = {replica.service for replica in now.replicas}
    window = Window(looks, complete=heard.issuperset(services))
    told = {replica.service for replica in now.replicas} | {each.service for each in now.silent}
    names = [*services, *sorted(told - set(services))]
    return Figures(
        now.clock,
        window.seconds,
        tuple(_service(looks, name) for name in names),
        _datasets(window),
        _society(window),
        _models(window),
        _store(window),
        now.silent,
    )


def _service(looks: Sequence[Look], name: str) -> ServiceFigures:
    own = [
        Look(look.at, look.clock, tuple(r for r in look.replicas if r.service == name))
        for look in looks
    ]
    window = Window(own)
    told = window.total("process_cpu_seconds_total") is not None  # Not on every system.
    cpu = window.rate("process_cpu_seconds_total") if told else None
    return ServiceFigures(
        name,
        len(own[-1].replicas),
        int(window.total("matrix_ready") or 0),
        sum(bool(each.address) for each in looks[-1].silent if each.service == name),
        None if cpu is None else 100 * cpu,
        window.total("process_resident_memory_bytes"),
        window.most("matrix_event_loop_lag_seconds"),
        window.total("matrix_kafka_lag_messages"),
        window.total("matrix_kafka_in_flight_messages"),
        window.count("matrix_kafka_restore_seconds_count"),
        window.most("matrix_kafka_restoring_seconds"),
        window.count("matrix_dead_letters_total"),
    )


def _datasets(window: Window) -> tuple[DatasetFigures, ...]:
    names = window.values("dataset", "matrix_dataset_samples", "matrix_samples_accepted_total")
    found = [_dataset(window, name) for name in names]
    return tuple(sorted(found, key=lambda d: (not d.wanted, -(d.samples_per_minute or 0), d.name)))


def _dataset(window: Window, name: str) -> DatasetFigures:
    # Each replica of instruction_generation tells the same of an order: the largest counts, as one
    # that has just started knows less.
    samples = window.most("matrix_dataset_samples", dataset=name)
    size = window.most("matrix_dataset_size", dataset=name)
    newest = window.most("matrix_dataset_newest_sample_timestamp_seconds", dataset=name)
    wanted = bool(window.most("matrix_dataset_wanted", dataset=name))
    accepted, rejected = "matrix_samples_accepted_total", "matrix_candidates_rejected_total"
    made, lost = window.count(accepted, dataset=name), window.count(rejected, dataset=name)
    rate = window.rate(accepted, dataset=name)
    left = (size or 0) - (samples or 0)
    return DatasetFigures(
        name,
        samples,
        size,
        wanted,
        _times(rate, 60),
        _share(window.increase(accepted, dataset=name), window.increase(rejected, dataset=name)),
        _share(made or 0, lost or 0),
        _ratio(window.count("matrix_judged_tokens_total", dataset=name), made),
        None if newest is None else max(0.0, window.now.clock - newest),
        left / rate if wanted and rate and left > 0 else None,
    )


def _society(window: Window) -> SocietyFigures:
    routed = window.increase("matrix_actions_routed_total")
    return SocietyFigures(
        window.total("matrix_agents"),
        window.total("matrix_agents_born"),
        window.total("matrix_agents_active"),
        window.most("matrix_population_target_agents"),
        window.total("matrix_groups"),
        window.total("matrix_groups_resting"),
        window.total("matrix_groups_parked"),
        window.rate("matrix_steps_total"),
        window.rate("matrix_actions_total"),
        _ratio(window.increase("matrix_deliveries_total"), routed),
        _times(window.rate("matrix_scenarios_total"), 60),
    )


def _models(window: Window) -> ModelFigures:
    servers = window.values("server", "matrix_model_slots", "matrix_model_in_flight")
    return ModelFigures(
        tuple(_role(window, role) for role in window.values("role", "matrix_model_calls_total")),
        tuple(_server(window, server) for server in servers),
        window.count("matrix_model_retries_total"),
        window.count("matrix_model_refused_total"),
        window.count("matrix_model_given_up_total"),
    )


def _role(window: Window, role: str) -> RoleFigures:
    prompt, cached = "matrix_model_prompt_tokens_total", "matrix_model_cached_prompt_tokens_total"
    p50, p95 = window.quantiles(_CALL_SECONDS, 0.5, 0.95, role=role)
    return RoleFigures(
        role,
        window.rate("matrix_model_calls_total", role=role),
        window.rate(prompt, role=role),
        window.rate("matrix_model_completion_tokens_total", role=role),
        _ratio(window.increase(cached, role=role), window.increase(prompt, role=role)),
        p50,
        p95,
    )


def _server(window: Window, server: str) -> ServerFigures:
    return ServerFigures(
        server,
        window.total("matrix_model_in_flight", server=server),
        window.total("matrix_model_slots", server=server),
        window.total("matrix_model_waiting", server=server),
        # Each process has asked the same server.
        window.most("matrix_model_server_running", server=server),
        window.most("matrix_model_server_queued", server=server),
    )


def _store(window: Window) -> StoreFigures:
    return StoreFigures(
        window.count("matrix_table_commits_total"),
        _times(window.rate("matrix_table_commits_total"), 60),
        window.count("matrix_table_commit_failures_total"),
        bool(window.most("matrix_store_away")),
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0 else None
