"""Events in, claims out; claims worked off, instructions out."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from services.events import DatasetDeclared, InstructionGenerated, codec
from services.events.topics import (
    DATASETS,
    INSTRUCTIONS_GENERATED,
    POPULATION,
    SAMPLES_JUDGED,
    SCENARIOS_EXTRACTED,
)
from services.instruction_generation import orders
from services.instruction_generation.application import Generation
from services.instruction_generation.backlog import Backlog
from services.instruction_generation.domain import Claim, stratum_key, stratum_of
from services.instruction_generation.gauges import tell_datasets
from services.instruction_generation.revocable import Revocable
from services.instruction_generation.scenario_contexts import ScenarioContexts
from services.runtime.errors import NotFound, Retryable
from services.runtime.log_context import bound
from services.runtime.metrics import LineMetrics
from services.runtime.ports import Delivery, Publisher, Record
from services.runtime.worker import Route

_BROADCAST = (SCENARIOS_EXTRACTED, DATASETS, POPULATION, SAMPLES_JUDGED)


class GenerationConsumer:
    """Keeps the plan up to date, and works it off.

    As one of several replicas: `broadcasts` feed the view, `routes` the strata that are owned;
    `adopt` and `release` follow the ownership, and `tick` is called each second, from when the
    broadcast topics were read to the end they had at the start. Alone in a process: `all_routes`,
    `restore`, and `society_rests` when nothing is left to do.
    """

    def __init__(
        self,
        generation: Generation,
        publisher: Publisher,
        supervised: bool = False,
        pause_seconds: float = 1.0,
        metrics: LineMetrics | None = None,
    ) -> None:
        """Take what to work with; for the rest see `Backlog`."""
        self._metrics = metrics or LineMetrics()
        self._generation = generation
        self._planner = generation.planner
        self._publisher = publisher
        self._leftovers: dict[str, list[Record]] = {}
        """By stratum."""
        self._control = asyncio.Lock()
        """Held while orders and appetites are published: each builds on the last."""
        self._writing = Revocable()
        self._scenarios = ScenarioContexts()
        self.backlog = Backlog(self._work_off, self._give_up, supervised, pause_seconds)
        tell_datasets(self._metrics, self._planner, self.backlog)

    def routes(self) -> list[Route]:
        """Return what handles the events of the strata that are owned."""
        return [Route(SAMPLES_JUDGED.name, self.on_verdict, traced=False)]

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads whole."""
        return [Route(topic.name, self.on_broadcast) for topic in _BROADCAST]

    def all_routes(self) -> list[Route]:
        """Return what handles all events in a process that owns everything and has no clock."""
        # What is planned is of many things: no part of the trace of the one that came last.
        return [Route(topic.name, self.on_event, traced=False) for topic in _BROADCAST]

    def restore(self, *histories: Iterable[Delivery]) -> None:
        """Learn what the topics of `broadcasts` hold; plans nothing."""
        for history in histories:
            for delivery in history:
                self._learn(delivery)

    def adopt(self, claims: Iterable[Delivery], latest: Iterable[Delivery] = ()) -> None:
        """Take over partitions; the journal's answers of them are restored before.

        Args:
            claims: The records of the changelog in these partitions, without void ones.
            latest: The orders in these partitions of the datasets topic, up to now. Without the
                last one, a new owner would hand out quota that the old one handed out already:
                only who has read that topic to its end otherwise may leave it out.
        """
        self.restore(latest)
        for key in self._planner.adopt(claims):
            state = self._planner.claims.get(key)
            if state is not None:
                stratum = stratum_key(*stratum_of(key))
                leftovers = self._generation.leftovers(stratum, state)
                self._leftovers.setdefault(stratum, []).extend(leftovers)
                self.backlog.add(state.open)

    def release(self) -> None:
        """Let go what is owned no longer: from now on nothing of it is published from here."""

        def gone(key: str) -> bool:
            return not self._planner.owns(key)

        # Before the planner forgets: what is being written must take no effect.
        self._writing.revoke(gone)
        self.backlog.revoke(gone)
        self._planner.release()
        self._leftovers = {k: records for k, records in self._leftovers.items() if not gone(k)}

    async def on_broadcast(self, delivery: Delivery) -> None:
        """Learn from an event."""
        self._learn(delivery)

    def _learn(self, delivery: Delivery) -> None:
        event = codec.from_delivery(delivery)
        self._scenarios.note(event, delivery)
        self._planner.learn(event)

    async def on_verdict(self, delivery: Delivery) -> None:
        """Learn from a verdict or a release, and plan its stratum."""
        event = codec.from_delivery(delivery)
        self._planner.learn(event)
        await self._claim(event.dataset, event.stratum)

    async def on_event(self, delivery: Delivery) -> None:
        """Learn from an event, and plan all that it may change."""
        await self.on_broadcast(delivery)
        await self.tick()

    async def tick(self) -> None:
        """Plan all that is owned: what was learnt, what time brings, quotas, growth, appetites.

        Raises:
            Retryable: a model or the broker does not answer; another tick goes on.
        """
        await self._plan()

    async def society_rests(self) -> bool:
        """Do what is left to do without fresh material; False when that is nothing.

        Scenarios are used again, and quota moves away from strata that have used theirs up.
        """
        return await self._plan(society_rests=True)

    async def _plan(self, society_rests: bool = False) -> bool:
        claimed = False
        for name, strata in sorted(self._planner.progress.items()):
            for stratum in sorted(strata):
                claimed |= await self._claim(name, stratum, society_rests)
        leftovers, self._leftovers = self._leftovers, {}
        for key, tombstones in leftovers.items():
            await self._publish(key, *tombstones)
        async with self._control:
            return await self._steer(society_rests) or claimed

    async def _claim(self, dataset: str, stratum: str, society_rests: bool = False) -> bool:
        if not self._planner.may_claim(dataset, stratum, society_rests):
            return False
        claiming = self._planner.claim(dataset, stratum, society_rests)
        claims = await self._writing.run(stratum_key(dataset, stratum), claiming)
        self.backlog.add(claims or ())
        return bool(claims)

    async def _steer(self, society_rests: bool) -> bool:
        """Publish what changes for the datasets and regions that are owned."""
        due = self._planner.orders_due(society_rests)
        for order in due:
            await self._declare(order)
        appetites = self._planner.appetites()
        for appetite in appetites:
            record = codec.to_record(POPULATION, f"appetite/{appetite.region}", appetite)
            # With its region, so that it stands where its owner may write.
            if await self._publish(appetite.region, replace(record, partition_key=appetite.region)):
                self._planner.note_appetite(appetite)
        return bool(due or appetites)

    async def _declare(self, order: DatasetDeclared) -> bool:
        """Publish an order, and then act on it; False when another owner has the say."""
        known = self._planner.datasets.get(order.dataset)
        if known is not None and known.revision >= order.revision:
            return False
        record = codec.to_record(DATASETS, order.dataset, order)
        declared = await self._publish(order.dataset, record)
        if declared:
            self._planner.set_dataset(order)
        return declared

    async def _publish(self, key: str, *records: Record) -> bool:
        """Publish for a key that is owned; False when it is so no longer."""
        if not self._planner.owns(key):
            return False

        async def publishing() -> bool:
            await self._publisher.publish(records)
            return True

        return await self._writing.run(key, publishing()) or False

    async def create(self, order: DatasetDeclared) -> DatasetDeclared:
        """Take a new order, and return the one in force: the same once more changes nothing.

        Raises:
            Rejected: its name is taken by another order.
            Retryable: another replica owns the dataset.
        """
        return await self._change(order.dataset, lambda known: orders.created(known, order))

    async def change(
        self, dataset: str, change: Callable[[DatasetDeclared], DatasetDeclared]
    ) -> DatasetDeclared:
        """Change an order, by `orders.paused` or `orders.deleted`, and return the new one.

        Raises:
            NotFound: there is no such dataset, or it was deleted.
            Retryable: another replica owns the dataset.
        """

        def changed(known: DatasetDeclared | None) -> DatasetDeclared:
            if known is None:
                raise NotFound(f"dataset {dataset!r} is not known")
            return change(known)

        return await self._change(dataset, changed)

    async def _change(
        self, dataset: str, change: Callable[[DatasetDeclared | None], DatasetDeclared]
    ) -> DatasetDeclared:
        async with self._control:
            known = self._planner.datasets.get(dataset)
            owned = self._planner.owns(dataset)
            order = change(known) if owned else None
            if order is None or (order is not known and not await self._declare(order)):
                raise Retryable(f"dataset {dataset!r} is owned by another replica: ask that one")
        return order

    @property
    def idle(self) -> bool:
        """Whether no claim waits or is in work."""
        return not len(self.backlog)

    async def work(self, hands: int) -> None:
        """Work claims off with so many at once, until cancelled."""
        await self.backlog.work(hands)

    async def step(self) -> bool:
        """Work one claim off, alone; False when there is none (deterministic runs)."""
        return await self.backlog.step()

    async def _work_off(self, claim: Claim) -> None:
        planner = self._planner
        if not planner.is_open(claim):
            return
        with bound(candidate=claim.candidate_id), self._scenarios.instruction(claim) as span:
            if span is not None:
                span.set_attributes(
                    {
                        "matrix.candidate_id": claim.candidate_id,
                        "matrix.scenario_id": claim.scenario_id,
                        "matrix.dataset": claim.dataset,
                        "matrix.stratum": claim.stratum,
                    }
                )
            await self._instruct(claim)

    async def _instruct(self, claim: Claim) -> None:
        planner = self._planner
        if planner.is_dropped(claim):
            await self._close(claim, None, self._generation.forget(claim))
        else:
            await self._close(claim, *await self._generation.instruct(claim))

    async def _give_up(self, claim: Claim) -> None:
        nothing, tombstones = self._generation.nothing(claim), self._generation.forget(claim)
        await self._close(claim, nothing, tombstones)

    async def _close(
        self, claim: Claim, event: InstructionGenerated | None, tombstones: list[Record]
    ) -> None:
        # Publish first: after a crash in between, the claim is still open, and the journal or a
        # second identical instruction makes the same candidate, which is judged once.
        if event is not None and not self._planner.is_dropped(claim):
            cause = claim.candidate_id
            record = codec.to_record(INSTRUCTIONS_GENERATED, claim.key, event, cause=cause)
            await self._publisher.publish([record])
            self._metrics.instructions[self._metrics.name(claim.dataset)] += 1
        await self._planner.close_claim(claim)
        await self._publisher.publish(tombstones)
