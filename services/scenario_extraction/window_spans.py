"""The span of a scenario: in the trace of a step of its window, linked to those of the others.

Which steps of an open window are sampled is known in memory only: after a restart, or a change of
the owner, a scenario is not linked to the steps before.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Link, Span, SpanContext

from services.runtime import tracing
from services.scenario_extraction.domain import WINDOW_STEPS

MOST_WINDOWS = 10_000
"""Windows with sampled steps that are remembered; the oldest are forgotten."""


class WindowSpans:
    """The sampled steps of open windows, by group."""

    def __init__(self) -> None:
        self._steps: OrderedDict[str, list[SpanContext]] = OrderedDict()

    def note(self, group_id: str) -> None:
        """Note that the current span, if there is one, takes a step into a group's window."""
        context = tracing.current_context()
        if context is None:
            return
        steps = self._steps.setdefault(group_id, [])
        if context not in steps:
            steps.append(context)
        # Attempts that failed may have been sampled, too.
        del steps[: -2 * WINDOW_STEPS]
        self._steps.move_to_end(group_id)
        if len(self._steps) > MOST_WINDOWS:
            self._steps.popitem(last=False)

    def forget(self, group_id: str) -> None:
        """Forget the window of a group: nothing comes of it."""
        self._steps.pop(group_id, None)

    @contextmanager
    def scenario(self, group_id: str) -> Iterator[Span | None]:
        """Give the span of the scenario of a window that closes; then the window is forgotten.

        Where the step that closes it is sampled, that was noted last. An attempt that fails can be
        made again.
        """
        steps = self._steps.get(group_id, [])
        parent = steps[-1] if steps else None
        with tracing.child_of(
            parent, "scenario", links=[Link(each) for each in steps[:-1]]
        ) as span:
            yield span
        self.forget(group_id)
