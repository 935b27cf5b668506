"""What every replica knows: the orders, the library, the verdicts, and what regions were told.

All of it comes from topics that every replica reads whole; events may come more than once.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from services.events import (
    Appetite,
    DatasetDeclared,
    QuotaReleased,
    SampleJudged,
    ScenarioExtracted,
    SocietyImported,
    Usage,
)
from services.instruction_generation.domain import (
    USES_PER_PAIR,
    DatasetState,
    DatasetStatus,
    Progress,
    is_sated,
)
from services.instruction_generation.library import RegionLibrary
from services.instruction_generation.orders import completed
from services.instruction_generation.steering import Outcomes
from services.runtime.errors import NotFound, Rejected


class Overview:
    """Datasets, their progress, and the scenario library: what is wanted and what there is."""

    def __init__(self) -> None:
        self.datasets: dict[str, DatasetDeclared] = {}
        """By name, those that are paused or deleted too."""
        self.progress: defaultdict[str, defaultdict[str, Progress]] = defaultdict(
            lambda: defaultdict(Progress)
        )
        """By dataset and stratum."""
        self.libraries: defaultdict[str, RegionLibrary] = defaultdict(RegionLibrary)
        self.society: SocietyImported | None = None
        self.version = 0
        """Counts what was learnt of datasets, scenarios and verdicts."""
        self.rejected: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Rejections by dataset and reason."""
        self.outcomes: defaultdict[str, Outcomes] = defaultdict(Outcomes)
        self._judged: set[str] = set()
        self._accepted: Counter[str] = Counter()
        self._usage: defaultdict[str, Usage] = defaultdict(Usage)
        self._newest: defaultdict[str, float] = defaultdict(float)
        self._wanted: dict[str, bool] = {}
        """What the population topic said last of each region."""
        self._news = asyncio.Event()

    def learn(self, event: Any) -> None:
        """Take in an event of one of the topics that every replica reads; others are passed over.

        Raises:
            Rejected: it is an order that nothing can be made for.
        """
        match event:
            case DatasetDeclared():
                self.set_dataset(event)
            case ScenarioExtracted():
                self.add_scenario(event)
            case SampleJudged():
                self.add_verdict(event)
            case QuotaReleased():
                self.add_release(event)
            case SocietyImported():
                self.set_society(event)
            case Appetite():
                self.note_appetite(event)

    async def news(self) -> None:
        """Return when an order or a scenario has come."""
        await self._news.wait()

    def _tell(self) -> None:
        self.version += 1
        self._news.set()
        self._news = asyncio.Event()

    def add_scenario(self, scenario: ScenarioExtracted) -> None:
        """Take a scenario into the library."""
        if self.libraries[scenario.region].add(scenario):
            for strata in self.progress.values():
                strata[scenario.region].waiting_since = None
                strata[scenario.region].dry_since = None
            self._tell()

    def set_dataset(self, dataset: DatasetDeclared) -> None:
        """Take a dataset's latest order; one of a lower revision is passed over.

        Raises:
            Rejected: it has no requirements.
        """
        if not dataset.requirements:
            raise Rejected(f"dataset {dataset.dataset!r} has no requirements: nothing can be asked")
        known = self.datasets.get(dataset.dataset)
        if known is not None and known.revision > dataset.revision:
            return
        self.datasets[dataset.dataset] = completed(dataset)
        for grant in dataset.grants:
            progress = self.progress[dataset.dataset][grant.stratum]
            progress.granted = max(progress.granted, grant.granted)
            progress.recall = max(progress.recall, grant.recall)
        self._tell()

    def add_verdict(self, sample: SampleJudged) -> None:
        """Count a verdict, once."""
        if sample.sample_id in self._judged:
            return
        self._judged.add(sample.sample_id)
        self.version += 1
        name, source = sample.dataset, sample.provenance
        progress = self.progress[name][sample.stratum]
        progress.judged += 1
        if sample.accepted:
            progress.accepted += 1
            self._accepted[name] += 1
            progress.failures = 0
        else:
            progress.failures += 1
            self.rejected[name][sample.reason] += 1
        self.outcomes[name].add(sample)
        self.libraries[sample.stratum].judge(name, source.scenario_id, source.agent_id)
        self._usage[name] += sample.usage
        self._newest[name] = max(self._newest[name], sample.created_at)

    def add_release(self, release: QuotaReleased) -> None:
        """Note quota that a stratum gave back."""
        progress = self.progress[release.dataset][release.stratum]
        progress.released = max(progress.released, release.released)
        self.version += 1

    def set_society(self, society: SocietyImported) -> None:
        """Take in which regions there are, and how many agents live in each."""
        self.society = society

    @property
    def regions(self) -> dict[str, int]:
        """Agents by region; empty before a society was imported."""
        return dict(self.society.regions) if self.society else {}

    def note_appetite(self, appetite: Appetite) -> None:
        """Take in what the population topic says of a region."""
        self._wanted[appetite.region] = appetite.hungry

    def accepted(self, dataset: str) -> int:
        """Return the accepted samples of a dataset."""
        return self._accepted[dataset]

    def newest(self, dataset: str) -> float:
        """Return when its newest sample was made, in seconds since the epoch; 0 without any."""
        return self._newest.get(dataset, 0.0)

    def judged(self, dataset: str) -> int:
        """Return the verdicts on a dataset's candidates."""
        return sum(p.judged for p in self.progress[dataset].values())

    def wants(self, dataset: DatasetDeclared) -> bool:
        """Return whether more is to be made for a dataset."""
        resting = dataset.paused or dataset.deleted
        return not resting and self.accepted(dataset.dataset) < dataset.size

    def active(self) -> list[DatasetDeclared]:
        """Return the datasets for which more is to be made, in order of name."""
        return [order for _, order in sorted(self.datasets.items()) if self.wants(order)]

    def is_dry(self, dataset: str, stratum: str) -> bool:
        """Return whether every pair of the stratum's region was used as often as may be.

        Known by the verdicts, so that everybody comes to the same answer.
        """
        pairs = self.libraries[stratum].pairs
        return self.progress[dataset][stratum].judged >= pairs * USES_PER_PAIR

    def is_filling(self, order: DatasetDeclared) -> bool:
        """Return whether more is to be made for a dataset, and there is something to make it of."""
        return self.wants(order) and bool(self.filling(order.dataset))

    def filling(self, dataset: str) -> list[str]:
        """Return the strata of a dataset that have room, and something to make samples of."""
        return [
            stratum
            for stratum, progress in list(self.progress[dataset].items())
            if progress.room > 0 and not self.is_dry(dataset, stratum)
        ]

    def is_hungry(self, region: str, active: Iterable[DatasetDeclared]) -> bool:
        """Return whether one of the `active` datasets has not enough material in a region."""
        library = self.libraries[region]
        for order in active:
            unused = library.unused_pairs(order.dataset)
            if not is_sated(self.progress[order.dataset][region], unused):
                return True
        return False

    def scenario(self, scenario_id: str) -> ScenarioExtracted:
        """Return a scenario of any region.

        Raises:
            NotFound: it is not known here.
        """
        for library in self.libraries.values():
            found = library.get(scenario_id)
            if found is not None:
                return found
        raise NotFound(f"scenario {scenario_id!r} is not known")

    def status(self, dataset: str) -> DatasetStatus:
        """Return how a dataset stands.

        Raises:
            NotFound: there was never one of that name.
        """
        order = self.datasets.get(dataset)
        if order is None:
            raise NotFound(f"dataset {dataset!r} is not known")
        accepted = self.accepted(dataset)
        return DatasetStatus(
            dataset=dataset,
            state=self._state(order),
            size=order.size,
            wanted=max(0, order.size - accepted),
            accepted=accepted,
            judged=self.judged(dataset),
            claimed=sum(max(p.claimed, p.judged) for p in self.progress[dataset].values()),
            rejected=dict(self.rejected[dataset]),
            usage=self._usage[dataset],
            newest_at=self._newest[dataset],
        )

    def _state(self, order: DatasetDeclared) -> DatasetState:
        if order.deleted:
            return "deleted"
        if order.paused:
            return "paused"
        if not self.wants(order):
            return "filled"
        return "filling" if self.is_filling(order) else "resting"
