"""Events in, claims out; claims worked off, instructions out."""

import asyncio
from collections.abc import Iterable

from services.events import QuotaReleased, codec
from services.events.topics import (
    DATASETS,
    INSTRUCTIONS_GENERATED,
    POPULATION,
    SAMPLES_JUDGED,
    SCENARIOS_EXTRACTED,
)
from services.instruction_generation.application import Generation
from services.instruction_generation.domain import Claim
from services.runtime.ports import Delivery, Publisher, Record
from services.runtime.worker import Route


class GenerationConsumer:
    """Keeps the plan up to date, and works it off."""

    def __init__(self, generation: Generation, publisher: Publisher) -> None:
        self._generation = generation
        self._planner = generation.planner
        self._publisher = publisher
        self._leftovers: list[Record] = []
        self.busy = 0
        """Claims in work."""

    def routes(self) -> list[Route]:
        """Return which topic is handled by what."""
        return [
            Route(SCENARIOS_EXTRACTED.name, self.on_scenario),
            Route(DATASETS.name, self.on_dataset),
            Route(SAMPLES_JUDGED.name, self.on_verdict),
        ]

    def restore(
        self,
        datasets: Iterable[Delivery],
        scenarios: Iterable[Delivery],
        verdicts: Iterable[Delivery],
    ) -> None:
        """Rebuild the plan from what the topics hold; claims and journal are restored before."""
        for delivery in datasets:
            self._planner.set_dataset(codec.from_delivery(delivery))
        for delivery in scenarios:
            self._planner.add_scenario(codec.from_delivery(delivery))
        for delivery in verdicts:
            self._add_verdict(delivery)
        self._planner.restore_uses()
        for claim in self._planner.open_claims():
            self._generation.queue.put_nowait(claim)
        self._leftovers = self._generation.leftovers()

    async def on_scenario(self, delivery: Delivery) -> None:
        """Take a scenario into the library."""
        self._planner.add_scenario(codec.from_delivery(delivery))
        await self._plan()

    async def on_dataset(self, delivery: Delivery) -> None:
        """Take an order."""
        self._planner.set_dataset(codec.from_delivery(delivery))
        await self._plan()

    async def on_verdict(self, delivery: Delivery) -> None:
        """Learn from a verdict, or take back quota."""
        self._add_verdict(delivery)
        await self._plan()

    def _add_verdict(self, delivery: Delivery) -> None:
        event = codec.from_delivery(delivery)
        if isinstance(event, QuotaReleased):
            self._planner.add_release(event)
        else:
            self._planner.add_verdict(event)

    async def plan(self) -> None:
        """Look at once at what is to be made; done by itself whenever something happens."""
        await self._plan()

    async def society_rests(self) -> bool:
        """Do what is left to do without fresh material; False when that is nothing.

        Scenarios are used again, and quota moves away from strata that have used theirs up.
        """
        return await self._plan(society_rests=True)

    async def _plan(self, society_rests: bool = False) -> bool:
        claims = await self._planner.claim(society_rests)
        for claim in claims:
            self._generation.queue.put_nowait(claim)
        leftovers, self._leftovers = self._leftovers, []
        records = [
            codec.to_record(DATASETS, dataset.dataset, dataset)
            for dataset in self._planner.rebalanced(society_rests)
        ]
        records += [
            codec.to_record(POPULATION, f"appetite/{appetite.region}", appetite)
            for appetite in self._planner.appetites(list(self._planner.libraries))
        ]
        await self._publisher.publish([*records, *leftovers])
        return bool(claims or records)

    @property
    def idle(self) -> bool:
        """Whether no claim waits or is in work."""
        return not self.busy and self._generation.queue.empty()

    async def work(self, hands: int) -> None:
        """Work claims off with so many at once, until cancelled."""
        await asyncio.gather(*(self._work_forever() for _ in range(hands)))

    async def _work_forever(self) -> None:
        while True:
            claim = await self._generation.queue.get()
            self.busy += 1
            try:
                await self._work_off(claim)
            finally:
                self.busy -= 1

    async def step(self) -> bool:
        """Work one claim off, alone; False when there is none (deterministic runs)."""
        if self._generation.queue.empty():
            return False
        await self._work_off(self._generation.queue.get_nowait())
        return True

    async def _work_off(self, claim: Claim) -> None:
        # Publish first: after a crash in between, the claim is still open, and the journal or a
        # second identical instruction makes the same candidate, which is judged once.
        event, tombstones = await self._generation.instruct(claim)
        key, cause = f"{claim.dataset}/{claim.stratum}", claim.candidate_id
        record = codec.to_record(INSTRUCTIONS_GENERATED, key, event, cause=cause)
        await self._publisher.publish([record])
        await self._planner.close_claim(claim)
        await self._publisher.publish(tombstones)
