"""Looks at the metrics of a platform, and what has changed between them."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

from services.runtime.errors import Rejected

Labels = tuple[tuple[str, str], ...]
"""Names and values, in order of the names."""
Series = Mapping[str, Mapping[Labels, float]]
"""Values by the sample's name, as `matrix_steps_total`, and by labels."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica of a service, and its metrics."""

    service: str
    replica_id: str
    version: str
    series: Series


@dataclass(frozen=True, slots=True)
class Silent:
    """A replica without an answer, or a service without one."""

    service: str
    reason: str
    address: str = ""
    """Empty: nobody of the service answers."""


@dataclass(frozen=True, slots=True)
class Look:
    """What all replicas told at one time."""

    at: float
    """Seconds on the monotonic clock."""
    clock: float
    """Seconds since the epoch."""
    replicas: tuple[Replica, ...] = ()
    silent: tuple[Silent, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one replica, and what was added to it lately."""

    labels: Mapping[str, str]
    value: float
    increase: float
    """Since `seconds` ago; never negative."""
    seconds: float
    """0 when the replica was not seen before: then nothing is known of what was added."""


def parsed(text: str, histograms: Collection[str] = ()) -> Series:
    """Return the samples of a text in Prometheus' format; what is no number is left out.

    Args:
        text: the metrics of one process.
        histograms: those whose buckets are wanted. The others have most of the samples, and looks
            are kept for a while.

    Raises:
        Rejected: the text is none of that format.
    """
    series: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            buckets = family.name in histograms
            for sample in family.samples:
                if not buckets and sample.name.endswith(("_bucket", "_created")):
                    continue
                if math.isfinite(sample.value):
                    labels = tuple(sorted(sample.labels.items()))
                    series.setdefault(sample.name, {})[labels] = float(sample.value)
    except (ValueError, KeyError, IndexError) as error:
        raise Rejected(f"metrics that cannot be read ({error}): is it another version?") from error
    return series


class Window:
    """The latest look, beside earlier ones."""

    def __init__(self, looks: Sequence[Look], complete: bool = True) -> None:
        """Set up.

        Args:
            looks: in order of time, at least one.
            complete: whether each service has a replica that answers. Every process declares every
                metric: where some are not heard, a sum of 0 says nothing.
        """
        self.now = looks[-1]
        """The latest look."""
        self._complete = complete and bool(self.now.replicas)
        self._history: dict[str, list[tuple[float, Series]]] = {
            replica.replica_id: [] for replica in self.now.replicas
        }
        for look in looks:
            for replica in look.replicas:
                if replica.replica_id in self._history:
                    self._history[replica.replica_id].append((look.at, replica.series))

    @property
    def seconds(self) -> float:
        """How far back it reaches, for the replica that is known longest; 0 at the first look."""
        return max((self.now.at - seen[0][0] for seen in self._history.values()), default=0.0)

    def points(self, name: str, **labels: str) -> Iterator[Point]:
        """Return the values of a metric, of all replicas.

        A counter that goes back has begun at 0 again, and one that is new began at 0.
        """
        for replica in self.now.replicas:
            seen = self._history[replica.replica_id]
            for key, value in replica.series.get(name, {}).items():
                have = dict(key)
                if any(have.get(label) != wanted for label, wanted in labels.items()):
                    continue
                history = [series.get(name, {}).get(key, 0.0) for _, series in seen]
                more = sum(new - old if new >= old else new for old, new in pairwise(history))
                yield Point(have, value, more, self.now.at - seen[0][0])

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum of a gauge over all replicas; None when none tells it."""
        found = [point.value for point in self.points(name, **labels)]
        return self._known(sum(found)) if found else None

    def count(self, name: str, **labels: str) -> float | None:
        """Return the sum of a counter over all replicas, since each one's start.

        One with labels has no values before it first counts something: that is 0.
        """
        return self._known(sum(point.value for point in self.points(name, **labels)))

    def most(self, name: str, **labels: str) -> float | None:
        """Return the largest value: of what all replicas know equally."""
        return max((point.value for point in self.points(name, **labels)), default=None)

    def increase(self, name: str, **labels: str) -> float:
        """Return what was added to a counter within the window."""
        return sum(point.increase for point in self.points(name, **labels))

    def rate(self, name: str, **labels: str) -> float | None:
        """Return what is added to a counter per second; None while that cannot be told."""
        points = self.points(name, **labels)
        found = sum(point.increase / point.seconds for point in points if point.seconds > 0)
        return self._known(found) if self.seconds > 0 else None

    def values(self, label: str, *names: str) -> list[str]:
        """Return the values that a label has in any of the metrics."""
        found = {p.labels[label] for name in names for p in self.points(name) if label in p.labels}
        return sorted(found)

    def quantiles(self, name: str, *shares: float, **labels: str) -> list[float | None]:
        """Return quantiles of what a histogram has counted within the window.

        Args:
            name: without `_bucket`.
            shares: of each quantile, as 0.95.
            labels: of the series that are meant.
        """
        buckets: dict[float, float] = {}
        for point in self.points(f"{name}_bucket", **labels):
            bound = float(point.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + point.increase
        return [quantile(share, buckets) for share in shares]

    def _known(self, found: float) -> float | None:
        return found if found or self._complete else None


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of a histogram, as PromQL's `histogram_quantile` does.

    Args:
        share: from 0 to 1.
        buckets: counts of values up to each bound, the last one infinite; they are cumulative.

    Returns:
        None where nothing was counted.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank, lower, below = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return lower
            inside = buckets[bound] - below
            return lower + (bound - lower) * (rank - below) / inside if inside else bound
        lower, below = bound, buckets[bound]
    return lower
