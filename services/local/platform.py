"""The whole platform in one process: from profiles to a dataset on a local directory."""

import asyncio
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import services.agent_state
from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.importing import Importer, write_society
from services.agent_state.profile_files import ProfileImport, read_profiles
from services.events import SocietyImported, codec
from services.events.topics import (
    DATASETS,
    OBSERVATIONS_DELIVERED,
    POPULATION,
    TOPICS,
)
from services.instruction_generation.application import extended, ordered
from services.instruction_generation.kinds import Kind, find_kind, load_kinds
from services.local.composition import Composition, prompts_of
from services.local.endpoints import ModelChoice, open_models
from services.local.log import Log
from services.local.run_directory import Identity, RunDirectory
from services.message_modulation.domain import Communication
from services.runtime.errors import Rejected
from services.runtime.metrics import Metrics
from services.runtime.ports import Clock
from services.runtime.refusals import ProbedModel

_LOOK_SECONDS = 0.05
"""Pause between two looks at whether the order is filled."""
_NAME = re.compile(r"[^\W_][\w.-]*")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `matrix run` was asked for."""

    out: Path
    model: ModelChoice
    agents: int = 25
    samples: int = 12
    kind: str = "sft"
    requirement: str = ""
    name: str = ""
    profiles: Path | None = None
    seed: int = 0
    communication: Communication = "structured"
    deterministic: bool = False


@dataclass(slots=True)
class Progress:
    """What a view shows of a run."""

    phase: str = "starting"
    metrics: Metrics = field(default_factory=Metrics)
    dataset: str = ""
    size: int = 0
    accepted: int = 0
    claimed: int = 0
    resting: int = 0
    parked: int = 0
    in_flight: int = 0
    model: str = ""
    rejected: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    started: float = 0.0
    accepted_before: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    dataset: str
    accepted: int
    size: int
    complete: bool


class Platform:
    """One run. Whatever ends it, the same call goes on where it was."""

    def __init__(self, settings: RunSettings, progress: Progress, clock: Clock = time.time) -> None:
        self._settings = settings
        self._progress = progress
        self._clock = clock
        self._name = settings.name or settings.kind

    async def run(self) -> Outcome:
        """Fill the order.

        Raises:
            MatrixError: the run cannot go on; what was made is kept, and the message says why.
        """
        settings, progress = self._settings, self._progress
        progress.dataset, progress.started = self._name, time.monotonic()
        kinds = load_kinds()
        self._check_order(kinds)
        imported, fingerprint = self._read_profiles()
        progress.problems = [str(problem) for problem in imported.problems]
        with RunDirectory(settings.out) as directory:
            progress.phase = "loading the model"
            async with open_models(
                settings.model, progress.metrics.model, settings.out, settings.seed
            ) as models:
                progress.model = models.name
                identity = Identity(
                    agents=settings.agents,
                    profiles=fingerprint,
                    model=models.name,
                    seed=settings.seed,
                    communication=settings.communication,
                    deterministic=settings.deterministic,
                )
                manifest = directory.claim(identity)
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
                    )
                    await composition.restore()
                    society = await self._society(composition, imported, fingerprint)
                    again = self._name in manifest.finished
                    await self._order(composition, society, models.limits, again)
                    directory.mark(self._name, False)
                    progress.phase = "working"
                    outcome = await self._fill(composition, lambda: models.chat.in_flight)
                finally:
                    await log.close()
        return outcome

    def _check_order(self, kinds: dict[str, Kind]) -> None:
        """Refuse at once what would be refused when the society has been imported."""
        if not _NAME.fullmatch(self._name):
            raise Rejected(
                f"--name {self._name!r} cannot be a folder's name: use letters, digits, '-', '_' "
                "and '.', and begin with a letter or digit"
            )
        find_kind(kinds, self._settings.kind).requirements(self._settings.requirement, 0)

    def _read_profiles(self) -> tuple[ProfileImport, str]:
        path = self._settings.profiles or builtin_profiles_path()
        imported = read_profiles(path, self._settings.agents)
        if len(imported.profiles) < self._settings.agents and self._settings.profiles is None:
            raise Rejected(
                f"--agents {self._settings.agents}: there are {len(imported.profiles)} built-in "
                "profiles; give more with --profiles FILE"
            )
        if self._settings.profiles is None:
            return imported, "built-in"
        content = "\x1f".join(map(repr, imported.profiles))
        return imported, hashlib.sha256(content.encode()).hexdigest()[:16]

    async def _society(
        self,
        composition: Composition,
        imported: ProfileImport,
        fingerprint: str,
    ) -> SocietyImported:
        for delivery in await composition.log.history(POPULATION.name):
            event = codec.from_delivery(delivery)
            if isinstance(event, SocietyImported):
                return event
        self._progress.phase = "importing profiles"
        importer = Importer(
            composition.journal,
            composition.embedder,
            prompts_of(services.agent_state),
        )
        made, tombstones = await importer.society(
            imported.profiles, self._settings.seed, len(imported.problems), fingerprint
        )
        self._progress.problems += [f"{r.profile_id}: {r.reason}" for r in made.refusals]
        await write_society(made, composition.society.groups)
        records = [
            codec.to_record(OBSERVATIONS_DELIVERED, token.group_id, token, cause="step/0")
            for token in made.tokens()
        ]
        # Last: an import that broke off before is done again, to the same ids.
        last = codec.to_record(POPULATION, "society", made.society)
        await composition.log.publish([*records, *tombstones])
        await composition.log.publish([last])
        composition.count()
        return made.society

    async def _order(
        self,
        composition: Composition,
        society: SocietyImported,
        limits: dict[str, int],
        again: bool,
    ) -> None:
        """Declare the dataset, or add to it when its last order was filled and shown."""
        settings, planner = self._settings, composition.planner
        known = planner.datasets.get(self._name)
        regions = dict(society.regions)
        if known is None:
            order = ordered(
                composition.kinds,
                self._name,
                settings.kind,
                settings.samples,
                settings.requirement,
                regions,
                settings.seed,
                self._clock(),
                limits,
            )
        elif (known.kind, known.domain) != (settings.kind, settings.requirement.strip()):
            raise Rejected(
                f"dataset {self._name!r} in {settings.out} is of kind {known.kind!r}, requirement "
                f"{known.domain!r}; give the new one another --name"
            )
        elif again:
            order = extended(known, settings.samples, regions)
        else:
            order = known
        planner.set_dataset(order)
        self._progress.accepted_before = planner.accepted(self._name)
        await composition.log.publish([codec.to_record(DATASETS, self._name, order)])

    async def _fill(self, composition: Composition, in_flight: Callable[[], int]) -> Outcome:
        planner = composition.planner
        work = None
        if not self._settings.deterministic:
            work = asyncio.create_task(composition.work(hands=256))
        try:
            while True:
                self._look(composition, in_flight())
                filled = planner.accepted(self._name) >= planner.datasets[self._name].size
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
        self._look(composition, 0)
        accepted, size = planner.accepted(self._name), planner.datasets[self._name].size
        return Outcome(self._name, accepted, size, accepted >= size)

    def _look(self, composition: Composition, in_flight: int) -> None:
        progress, planner = self._progress, composition.planner
        progress.size = planner.datasets[self._name].size
        progress.accepted = planner.accepted(self._name)
        progress.claimed = sum(p.claimed for p in planner.progress[self._name].values())
        progress.rejected = planner.rejected[self._name]
        progress.in_flight = in_flight
        states = composition.modulation.groups
        progress.resting = sum(state.resting for state in states.values())
        progress.parked = sum(state.parked for state in states.values())


def mark_shown(out: Path, dataset: str) -> None:
    """Note that a filled order was shown: the next run adds to the dataset."""
    with RunDirectory(out) as directory:
        directory.mark(dataset, True)
