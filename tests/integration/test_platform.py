"""Runs in one process that break off and go on: what they tell, add, and leave behind."""

import asyncio
import re
import shutil
from pathlib import Path

from services.events.topics import SAMPLES_JUDGED, TOPICS
from services.local.endpoints import ModelChoice
from services.local.log import Log
from services.local.platform import Outcome, Platform, mark_shown
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.tables import Table

FOUND = r"; 12 agents, [1-9]\d* steps, [1-9]\d* scenarios"


class Run:
    """One start of the command."""

    def __init__(self, out: Path, samples: int, name: str = "") -> None:
        settings = RunSettings(out, ModelChoice("simulated"), 12, samples, name=name)
        self.progress = Progress()
        self.told: list[str] = []
        self._platform = Platform(settings, self.progress, self.told.append)

    async def end(self) -> Outcome:
        return await self._platform.run()

    async def break_off(self, accepted: int) -> None:
        """Run until so many samples are accepted."""
        work = asyncio.create_task(self._platform.run())
        async with asyncio.timeout(60):
            while self.progress.accepted < accepted and not work.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])
        assert work.cancelled()


def rows(out: Path, dataset: str = "sft") -> int:
    return Table(str(out / "datasets" / dataset), SAMPLE_SCHEMA).count()


async def test_a_run_that_goes_on_tells_what_it_found_and_which_order_it_completes(
    tmp_path: Path,
) -> None:
    first = Run(tmp_path, 40)
    await first.break_off(accepted=3)
    assert first.told == []

    second = Run(tmp_path, 7)
    outcome = await second.end()
    assert (outcome.size, outcome.complete, rows(tmp_path)) == (40, True, 40)
    found, note = second.told
    made = re.fullmatch(rf"going on: (\d+) of 40 samples{FOUND}", found)
    assert made is not None, found
    assert 3 <= int(made[1]) < 40
    assert "completes the order of 40 samples; --samples 7 counts for the next one" in note

    mark_shown(tmp_path, "sft")
    third, other = Run(tmp_path, 7), Run(tmp_path, 2, name="more")
    assert (await third.end()).size == rows(tmp_path) == 47
    assert re.fullmatch(rf"going on: 7 samples on top of 40{FOUND}", " ".join(third.told))
    assert (await other.end()).size == rows(tmp_path, "more") == 2
    assert re.fullmatch(rf"going on: a new dataset of 2 samples{FOUND}", " ".join(other.told))


async def test_what_a_run_added_is_what_it_wrote_whoever_had_accepted_it(tmp_path: Path) -> None:
    first = await Run(tmp_path, 4).end()
    assert (first.added, first.accepted) == (4, 4)
    assert (await Run(tmp_path, 4).end()).added == 0  # not shown yet: nothing more was ordered

    # As after a crash between the verdicts and their rows.
    shutil.rmtree(tmp_path / "datasets")
    log = Log(tmp_path / "log.db", {topic.name for topic in TOPICS if topic.compacted})
    start = {(SAMPLES_JUDGED.name, part): 0 for part in range(log.partitions)}
    await log.commit("dataset-writer", start)
    await log.close()
    again = await Run(tmp_path, 4).end()
    assert (again.added, again.accepted, rows(tmp_path)) == (4, 4, 4)
