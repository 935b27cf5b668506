"""Events in, verdicts out."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

from services.events import InstructionGenerated, codec
from services.events.topics import DATASETS, INSTRUCTIONS_GENERATED, SAMPLES_JUDGED
from services.reward_filtering.application import Filtering
from services.reward_filtering.metering import count_verdict
from services.runtime import tracing
from services.runtime.errors import NotOwner
from services.runtime.log_context import bound
from services.runtime.metrics import LineMetrics
from services.runtime.ports import Clock, Delivery, Publisher, Record
from services.runtime.worker import Route

JUDGED_AT_ONCE = 64
"""Candidates of one stratum in work at once."""
ORDER_SECONDS = 30.0
"""How long a candidate waits for the order that it was made for: it is read beside."""


class FilteringConsumer:
    """Takes candidates, and publishes their verdicts."""

    def __init__(
        self,
        filtering: Filtering,
        publisher: Publisher,
        order_seconds: float = ORDER_SECONDS,
        metrics: LineMetrics | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._metrics = metrics or LineMetrics()
        self._clock = clock
        self._filtering = filtering
        self._publisher = publisher
        self._order_seconds = order_seconds
        self._in_work: dict[str, asyncio.Future[None]] = {}
        self._decided: dict[str, tuple[str, list[Record]]] = {}
        """By candidate: stratum and records of verdicts that are taken in and not yet durable."""
        self._ordered = asyncio.Event()

    def routes(self) -> list[Route]:
        """Return what handles the candidates of the strata that are owned."""
        return [Route(INSTRUCTIONS_GENERATED.name, self.on_instruction, JUDGED_AT_ONCE)]

    def all_routes(self) -> list[Route]:
        """Return what handles all events in a process that owns everything."""
        # Orders are polled first: a candidate would wait for its own.
        return [Route(DATASETS.name, self.on_dataset), *self.routes()]

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads."""
        return [
            Route(DATASETS.name, self.on_dataset),
            Route(SAMPLES_JUDGED.name, self.on_verdict),
        ]

    async def on_verdict(self, delivery: Delivery) -> None:
        """Keep what another replica accepted."""
        self._filtering.remember(codec.from_delivery(delivery))

    def restore(self, datasets: Iterable[Delivery], verdicts: Iterable[Delivery]) -> None:
        """Rebuild the strata from what the topics hold."""
        for delivery in datasets:
            self._filtering.set_dataset(codec.from_delivery(delivery))
        self.adopt(verdicts)

    def adopt(self, verdicts: Iterable[Delivery]) -> None:
        """Take over the strata of a partition, in the order of their verdicts."""
        for delivery in verdicts:
            self._filtering.restore(codec.from_delivery(delivery))

    def release(self, gone: Callable[[str], bool]) -> None:
        """Drop the strata that are somebody else's now."""
        self._filtering.forget(gone)
        for candidate_id in [c for c, (key, _) in self._decided.items() if gone(key)]:
            del self._decided[candidate_id]

    async def on_instruction(self, delivery: Delivery) -> None:
        """Judge a candidate, unless it was judged before."""
        candidate = codec.from_delivery(delivery)
        with bound(candidate=candidate.candidate_id):
            await self._judge(candidate)

    async def _judge(self, candidate: InstructionGenerated) -> None:
        candidate_id = candidate.candidate_id
        # A repeat may come while the first is in work: it is done when the first is.
        while candidate_id in self._in_work:
            await asyncio.wait([self._in_work[candidate_id]])
        key = f"{candidate.dataset}/{candidate.stratum}"
        if candidate_id in self._decided:
            await self._publish(candidate_id)
            return
        if candidate_id in self._filtering.strata[key].judged:
            await self._publisher.publish(self._filtering.leftovers(candidate))
            return
        done = self._in_work[candidate_id] = asyncio.get_running_loop().create_future()
        try:
            await self._order_of(candidate)
            if (span := tracing.current()) is not None:
                span.set_attribute("matrix.candidate_id", candidate_id)
                span.set_attribute("matrix.dataset", candidate.dataset)
            verdict, tombstones = await self._filtering.judge(candidate)
            record = codec.to_record(SAMPLES_JUDGED, key, verdict, cause=candidate_id)
            self._decided[candidate_id] = key, [record, *tombstones]
            await self._publish(candidate_id)
            count_verdict(self._metrics, verdict, self._clock() - candidate.created_at)
        finally:
            del self._in_work[candidate_id]
            done.set_result(None)

    async def _publish(self, candidate_id: str) -> None:
        await self._publisher.publish(self._decided[candidate_id][1])
        self._decided.pop(candidate_id, None)

    async def _order_of(self, candidate: InstructionGenerated) -> None:
        """Wait for the order of a candidate; without it, judging refuses the candidate."""
        if candidate.dataset in self._filtering.datasets:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._order_seconds):
                while candidate.dataset not in self._filtering.datasets:
                    self._ordered.clear()
                    await self._ordered.wait()

    async def on_dataset(self, delivery: Delivery) -> None:
        """Take an order, and give back the quota that it asks for."""
        dataset = codec.from_delivery(delivery)
        self._filtering.set_dataset(dataset)
        self._ordered.set()
        await self.release_due()

    async def release_due(self) -> None:
        """Publish the quota that strata have to give back now."""
        due = [r for d in self._filtering.datasets.values() for r in self._filtering.releases(d)]
        for release in due:
            key = f"{release.dataset}/{release.stratum}"
            # Not owned any more: whoever is the owner releases it.
            with contextlib.suppress(NotOwner):
                await self._publisher.publish([codec.to_record(SAMPLES_JUDGED, key, release)])
