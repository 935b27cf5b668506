"""Looks at replicas that have counted what a test says, as if they had told it."""

from collections.abc import Callable

from prometheus_client import generate_latest

from services.cli.top_figures import HISTOGRAMS
from services.cli.top_looks import Look, Replica, Silent, parsed
from services.runtime.metrics import Metrics

EPOCH = 1_800_000_000.0


def told(service: str, replica_id: str, count: Callable[[Metrics], None]) -> Replica:
    """Return a replica whose metrics were counted by `count`."""
    metrics = Metrics()
    count(metrics)
    text = generate_latest(metrics.registry()).decode()
    return Replica(service, replica_id, "0.1.0", parsed(text, HISTOGRAMS))


def look(at: float, *replicas: Replica, silent: tuple[Silent, ...] = ()) -> Look:
    """Return a look so many seconds after the first."""
    return Look(at, EPOCH + at, replicas, silent)
