"""The services of one process over a log: how a society comes in, and how the work is ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.agent_state.population_control import START_AGENTS
from services.agent_state.profile_files import ProfileImport
from services.agent_state.profiles import Profile
from services.events import (
    Appetite,
    ChatMessage,
    ObservationsDelivered,
    PopulationTarget,
    Provenance,
    Requirement,
    SampleJudged,
)
from services.events.topics import MODEL_ANSWERS, POPULATION, SAMPLES_JUDGED, TOPICS
from services.kinds import load_kinds
from services.local.composition import Composition
from services.local.log import Log
from services.local.simulator import Simulator, SimulatorSettings
from services.local.society import import_society, known_society
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.metrics import Metrics
from services.runtime.model_servers import ROLES
from services.runtime.models import HttpModels
from services.runtime.ports import Record
from services.runtime.tables import Table
from tests.integration.running import events, publish, serving, work

PEOPLE = ProfileImport(
    tuple(
        Profile(f"p{number}", f"Zita Brandt{number}", f"Zita keeps {number} hives and sells honey.")
        for number in range(12)
    ),
    (),
)


class CrashError(Exception):
    """The end of a process."""


class DyingLog(Log):
    """Takes what it is given, until a society is to be declared whole."""

    async def publish(self, records: Sequence[Record]) -> None:
        if any(record.topic == POPULATION.name for record in records):
            raise CrashError
        await super().publish(records)


@dataclass
class Life:
    """One life of a process over a log."""

    composition: Composition
    models: HttpModels
    chat: Simulator

    async def people(self, profiles: ProfileImport = PEOPLE) -> dict[str, list[str]]:
        """Import; return what the agents of each group are like."""
        made = await import_society(self.composition, profiles, "test", seed=5)
        return {f.group.group_id: [n.description for n in f.newcomers] for f in made.groups}

    async def settle(self) -> None:
        """Work until nothing is left."""
        while await self.composition.step():
            pass


@asynccontextmanager
async def life(
    path: Path, of: type[Log] = Log, hang: float = 0.0, controlled: bool = False
) -> AsyncIterator[Life]:
    metrics = Metrics()
    log = of(path / "log.db", {topic.name for topic in TOPICS if topic.compacted})
    async with (
        serving(SimulatorSettings(hang=hang)) as (chat, chat_at),
        serving(SimulatorSettings()) as (_, embedding_at),
        HttpModels(
            {**dict.fromkeys(ROLES, chat_at), "embedding": embedding_at}, metrics.model
        ) as models,
    ):
        composition = Composition(
            *(log, models, models, load_kinds(), "structured", path / "datasets", metrics),
            time.time,
            seeded=False,
            demand=models if controlled else None,
        )
        await composition.restore()
        yield Life(composition, models, chat)
        await log.close()


async def test_an_import_that_dies_at_its_end_is_done_again_of_the_same_answers(
    tmp_path: Path,
) -> None:
    async with life(tmp_path, DyingLog) as first:
        with pytest.raises(CrashError):
            await first.people()
        assert first.chat.calls == 12
        await first.settle()
        groups = {group_id for group_id, _ in first.composition.society.groups.items()}
    async with life(tmp_path) as second:
        assert await known_society(second.composition.log) is None
        assert (await second.people()).keys() == groups
        assert second.chat.calls == 0
        await second.settle()
        assert {group_id for group_id, _ in second.composition.society.groups.items()} == groups
        assert second.composition.metrics.society.agents == 12


@pytest.mark.parametrize("settled", [True, False])
async def test_a_whole_society_is_found_again_holds_its_tokens_and_needs_no_answers(
    tmp_path: Path, settled: bool
) -> None:
    async with life(tmp_path) as first:
        people = await first.people()
        if settled:
            await first.settle()
    async with life(tmp_path) as second:
        log = second.composition.log
        known = await known_society(log)
        assert known is not None
        assert (known.agents, known.groups) == (12, len(people))
        assert await log.history(MODEL_ANSWERS.name) == []
        assert second.composition.metrics.society.agents == (12 if settled else 0)
        await second.settle()
        assert second.composition.metrics.society.agents == 12
        held = {name: s.token for name, s in second.composition.modulation.groups.items()}
        assert held == {name: ObservationsDelivered(name, 0) for name in people}
        # Nothing was wanted of anybody.
        assert second.chat.calls == 0


async def test_when_the_work_is_ended_no_call_goes_on(tmp_path: Path) -> None:
    people = tuple(replace(profile, synthetic=True) for profile in PEOPLE.profiles)
    async with life(tmp_path, hang=1.0) as now:
        await now.people(ProfileImport(people, ()))
        society = await known_society(now.composition.log)
        assert society is not None
        await now.settle()  # Groups hold their tokens, so that a word sends them all at once.
        for region in society.regions:
            await publish(now.composition.log, POPULATION, region, Appetite(region, hungry=True))
        work = asyncio.create_task(now.composition.work(hands=4))
        async with asyncio.timeout(10):
            while now.chat.in_flight < len(people):  # noqa: ASYNC110 - happens in this loop
                await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])
        assert work.cancelled()
        assert now.models.in_flight == 0


async def test_verdicts_that_came_while_the_work_ended_are_in_the_tables(tmp_path: Path) -> None:
    def rows(table: str) -> list[str]:
        return sorted(Table(str(tmp_path / "datasets" / table), SAMPLE_SCHEMA).ids())

    async with life(tmp_path) as running:
        for number, reason in enumerate(("", "quota_full", "refusal")):
            verdict = SampleJudged(
                sample_id=f"c{number}",
                dataset="chat",
                stratum="r00",
                kind="sft",
                requirement=Requirement("r000", "cook", 1, "plain"),
                accepted=not reason,
                reason=reason,
                stage="response",
                messages=(ChatMessage("user", "How?"),),
                provenance=Provenance("s", "g", "a"),
            )
            await publish(running.composition.log, SAMPLES_JUDGED, "chat/r00", verdict)
            if number == 0:
                await running.composition.writer.step()
            if number == 1:  # Read, and cut off before it is written.
                assert await running.composition.writer_source.poll(10)
        assert rows("_rejected/chat") == []
        await running.composition.write_rest()
        assert (rows("chat"), rows("_rejected/chat")) == (["c0"], ["c1", "c2"])
        await running.composition.write_rest()
        assert len(rows("_rejected/chat")) == 2


async def test_a_controlled_society_begins_with_a_target_and_goes_on_from_the_last_one(
    tmp_path: Path,
) -> None:
    async with life(tmp_path, controlled=True) as first:
        assert first.composition.modulation.target == START_AGENTS
        await first.people()
        told = PopulationTarget(7, "backlog too long", 1.0, 64.0, 12.0, 64.0)
        await publish(first.composition.log, POPULATION, "target", told)
    async with life(tmp_path, controlled=True) as second:
        await second.settle()
        assert second.composition.modulation.target == 7
        targets = [e for e in await events(second.composition.log, POPULATION) if e == told]
        assert targets == [told]
        # Twelve people are too many for the target, whoever is wanted: the run is not at its end.
        society = await known_society(second.composition.log)
        assert society is not None
        for region in society.regions:
            wanted = Appetite(region, hungry=True)
            await publish(second.composition.log, POPULATION, f"appetite/{region}", wanted)
        await work(second.composition.workers["message_modulation"])
        assert second.composition.modulation.holds_back
        assert not second.composition.idle


async def test_without_a_controller_there_is_no_target(tmp_path: Path) -> None:
    async with life(tmp_path) as alone:
        assert alone.composition.modulation.target is None
        assert await events(alone.composition.log, POPULATION) == []
