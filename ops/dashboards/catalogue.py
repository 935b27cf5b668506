"""All dashboards, and every expression in them."""

from collections.abc import Iterator
from typing import NamedTuple

from ops.dashboards import models, pipeline, production, society
from ops.dashboards.panels import Dashboard, Panel, Query

DASHBOARDS: tuple[Dashboard, ...] = (
    production.DASHBOARD,
    society.DASHBOARD,
    models.DASHBOARD,
    pipeline.DASHBOARD,
)


class Expression(NamedTuple):
    """Where an expression stands."""

    dashboard: Dashboard
    panel: Panel
    query: Query

    @property
    def name(self) -> str:
        """`dashboard: panel title: legend`, by which people find it."""
        return f"{self.dashboard.name}: {self.panel.title}: {self.query.legend}"


def expressions() -> Iterator[Expression]:
    """Return every expression of every panel."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                yield Expression(dashboard, panel, query)
