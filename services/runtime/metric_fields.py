"""How a metric is declared as a field of a dataclass, and how such fields are exposed.

Counters and gauges are plain numbers, because they are counted many times for each model call, and
views read them too; Prometheus' own types cost a lock and a look-up each time. Histograms are
Prometheus' own.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Value = float | None | Callable[[], float | None]
Gauge = dict[str, Value]
"""Of one label: the number, or what tells it when it is asked for."""
Told = Callable[[], Mapping[str, float]]
"""Tells a gauge of one label when it is asked for."""

Known = Callable[[Any], Iterable[str]]
"""Gives values of a label, of the instance whose metrics are told."""

_KEY = "metric"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known of a metric whatever its value is."""

    name: str
    """In base units; of a counter with `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    known: Known = lambda part: ()


def counter(name: str, help: str, *labels: str, known: Known = lambda part: ()) -> Any:
    """Return the field of a counter: a number, or with labels a `Counter` by their values.

    Values of labels that are `known` are told as 0 before anything is counted: Prometheus takes a
    series that appears with 1 for one that has always been 1.
    """
    declared = Declared(name, "counter", help, labels, known)
    if labels:
        return field(default_factory=Counter, metadata={_KEY: declared})
    return field(default=0, metadata={_KEY: declared})


def gauge(name: str, help: str, *labels: str, default: Any = None) -> Any:
    """Return the field of a gauge: a number, None for no sample, or what tells either.

    With one label the values are told by a mapping, or by a function that returns one.
    """
    declared = Declared(name, "gauge", help, labels)
    if labels:
        return field(default_factory=dict, metadata={_KEY: declared})
    return field(default=default, metadata={_KEY: declared})


def histogram(name: str, help: str, *labels: str, buckets: Sequence[float]) -> Any:
    """Return the field of a histogram."""
    declared = Declared(name, "histogram", help, labels)

    def made() -> Histogram:
        return Histogram(name, help, labels, buckets=buckets, registry=None)

    return field(default_factory=made, metadata={_KEY: declared})


def declared(part: object) -> Iterator[tuple[Declared, str]]:
    """Return what a dataclass, or an instance of one, declares, and in which field."""
    for each in fields(part):  # type: ignore[arg-type]
        if _KEY in each.metadata:
            yield each.metadata[_KEY], each.name


def families(part: object) -> Iterator[Metric]:
    """Return the metrics of an instance as they are now."""
    for metric, name in declared(part):
        value = getattr(part, name)
        if metric.kind == "histogram":
            yield from value.collect()
            continue
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        told = dict.fromkeys(((label,) for label in metric.known(part)), 0.0)
        for labels, number in (told | dict(_samples(value))).items():
            family.add_metric(labels, number)
        yield family


def _samples(value: Any) -> Iterator[tuple[tuple[str, ...], float]]:
    if callable(value):
        value = value()
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield (), float(value)
        return
    for key, number in value.items():
        told = number() if callable(number) else number
        if told is not None:
            yield (key if isinstance(key, tuple) else (key,)), float(told)
