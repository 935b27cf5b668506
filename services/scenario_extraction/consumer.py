"""Events in, events out."""

from services.events import codec
from services.events.topics import SCENARIOS_EXTRACTED, STEP_COMPLETED
from services.runtime.ports import Delivery, Publisher
from services.runtime.worker import Route
from services.scenario_extraction.application import Extraction


class ExtractionConsumer:
    """Takes the steps of groups, and publishes the scenarios of their windows."""

    def __init__(self, extraction: Extraction, publisher: Publisher) -> None:
        self._extraction = extraction
        self._publisher = publisher

    def routes(self) -> list[Route]:
        """Return which topic is handled by what."""
        return [Route(STEP_COMPLETED.name, self.on_step)]

    async def on_step(self, delivery: Delivery) -> None:
        """Add a step to its window."""
        step = codec.from_delivery(delivery)
        scenario, tombstones = await self._extraction.take_in(step)
        if scenario is not None:
            key, cause = scenario.group_id, scenario.scenario_id
            record = codec.to_record(SCENARIOS_EXTRACTED, key, scenario, cause=cause)
            await self._publisher.publish([record, *tombstones])
