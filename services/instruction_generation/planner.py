"""Which candidates are made: demand of the datasets against the material in the library."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

import structlog

from services.events import (
    Appetite,
    DatasetDeclared,
    Grant,
    QuotaReleased,
    Requirement,
    SampleJudged,
    ScenarioExtracted,
)
from services.instruction_generation.domain import (
    DRY_PATIENCE,
    USES_PER_PAIR,
    Claim,
    GroupClaims,
    Progress,
    RegionLibrary,
    candidate_id,
    is_sated,
    pair_key,
)
from services.instruction_generation.quotas import StratumProgress, rebalance
from services.runtime.errors import Rejected
from services.runtime.ports import Embedder
from services.runtime.state import Changelog

_log = structlog.get_logger(__name__)


class Planner:
    """Datasets, their progress, and the scenario library: what is wanted and what there is."""

    def __init__(self, claims: Changelog[GroupClaims], embedder: Embedder) -> None:
        self.claims = claims
        self.datasets: dict[str, DatasetDeclared] = {}
        self.progress: defaultdict[str, defaultdict[str, Progress]] = defaultdict(
            lambda: defaultdict(Progress)
        )
        """By dataset and stratum."""
        self.libraries: defaultdict[str, RegionLibrary] = defaultdict(RegionLibrary)
        self._groups: dict[str, str] = {}
        """Group of each scenario."""
        self._embedder = embedder
        self._queries: dict[str, list[float]] = {}
        self.rejected: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Rejections by dataset and reason."""
        self._judged: set[str] = set()
        self._appetite: dict[str, bool] = {}
        self._lock = asyncio.Lock()

    def restore_uses(self) -> None:
        """Count the claims of earlier processes; call when library and claims are restored."""
        for _, state in self.claims.items():
            for key, times in state.claimed.items():
                dataset, scenario_id, agent_id = key.split("/")
                for region, library in self.libraries.items():
                    if library.get(scenario_id) is not None:
                        library.use(dataset, scenario_id, agent_id, times)
                        self.progress[dataset][region].claimed += times

    def open_claims(self) -> list[Claim]:
        """Return the claims whose instruction was not published yet."""
        return [claim for _, state in self.claims.items() for claim in state.open]

    def closed_candidates(self) -> list[tuple[str, str]]:
        """Return group and id of the candidates whose instruction is published."""
        return [(group, each) for group, state in self.claims.items() for each in state.closed()]

    def add_scenario(self, scenario: ScenarioExtracted) -> None:
        """Take a scenario into the library."""
        self._groups[scenario.scenario_id] = scenario.group_id
        if self.libraries[scenario.region].add(scenario):
            for strata in self.progress.values():
                strata[scenario.region].dry_since = None

    def set_dataset(self, dataset: DatasetDeclared) -> None:
        """Take a dataset's latest order; an older one (fewer grants) is passed over."""
        known = self.datasets.get(dataset.dataset)
        if known is not None and _granted(known) > _granted(dataset):
            return
        self.datasets[dataset.dataset] = dataset
        for grant in dataset.grants:
            progress = self.progress[dataset.dataset][grant.stratum]
            progress.granted = max(progress.granted, grant.granted)
            progress.recall = max(progress.recall, grant.recall)

    def add_verdict(self, sample: SampleJudged) -> None:
        """Count a verdict, once."""
        if sample.sample_id in self._judged:
            return
        self._judged.add(sample.sample_id)
        progress = self.progress[sample.dataset][sample.stratum]
        progress.judged += 1
        if sample.accepted:
            progress.accepted += 1
            progress.failures = 0
        else:
            progress.failures += 1
            self.rejected[sample.dataset][sample.reason] += 1

    def add_release(self, release: QuotaReleased) -> None:
        """Note quota that a stratum gave back."""
        progress = self.progress[release.dataset][release.stratum]
        progress.released = max(progress.released, release.released)

    def accepted(self, dataset: str) -> int:
        """Return the accepted samples of a dataset."""
        return sum(p.accepted for p in self.progress[dataset].values())

    def judged(self, dataset: str) -> int:
        """Return the verdicts on a dataset's candidates."""
        return sum(p.judged for p in self.progress[dataset].values())

    async def claim(self, society_rests: bool = False) -> list[Claim]:
        """Decide on the candidates to be made now, and make the decision durable.

        Each pair of scenario and agent is used once. Those that were used least are used once more
        when the whole society rests, so that nothing fresh can come, and for the last few samples
        of a stratum, for which it would have to live through another window.
        """
        async with self._lock:
            chosen: list[Claim] = []
            for name, dataset in sorted(self.datasets.items()):
                for stratum, progress in sorted(self.progress[name].items()):
                    again = society_rests or progress.closing
                    uses = self.libraries[stratum].least_uses(name) if again else 0
                    chosen += await self._claim_for(dataset, stratum, progress, uses)
            by_group: dict[str, list[Claim]] = defaultdict(list)
            for claim in chosen:
                by_group[self._groups[claim.scenario_id]].append(claim)
            for group_id, claims in sorted(by_group.items()):
                state = self.claims.get(group_id) or GroupClaims()
                claimed = dict(state.claimed)
                for claim in claims:
                    key = pair_key(claim.dataset, claim.scenario_id, claim.agent_id)
                    claimed[key] = claim.index + 1
                await self.claims.put(group_id, GroupClaims(claimed, (*state.open, *claims)))
            return chosen

    async def _claim_for(
        self, dataset: DatasetDeclared, stratum: str, progress: Progress, uses: int
    ) -> list[Claim]:
        name, library = dataset.dataset, self.libraries[stratum]
        chosen = []
        for _ in range(progress.wanted):
            number = progress.claimed
            requirement = dataset.requirements[number % len(dataset.requirements)]
            pair = library.best_pair(name, await self._query(requirement), uses)
            if pair is None:
                if progress.dry_since is None and library.least_uses(name) >= USES_PER_PAIR:
                    progress.dry_since = self.judged(name)
                break
            scenario, agent_id, index = pair
            claim = Claim(
                candidate_id=candidate_id(name, scenario.scenario_id, agent_id, index),
                dataset=name,
                stratum=stratum,
                scenario_id=scenario.scenario_id,
                agent_id=agent_id,
                index=index,
                requirement=requirement,
            )
            library.use(name, scenario.scenario_id, agent_id)
            progress.claimed += 1
            chosen.append(claim)
        return chosen

    async def _query(self, requirement: Requirement) -> list[float]:
        text = f"{requirement.text}. {requirement.category}".strip(". ")
        if text not in self._queries:
            try:
                self._queries[text] = (await self._embedder.embed([text]))[0]
            except Rejected as error:
                # Without a direction all scenarios are equally relevant.
                _log.warning("embedding refused", text=text, reason=str(error))
                self._queries[text] = []
        return self._queries[text]

    async def close_claim(self, claim: Claim) -> None:
        """Note that a claim's instruction is published."""
        async with self._lock:
            group_id = self._groups[claim.scenario_id]
            state = self.claims.get(group_id) or GroupClaims()
            remaining = tuple(c for c in state.open if c.candidate_id != claim.candidate_id)
            await self.claims.put(group_id, replace(state, open=remaining))

    def rebalanced(self, society_rests: bool = False) -> list[DatasetDeclared]:
        """Return the datasets whose quotas move between strata, with their new grants.

        A stratum without material waits for its part of the society, for so many verdicts
        elsewhere; when the whole society rests there is nothing to wait for.
        """
        changed = []
        for name, dataset in sorted(self.datasets.items()):
            patience = 0 if society_rests else max(DRY_PATIENCE, dataset.size // 2)
            judged = self.judged(name)
            strata = {
                stratum: _stratum(progress, judged, patience)
                for stratum, progress in self.progress[name].items()
            }
            moved = rebalance(dataset.size, strata)
            grants = tuple(Grant(s, granted, recall) for s, (granted, recall) in moved.items())
            before = {g.stratum: (g.granted, g.recall) for g in dataset.grants}
            if any(before.get(g.stratum) != (g.granted, g.recall) for g in grants):
                update = replace(dataset, grants=tuple(sorted(grants, key=lambda g: g.stratum)))
                self.set_dataset(update)
                changed.append(update)
        return changed

    def note_appetite(self, appetite: Appetite) -> None:
        """Take over what an earlier process said of a region."""
        self._appetite[appetite.region] = appetite.hungry

    def appetites(self, regions: Iterable[str]) -> list[Appetite]:
        """Return the regions whose being wanted has changed since the last call."""
        changed = []
        for region in sorted(regions):
            library = self.libraries[region]
            hungry = any(
                not is_sated(self.progress[name][region], library.unused_pairs(name))
                for name in self.datasets
            )
            if self._appetite.get(region, True) != hungry:
                self._appetite[region] = hungry
                reason = "" if hungry else "no dataset needs more scenarios from here"
                changed.append(Appetite(region, hungry, reason))
        return changed


def _stratum(progress: Progress, judged: int, patience: int) -> StratumProgress:
    dry = progress.dry_since
    return StratumProgress(
        granted=progress.granted,
        recall=progress.recall,
        released=progress.released,
        accepted=progress.accepted,
        failures_since_accept=progress.failures,
        exhausted=dry is not None and judged - dry >= patience,
    )


def _granted(dataset: DatasetDeclared) -> int:
    return sum(grant.granted + grant.recall for grant in dataset.grants)
