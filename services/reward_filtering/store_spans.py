"""Spans of rows: where in which table a sampled sample is, and in which commit it came there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.trace import Link, Span

from services.runtime import tracing
from services.runtime.message_spans import sender
from services.runtime.ports import Delivery


@dataclass(frozen=True, slots=True)
class Stored:
    """A row that was written, and the verdict that it came of."""

    sample_id: str
    delivery: Delivery


class Commit:
    """The commit of some rows; traced when one of them is."""

    def __init__(self, table: str, deliveries: Sequence[Delivery]) -> None:
        self._table = table
        self._began = time.time_ns()
        traced = tracing.enabled() and any(sender(each) is not None for each in deliveries)
        # Of many samples at once, so that it is in the trace of none of them.
        self._spanning = tracing.root("commit", ratio=1.0) if traced else tracing.outside()
        self._span: Span | None = None

    def __enter__(self) -> "Commit":
        self._span = self._spanning.__enter__()
        return self

    def __exit__(self, *error: object) -> bool | None:
        return self._spanning.__exit__(*error)  # type: ignore[arg-type]

    def done(self, version: int | None, stored: Sequence[Stored]) -> None:
        """Tell each sampled sample where it is: the position is that of its verdict in the log."""
        if self._span is None:
            return
        self._span.set_attribute("matrix.table", self._table)
        self._span.set_attribute("matrix.rows", len(stored))
        if version is not None:
            self._span.set_attribute("matrix.table_version", version)
        link = Link(self._span.get_span_context())
        for each in stored:
            parent = sender(each.delivery)
            if parent is None:
                continue
            place = f"{each.delivery.topic}[{each.delivery.partition}]@{each.delivery.offset}"
            attributes: dict[str, str | int] = {
                "matrix.table": self._table,
                "matrix.position": place,
                "matrix.sample_id": each.sample_id,
            }
            if version is not None:
                attributes["matrix.table_version"] = version
            tracing.record(parent, "store", self._began, [link], attributes)
