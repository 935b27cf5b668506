"""Events in, verdicts out."""

import asyncio
from collections.abc import Iterable

from services.events import codec
from services.events.topics import DATASETS, INSTRUCTIONS_GENERATED, SAMPLES_JUDGED
from services.reward_filtering.application import Filtering
from services.runtime.ports import Delivery, Publisher
from services.runtime.worker import Route

JUDGED_AT_ONCE = 64
"""Candidates of one stratum in work at once."""


class FilteringConsumer:
    """Takes candidates, and publishes their verdicts."""

    def __init__(self, filtering: Filtering, publisher: Publisher) -> None:
        self._filtering = filtering
        self._publisher = publisher
        self._in_work: dict[str, asyncio.Future[None]] = {}

    def routes(self) -> list[Route]:
        """Return which topic is handled by what."""
        # Orders are polled first: a candidate whose dataset is not known would be refused.
        return [
            Route(DATASETS.name, self.on_dataset),
            Route(INSTRUCTIONS_GENERATED.name, self.on_instruction, JUDGED_AT_ONCE),
        ]

    def restore(self, datasets: Iterable[Delivery], verdicts: Iterable[Delivery]) -> None:
        """Rebuild the strata from what the topics hold."""
        for delivery in datasets:
            self._filtering.set_dataset(codec.from_delivery(delivery))
        for delivery in verdicts:
            self._filtering.restore(codec.from_delivery(delivery))

    async def on_instruction(self, delivery: Delivery) -> None:
        """Judge a candidate, unless it was judged before."""
        candidate = codec.from_delivery(delivery)
        candidate_id = candidate.candidate_id
        # A repeat may come while the first is in work: it is done when the first is.
        while candidate_id in self._in_work:
            await asyncio.wait([self._in_work[candidate_id]])
        key = f"{candidate.dataset}/{candidate.stratum}"
        if candidate_id in self._filtering.strata[key].judged:
            await self._publisher.publish(self._filtering.leftovers(candidate))
            return
        done = self._in_work[candidate_id] = asyncio.get_running_loop().create_future()
        try:
            verdict, tombstones = await self._filtering.judge(candidate)
            await self._publisher.publish(
                [codec.to_record(SAMPLES_JUDGED, key, verdict, cause=candidate_id), *tombstones]
            )
        finally:
            del self._in_work[candidate_id]
            done.set_result(None)

    async def on_dataset(self, delivery: Delivery) -> None:
        """Take an order, and give back the quota that it asks for."""
        dataset = codec.from_delivery(delivery)
        self._filtering.set_dataset(dataset)
        await self.release_due()

    async def release_due(self) -> None:
        """Publish the quota that strata have to give back now."""
        due = [r for d in self._filtering.datasets.values() for r in self._filtering.releases(d)]
        await self._publisher.publish(
            [codec.to_record(SAMPLES_JUDGED, f"{r.dataset}/{r.stratum}", r) for r in due]
        )
