"""The whole platform in one process: from profiles to a dataset on a local directory."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from services.agent_state.profile_files import ProfileImport
from services.events import SocietyImported, codec
from services.events.topics import DATASETS, TOPICS
from services.kinds import find_kind, load_kinds
from services.local.composition import Composition
from services.local.endpoints import OpenModels, open_models
from services.local.log import Log
from services.local.orders import check_order, described, ignored, new_order, next_order
from services.local.progress import Progress
from services.local.run_directory import Identity, RunDirectory
from services.local.settings import RunSettings
from services.local.society import (
    chosen_profiles,
    fingerprint_of,
    import_society,
    join_society,
    known_society,
)
from services.reward_filtering.contamination import benchmark_index
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.workbench import Workbench
from services.runtime.ports import Clock
from services.runtime.refusals import ProbedModel
from services.runtime.tables import Table

if TYPE_CHECKING:
    # Who serves metrics loads gRPC and cryptography: 17 MB.
    from services.local.watch import Watch

_LOOK_SECONDS = 0.05
"""Pause between two looks at whether the order is filled."""
_HANDS = 256
"""Candidates whose instruction is made at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    dataset: str
    accepted: int
    size: int
    added: int
    """Rows that this run wrote; they may have been accepted by one that broke off."""

    @property
    def complete(self) -> bool:
        """Whether the order is filled."""
        return self.accepted >= self.size


class Platform:
    """One run. Whatever ends it, the same call goes on where it was."""

    def __init__(
        self,
        settings: RunSettings,
        progress: Progress,
        tell: Callable[[str], None],
        clock: Clock = time.time,
        watch: "Watch | None" = None,
    ) -> None:
        """Describe a run.

        Args:
            settings: what was asked for.
            progress: kept up to date while it works.
            tell: is given what its user is to know meanwhile.
            clock: seconds since the epoch.
            watch: started once the directory is this run's; its maker stops it.
        """
        self._watch = watch
        self._settings = settings
        self._progress = progress
        progress.dataset = settings.dataset
        self._tell = tell
        self._clock = clock
        self._society: SocietyImported | None = None
        self._found: SocietyImported | None = None
        """As it was at the start."""

    async def run(self) -> Outcome:
        """Fill the order.

        Raises:
            MatrixError: the run cannot go on; what was made is kept, and the message says why.
        """
        settings, progress = self._settings, self._progress
        kinds = load_kinds()
        check_order(settings, kinds)
        workbench = Workbench()
        if find_kind(kinds, settings.kind).runs_code:
            await workbench.ready()
        benchmarks = benchmark_index(settings.benchmarks)
        profiles, fingerprint = chosen_profiles(settings.profiles, settings.agents)
        progress.problems = [str(problem) for problem in profiles.problems]
        with RunDirectory(settings.out) as directory:
            progress.phase = "loading the model"
            async with open_models(
                settings.model, progress.metrics.model, settings.out, settings.seed
            ) as models:
                progress.model = models.name
                progress.in_flight = lambda: models.chat.in_flight
                identity = Identity(
                    agents=settings.agents,
                    profiles=fingerprint,
                    model=models.name,
                    seed=settings.seed,
                    communication=settings.communication,
                    deterministic=settings.deterministic,
                    embedding=models.embedding,
                )
                claimed = _as_it_was(directory, identity, settings, profiles)
                shown = settings.dataset in directory.claim(claimed).finished
                if self._watch is not None:
                    await self._watch.start(models.watched)
                log = Log(directory.log_path, {x.name for x in TOPICS if x.compacted})
                try:
                    composition = Composition(
                        log,
                        ProbedModel(models.chat),
                        models.embedder,
                        kinds,
                        settings.communication,
                        directory.datasets,
                        progress.metrics,
                        self._clock,
                        seeded=settings.deterministic,
                        benchmarks=benchmarks,
                        held_out=bool(settings.model.held_out),
                        workbench=workbench,
                        demand=None if settings.deterministic else models.chat,
                    )
                    progress.phase = "reading the log"
                    await composition.restore()
                    await self._settle(composition, profiles, claimed)
                    if claimed != identity:
                        directory.grow(identity)
                    await self._begin(composition, models, shown)
                    directory.mark(settings.dataset, False)
                    progress.phase = "working"
                    return await self._fill(composition, directory.datasets)
                finally:
                    await log.close()

    async def _settle(
        self, composition: Composition, profiles: ProfileImport, claimed: Identity
    ) -> None:
        """Have a society of the profiles; `claimed` tells how many of them it began with."""
        settings, progress = self._settings, self._progress
        self._society = self._found = await known_society(composition.log)
        if self._society is None:
            progress.phase = "importing profiles"
            first = replace(profiles, profiles=profiles.profiles[: claimed.agents])
            made = await import_society(composition, first, claimed.profiles, settings.seed)
            progress.problems += [f"{r.profile_id}: {r.reason}" for r in made.refusals]
            self._society = made.society
        if claimed.agents < settings.agents:
            progress.phase = "people join"
            report = await join_society(composition, profiles, settings.seed)
            progress.problems += [f"{r.profile_id}: {r.reason}" for r in report.refusals]
            self._society = report.society
            self._tell(
                f"{report.joined} people joined: {len(report.joined_groups)} groups took some in, "
                f"{len(report.founded_groups)} are new"
            )

    async def _begin(self, composition: Composition, models: OpenModels, shown: bool) -> None:
        """Have an order for the society; tell what of both was there before."""
        settings, progress, planner = self._settings, self._progress, composition.planner
        society, found = self._society, self._found
        assert society is not None
        regions, known = dict(society.regions), planner.datasets.get(settings.dataset)
        order = (
            new_order(
                settings,
                composition.kinds,
                regions,
                models.limits | dict(settings.filters),
                self._clock(),
            )
            if known is None
            else next_order(settings, composition.kinds, known, shown, regions)
        )
        planner.set_dataset(order)
        await composition.log.publish([codec.to_record(DATASETS, settings.dataset, order)])
        progress.accepted_before = planner.accepted(settings.dataset)
        progress.observe(composition)
        if found is not None:
            self._tell(
                f"going on: {described(settings, known, shown, progress.accepted)}; "
                f"{society.agents} agents, {progress.steps} steps, {progress.scenarios} scenarios"
            )
        if note := ignored(settings, known, shown):
            self._tell(note)

    async def _fill(self, composition: Composition, datasets: Path) -> Outcome:
        planner, name, progress = composition.planner, self._settings.dataset, self._progress
        table = Table(str(datasets / name), SAMPLE_SCHEMA)
        before = await asyncio.to_thread(table.count)
        work = None
        if not self._settings.deterministic:
            work = asyncio.create_task(composition.work(_HANDS))
        try:
            while True:
                progress.observe(composition)
                filled = planner.accepted(name) >= planner.datasets[name].size
                if filled and composition.writer_source.lag == 0 and not composition.writer.busy:
                    break
                if work is None:
                    moved = await composition.step()
                else:
                    await asyncio.wait([work], timeout=_LOOK_SECONDS)
                    if work.done():
                        work.result()
                    moved = not composition.idle
                if not moved and not await composition.generation.society_rests():
                    break  # Nothing can happen any more: the society rests, its material is used.
        finally:
            if work is not None:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        await composition.write_rest()
        progress.observe(composition)
        added = await asyncio.to_thread(table.count) - before
        return Outcome(name, progress.accepted, progress.size, added)


def _as_it_was(
    directory: RunDirectory, identity: Identity, settings: RunSettings, profiles: ProfileImport
) -> Identity:
    """Return the identity of a run as it began, if it is to grow now.

    The profiles that it has must be the first ones of those that it is to have.
    """
    known = directory.manifest()
    if known is None or known.identity.agents >= settings.agents:
        return identity
    agents = known.identity.agents
    before = fingerprint_of(settings.profiles, profiles, agents)
    return replace(identity, agents=agents, profiles=before)


def mark_shown(out: Path, dataset: str) -> None:
    """Note that a filled order was shown: the next run adds to the dataset."""
    with RunDirectory(out) as directory:
        directory.mark(dataset, True)
