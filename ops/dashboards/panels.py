"""What a dashboard is made of, before it is Grafana's JSON or a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stat", "bars"]
"""Curves over time, one number, or a bar for each series now."""
Colour = Literal["green", "yellow", "red"]
WIDTH = 24
"""Of the grid, in Grafana's columns."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of PromQL, in which Grafana's variables stand as `$name`."""

    expression: str
    legend: str
    """Names the series: `{{label}}` is replaced by its value."""

    def plain(self, interval: str = "1m") -> str:
        """Return the expression as Prometheus takes it: of everything, rates over `interval`."""
        text = self.expression.replace("$__rate_interval", interval)
        for name in VARIABLES:
            text = text.replace(f"${name}", ".*")
        return text


@dataclass(frozen=True, slots=True)
class Threshold:
    """The colour of values from `start` on."""

    start: float | None
    """None: from the least."""
    colour: Colour


@dataclass(frozen=True, slots=True)
class Panel:
    """One question, answered by a few series of one unit."""

    title: str
    description: str
    """What good looks like, and where to look if it is not."""
    unit: str
    """By Grafana's id: `s`, `bytes`, `percentunit` for shares of 1 ..."""
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    """Columns of the grid's 24."""
    thresholds: tuple[Threshold, ...] = ()
    maximum: float | None = None
    """Of the axis."""
    stacked: bool = False
    exemplars: bool = False
    """Shows single traced calls as points, which lead to their traces."""
    no_value: str = ""
    """Stands where there is no series; by default what Grafana says."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together; their widths fill whole lines of the grid."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page of Grafana."""

    name: str
    """Of the file, and part of the address."""
    title: str
    description: str
    variables: tuple[str, ...]
    """Those of `VARIABLES` that its expressions use."""
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterator[Panel]:
        """All panels, from the top."""
        for row in self.rows:
            yield from row.panels


VARIABLES = {
    "dataset": "label_values(matrix_dataset_size, dataset)",
    "component": "label_values(matrix_ready, component)",
    "role": "label_values(matrix_model_calls_total, role)",
}
"""What can be chosen, and the query for what there is to choose from."""


def good_below(warning: float, bad: float) -> tuple[Threshold, ...]:
    """Return thresholds for what should be low."""
    return (Threshold(None, "green"), Threshold(warning, "yellow"), Threshold(bad, "red"))


def good_from(good: float, warning: float) -> tuple[Threshold, ...]:
    """Return thresholds for what should be `good` or more; below `warning` it is bad."""
    return (Threshold(None, "red"), Threshold(warning, "yellow"), Threshold(good, "green"))


def bad_from(bad: float) -> tuple[Threshold, ...]:
    """Return thresholds for what is good until it is bad."""
    return (Threshold(None, "green"), Threshold(bad, "red"))


def rate(metric: str, by: str = "", where: str = "", over: str = "$__rate_interval") -> str:
    """Return the expression of a counter's rate per second, summed `by` labels."""
    return f"{_summed(by)} (rate({_chosen(metric, where)}[{over}]))"


def quantiles(metric: str, by: str = "", where: str = "") -> tuple[Query, ...]:
    """Return queries for a histogram's median and 95th percentile, `by` a label or none."""
    labels = f"le, {by}" if by else "le"
    name = f" {{{{{by}}}}}" if by else ""
    seconds = rate(f"{metric}_bucket", labels, where)
    return tuple(
        Query(f"histogram_quantile({quantile}, {seconds})", f"p{quantile * 100:.0f}{name}")
        for quantile in (0.5, 0.95)
    )


def total(metric: str, by: str = "", where: str = "") -> str:
    """Return the expression of a gauge or counter summed `by` labels over the replicas."""
    return f"{_summed(by)} ({_chosen(metric, where)})"


def ratio(above: str, below: str) -> str:
    """Return the expression of a ratio that has no value while what it is of is 0."""
    return f"{above} / ({below} > 0)"


def _summed(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def _chosen(metric: str, where: str) -> str:
    return f"{metric}{{{where}}}" if where else metric
