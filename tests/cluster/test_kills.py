"""kill -9 and SIGSTOP at random: exactly what was ordered, once."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from tests.cluster.platform import (
    SESSION_SECONDS,
    Platform,
    check,
    platform,
    repeats,
    strike,
    told_by,
)

SAMPLES = 300
KILLS = 30
FREEZES = 6


async def test_thirty_kills_leave_exactly_the_samples_that_were_ordered(tmp_path: Path) -> None:
    async with platform(tmp_path, replicas=2, seconds_per_call=0.05) as now:
        await now.order("d", SAMPLES)
        in_flight = await strike(now, random.Random(3), KILLS, signal.SIGKILL)
        await now.filled("d", SAMPLES, seconds=500)
        story, rows = told_by(await now.history(), "d"), now.rows("d")
        kills = now.told.count("ended with signal 9")
    repeated = repeats(now.model)
    print(
        f"\n{kills} kills: {len(rows)} rows, {sum(map(len, story.steps.values()))} steps of "
        f"{len(story.steps)} groups, {story.void} void records, {len(story.letters)} dead letters; "
        f"{now.model.calls} calls, {repeated} repeated, {in_flight} in flight when a process died"
    )
    assert kills >= KILLS
    check(story, rows, SAMPLES)
    assert story.letters == []
    # No call was asked again whose answer was in the journal: all that were had been in flight.
    assert story.journalled_twice == []


@pytest.mark.long
async def test_an_owner_that_was_frozen_and_wakes_corrupts_nothing(tmp_path: Path) -> None:
    async with platform(tmp_path, replicas=2, seconds_per_call=0.05) as now:
        await now.order("d", SAMPLES // 3)
        in_flight = await freeze(now, random.Random(5), FREEZES)
        await now.filled("d", SAMPLES // 3, seconds=300)
        story, rows = told_by(await now.history(), "d"), now.rows("d")
    print(f"\n{FREEZES} freezes: {len(rows)} rows, {story.void} void records")
    check(story, rows, SAMPLES // 3)
    assert story.letters == []
    # The frozen owner and the new one may both write down what both had asked.
    assert len(story.journalled_twice) <= in_flight


async def freeze(now: Platform, rng: random.Random, times: int) -> int:
    """Stop services for longer than their session, one by one; return the calls in flight then."""
    in_flight = 0
    for _ in range(times):
        await asyncio.sleep(rng.uniform(1, 3))
        pid = rng.choice(sorted(now.services()))
        in_flight += now.model.in_flight
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(SESSION_SECONDS * 2)
        finally:
            os.kill(pid, signal.SIGCONT)
    return in_flight
