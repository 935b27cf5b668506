"""What the metrics tell of the datasets: the same from every replica, as all know of all."""

from services.events import DatasetDeclared
from services.instruction_generation.backlog import Backlog
from services.instruction_generation.overview import Overview
from services.runtime.metrics import MOST_DATASETS, LineMetrics


def tell_datasets(metrics: LineMetrics, overview: Overview, backlog: Backlog) -> None:
    """Let the gauges of the line tell of these orders and claims."""
    metrics.claims_waiting = lambda: len(backlog) - backlog.in_work
    metrics.claims_in_work = lambda: backlog.in_work

    def shown() -> list[DatasetDeclared]:
        """Return the orders to tell of, those that are wanted first."""
        orders = [order for order in overview.datasets.values() if not order.deleted]
        return sorted(orders, key=lambda order: not overview.wants(order))[:MOST_DATASETS]

    metrics.samples = lambda: {o.dataset: overview.accepted(o.dataset) for o in shown()}
    metrics.size = lambda: {order.dataset: order.size for order in shown()}
    metrics.wanted = lambda: {order.dataset: overview.wants(order) for order in shown()}
    metrics.newest = lambda: {
        order.dataset: overview.newest(order.dataset) or order.created_at for order in shown()
    }
