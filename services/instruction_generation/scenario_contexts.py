"""In which spans scenarios were made, for the instructions that come of them much later.

They stand in the headers of the topic, which is read whole at each start, so that they survive a
restart.
"""

from collections import OrderedDict
from contextlib import AbstractContextManager

from opentelemetry.trace import Span

from services.events import ScenarioExtracted
from services.instruction_generation.domain import Claim
from services.runtime import tracing
from services.runtime.ports import Delivery
from services.runtime.trace_context import TRACEPARENT, sampled_parent

MOST_SCENARIOS = 100_000
"""Sampled scenarios that are remembered, about 250 bytes each; the oldest are forgotten."""


class ScenarioContexts:
    """The sampled scenarios of the library."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[str, str] = OrderedDict()

    def note(self, event: object, delivery: Delivery) -> None:
        """Take note of an event, if it is a scenario that was sampled."""
        text = delivery.headers.get(TRACEPARENT)
        if text is None or not isinstance(event, ScenarioExtracted) or not tracing.enabled():
            return
        if sampled_parent(text) is None:
            return
        # A repeat of it was sent by another span of the same trace.
        self._contexts.setdefault(event.scenario_id, text)
        if len(self._contexts) > MOST_SCENARIOS:
            self._contexts.popitem(last=False)

    def instruction(self, claim: Claim) -> AbstractContextManager[Span | None]:
        """Return the span in which the instruction of a claim is made."""
        if not tracing.enabled():
            return tracing.outside()
        text = self._contexts.get(claim.scenario_id)
        return tracing.child_of(sampled_parent(text) if text else None, "instruction")
