"""Which candidates are made: demand of the datasets against the material in the library."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import structlog

from services.events import Appetite, DatasetDeclared, Requirement
from services.instruction_generation.domain import (
    DRY_PATIENCE,
    KEPT,
    Claim,
    GroupClaims,
    Progress,
    candidate_id,
    claims_key,
    pair_key,
    pair_of,
    stratum_key,
    stratum_of,
)
from services.instruction_generation.knobs import weights
from services.instruction_generation.orders import grown, is_settled, rebalanced
from services.instruction_generation.overview import Overview
from services.instruction_generation.quotas import StratumProgress, divide
from services.instruction_generation.work_shares import WorkShares
from services.runtime.errors import Rejected
from services.runtime.ids import derived_seed
from services.runtime.ports import Delivery, Embedder
from services.runtime.state import Changelog

_log = structlog.get_logger(__name__)


class Planner(Overview):
    """What every replica knows, and what the owner of a key decides.

    `owns` tells whether a key is owned here: "dataset/stratum" (claims), a dataset's name (its
    order), a region's (whether it is wanted). It says yes only while what was claimed there is
    adopted: from the end of `adopt` on, and no longer when `release` is called. A stratum that has
    waited for fresh scenarios for `reuse_after_seconds` uses those that it has once more; `clock`
    is a monotonic one in seconds.
    """

    def __init__(
        self,
        claims: Changelog[GroupClaims],
        embedder: Embedder,
        owns: Callable[[str], bool] = lambda key: True,
        reuse_after_seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.claims = claims
        self.owns = owns
        self._embedder = embedder
        self._patience = reuse_after_seconds
        self._clock = clock
        self._queries: dict[str, Sequence[float]] = {}
        """Directions of requirements by their text; empty where the embedder refuses."""
        self._learnt: dict[str, tuple[Requirement, ...]] = {}
        """Requirements of datasets whose directions are known."""
        self._embedding = asyncio.Lock()
        self._shares = WorkShares(self)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By stratum: one plan or end of a claim after the other."""

    def adopt(self, history: Iterable[Delivery]) -> list[str]:
        """Take over the claims of partitions that came to be owned; a repeat is harmless.

        Args:
            history: All records of the changelog in these partitions that count, in order.

        Returns:
            The keys of the records, in order.

        Raises:
            Rejected: a record is none of claims.
        """
        history = list(history)
        keys = sorted({delivery.key for delivery in history})
        strata = sorted({stratum_of(key) for key in keys})
        self.claims.restore(history)
        for dataset, stratum in strata:
            self._recount(dataset, stratum)
        return keys

    def release(self) -> None:
        """Drop the claims of strata that are no longer owned; they are adopted elsewhere."""
        self.claims.forget(lambda key: not self.owns(stratum_key(*stratum_of(key))))
        for dataset, strata in self.progress.items():
            for stratum, progress in strata.items():
                if progress.claimed and not self.owns(stratum_key(dataset, stratum)):
                    self._recount(dataset, stratum)

    def _recount(self, dataset: str, stratum: str) -> None:
        progress, library = self.progress[dataset][stratum], self.libraries[stratum]
        library.forget_claims(dataset)
        progress.claimed = 0
        for key, state in self.claims.items():
            if stratum_of(key) == (dataset, stratum):
                for pair, times in state.claimed.items():
                    library.use(dataset, *pair_of(pair), times)
                    progress.claimed += times

    def is_open(self, claim: Claim) -> bool:
        """Return whether a claim's instruction is still to be published from here."""
        state = self.claims.get(claims_key(claim))
        return self.owns(claim.key) and state is not None and claim in state.open

    def is_dropped(self, claim: Claim) -> bool:
        """Return whether nothing is to come of a claim any more: its dataset is deleted."""
        dataset = self.datasets.get(claim.dataset)
        return dataset is not None and dataset.deleted

    async def claim(self, dataset: str, stratum: str, society_rests: bool = False) -> list[Claim]:
        """Decide on the candidates of a stratum to be made now, and make the decision durable.

        Each pair of scenario and agent is used once. Those that were used least are used once more
        when nothing fresh has come for long, or can come any more, and for the last few samples,
        for which the stratum would have to live through another window.
        """
        if not self.may_claim(dataset, stratum, society_rests):
            return []
        await self._learn_directions(self.datasets[dataset])
        key = stratum_key(dataset, stratum)
        async with self._locks[key]:
            order = self.datasets[dataset]
            if not self.owns(key) or not self.wants(order):
                return []  # The lock was awaited.
            chosen = self._choose(order, stratum, society_rests)
            try:
                await self._write(chosen)
            except BaseException:
                self._recount(dataset, stratum)  # Nothing of it was decided.
                raise
        return chosen

    def may_claim(self, dataset: str, stratum: str, society_rests: bool = False) -> bool:
        """Return whether `claim` may find candidates; takes note of since when a stratum waits.

        It is asked of all strata at each event, and most of the time there is nothing fresh: what
        costs more, the share of the stratum, is only asked for where there is.
        """
        progress, order = self.progress[dataset][stratum], self.datasets.get(dataset)
        if order is None or not self.wants(order) or not self.owns(stratum_key(dataset, stratum)):
            progress.waiting_since = None
            return False
        if (
            self.libraries[stratum].has_pair(dataset)
            or self._may_use_again(progress, society_rests)
            or self._learnt.get(dataset) is not order.requirements
        ):
            return progress.wanted(self._shares.at_once(order, stratum)) > 0
        self._note_waiting(progress)
        return False

    def _may_use_again(self, progress: Progress, society_rests: bool) -> bool:
        return society_rests or progress.closing or self._is_long_ago(progress.waiting_since)

    def _note_waiting(self, progress: Progress) -> None:
        """Note that a stratum found nothing to use, if it waits for it from now on.

        Until something fresh comes: who had patience once needs it no more.
        """
        if progress.waiting_since is None and not progress.in_work and progress.room > 0:
            progress.waiting_since = self._clock()

    def _choose(self, dataset: DatasetDeclared, stratum: str, society_rests: bool) -> list[Claim]:
        name, library = dataset.dataset, self.libraries[stratum]
        progress = self.progress[name][stratum]
        wanted = progress.wanted(self._shares.at_once(dataset, stratum))
        uses = library.least_uses(name) if self._may_use_again(progress, society_rests) else 0
        chosen: list[Claim] = []
        # Asked of the library first: most of the time there is nothing fresh.
        while len(chosen) < wanted and library.has_pair(name, uses):
            number = progress.claimed
            seed = derived_seed("steering", name, stratum, dataset.seed, number)
            requirement = self.outcomes[name].choose(
                stratum, dataset.requirements, number, seed, dataset.steer
            )
            pair = library.best_pair(name, self._queries.get(_asked(requirement), []), uses)
            if pair is None:
                break
            scenario, agent_id, index = pair
            scenario_id = scenario.scenario_id
            claim = Claim(
                candidate_id=candidate_id(name, scenario_id, agent_id, index),
                dataset=name,
                stratum=stratum,
                scenario_id=scenario_id,
                agent_id=agent_id,
                index=index,
                requirement=requirement,
                group_id=scenario.group_id,
            )
            library.use(name, scenario_id, agent_id)
            progress.claimed += 1
            chosen.append(claim)
        if any(claim.index == 0 for claim in chosen):
            progress.waiting_since = None
        elif not chosen:
            self._note_waiting(progress)
        return chosen

    def _is_long_ago(self, since: float | None) -> bool:
        return since is not None and self._clock() - since >= self._patience

    async def _write(self, claims: list[Claim]) -> None:
        states: dict[str, GroupClaims] = {}
        for claim in claims:
            key = claims_key(claim)
            state = states.get(key) or self.claims.get(key) or GroupClaims()
            claimed = {pair_key(claim.scenario_id, claim.agent_id): claim.index + 1}
            states[key] = GroupClaims({**state.claimed, **claimed}, (*state.open, claim))
        if states:
            await self.claims.put_all(states, claims[0].key)

    async def _learn_directions(self, dataset: DatasetDeclared) -> None:
        """Embed what a dataset asks for; not under a stratum's lock, for it may take long."""
        if self._learnt.get(dataset.dataset) is dataset.requirements:
            return
        async with self._embedding:
            for text in map(_asked, dataset.requirements):
                if text in self._queries:
                    continue
                try:
                    self._queries[text] = (await self._embedder.embed([text]))[0]
                except Rejected as error:
                    # Without a direction all scenarios are equally relevant.
                    _log.warning("embedding refused", dataset=dataset.dataset, reason=str(error))
                    self._queries[text] = []
        self._learnt[dataset.dataset] = dataset.requirements

    async def close_claim(self, claim: Claim) -> None:
        """Note that a claim's instruction is published, or will never be."""
        async with self._locks[claim.key]:
            key = claims_key(claim)
            state = self.claims.get(key)
            if state is not None and claim in state.open:
                remaining = tuple(each for each in state.open if each != claim)
                await self.claims.put(key, replace(state, open=remaining), claim.key)

    def orders_due(self, society_rests: bool = False) -> list[DatasetDeclared]:
        """Return the orders owned here that are to change, as they are to be.

        Continuous ones grow; quotas move between strata. A stratum without material waits for its
        part of the society, for so many verdicts elsewhere or so long; when the whole society
        rests there is nothing to wait for.
        """
        due = []
        for name, dataset in sorted(self.datasets.items()):
            if dataset.paused or dataset.deleted or not self.owns(name):
                continue
            larger = grown(dataset, self.accepted(name), self.regions)
            update = self._rebalanced(dataset, society_rests) if larger is dataset else larger
            if update is not dataset:
                due.append(update)
        return due

    def _rebalanced(self, dataset: DatasetDeclared, society_rests: bool) -> DatasetDeclared:
        name = dataset.dataset
        judged = self.judged(name)
        patience = max(DRY_PATIENCE, dataset.size // 2)
        progresses = self.progress[name]
        for stratum, progress in progresses.items():
            if not self.is_dry(name, stratum):
                progress.dry_since = None
            elif progress.dry_since is None:
                progress.dry_since, progress.dry_at = judged, self._clock()
        if is_settled(dataset, progresses):
            return dataset
        kept = divide(dataset.size, weights(dataset.balance, self.regions)) if self.regions else {}
        strata = {}
        for stratum, progress in progresses.items():
            exhausted = progress.dry_since is not None and (
                society_rests
                or judged - progress.dry_since >= patience
                or self._is_long_ago(progress.dry_at)
            )
            strata[stratum] = StratumProgress(
                granted=progress.granted,
                recall=progress.recall,
                released=progress.released,
                accepted=progress.accepted,
                failures_since_accept=progress.failures,
                exhausted=exhausted,
                value=self.outcomes[name].value(stratum, dataset.steer),
                keep=int(KEPT * kept.get(stratum, 0)),
            )
        return rebalanced(dataset, strata)

    def appetites(self) -> list[Appetite]:
        """Return what the population topic should say of regions owned here, and does not yet."""
        due = []
        active = self.active()
        for region in sorted(filter(self.owns, self.regions)):
            hungry = self.is_hungry(region, active)
            if self._wanted.get(region, False) != hungry:
                reason = "" if hungry else "no dataset needs more scenarios from here"
                due.append(Appetite(region, hungry, reason))
        return due


def _asked(requirement: Requirement) -> str:
    return f"{requirement.text}. {requirement.category}".strip(". ")
