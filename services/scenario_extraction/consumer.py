"""Events in, events out."""

from services.events import StepCompleted, codec
from services.events.topics import SCENARIOS_EXTRACTED, STEP_COMPLETED
from services.runtime import tracing
from services.runtime.ports import Delivery, Publisher
from services.runtime.worker import Route
from services.scenario_extraction.application import Extraction
from services.scenario_extraction.window_spans import WindowSpans


class ExtractionConsumer:
    """Takes the steps of groups, and publishes the scenarios of their windows."""

    def __init__(self, extraction: Extraction, publisher: Publisher) -> None:
        self._extraction = extraction
        self._publisher = publisher
        self._spans = WindowSpans()

    def routes(self) -> list[Route]:
        """Return which topic is handled by what."""
        return [Route(STEP_COMPLETED.name, self.on_step)]

    async def on_step(self, delivery: Delivery) -> None:
        """Add a step to its window."""
        step = codec.from_delivery(delivery)
        if not tracing.enabled():
            await self._take_in(step)
            return
        group_id, outlook = step.group.group_id, self._extraction.outlook(step)
        if outlook != "repeat":
            self._spans.note(group_id)
        if outlook == "nothing":
            self._spans.forget(group_id)
        if outlook != "scenario":
            await self._take_in(step)
            return
        with self._spans.scenario(group_id) as span:
            if span is not None:
                span.set_attribute("matrix.group_id", group_id)
            await self._take_in(step)

    async def _take_in(self, step: StepCompleted) -> None:
        scenario, tombstones = await self._extraction.take_in(step)
        if scenario is not None:
            key, cause = scenario.group_id, scenario.scenario_id
            if (span := tracing.current()) is not None:
                span.set_attribute("matrix.scenario_id", scenario.scenario_id)
            record = codec.to_record(SCENARIOS_EXTRACTED, key, scenario, cause=cause)
            await self._publisher.publish([record, *tombstones])
