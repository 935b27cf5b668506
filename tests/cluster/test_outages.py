"""What the services stand on goes away for a while: the order is filled all the same, once."""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.events import topics as t
from services.local.simulator import Simulator, SimulatorSettings
from services.local.simulator.faults import Fault, Faults
from services.runtime.fencing import Fence
from services.runtime.ports import Delivery
from tests.cluster.cut import platform_behind_proxy
from tests.cluster.platform import Platform, check, children, platform, told_by

pytestmark = pytest.mark.long

SAMPLES = 100
UNDERWAY = 10
OUTAGE_SECONDS = 20
ANSWERS = {
    topic.name
    for topic in (
        t.AGENT_STATE_ANSWERS,
        t.MESSAGE_MODULATION_ANSWERS,
        t.SCENARIO_EXTRACTION_ANSWERS,
        t.INSTRUCTION_GENERATION_ANSWERS,
        t.REWARD_FILTERING_ANSWERS,
    )
}
FAULTS: dict[str, Any] = {"error_500": 0.2, "garbage": 0.05}


async def test_a_store_that_does_not_answer_for_twenty_seconds_costs_nothing(
    tmp_path: Path,
) -> None:
    async with (
        platform(tmp_path, replicas=1, seconds_per_call=0.05) as now,
        ordered(now, "store frozen"),
    ):
        (pid,) = children(now.process.pid, "mini")
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(OUTAGE_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_store_that_is_killed_and_started_again_costs_nothing(tmp_path: Path) -> None:
    async with platform(tmp_path, replicas=1, seconds_per_call=0.05) as now:
        async with ordered(now, "store killed"):
            await kill(now, "mini")
        assert now.told.count("seaweedfs ended with signal 9") == 1


async def test_a_broker_that_is_killed_and_started_again_costs_nothing(tmp_path: Path) -> None:
    async with platform(tmp_path, replicas=1, seconds_per_call=0.05) as now:
        async with ordered(now, "broker killed"):
            await kill(now, "broker")
        assert now.told.count("tansu ended with signal 9") == 1


async def test_a_broker_that_is_out_of_reach_for_twenty_seconds_costs_nothing(
    tmp_path: Path,
) -> None:
    async with platform_behind_proxy(tmp_path, replicas=1, seconds_per_call=0.05) as (now, proxy):
        async with ordered(now, "broker cut off"):
            proxy.cut()
            try:
                await asyncio.sleep(OUTAGE_SECONDS)
            finally:
                await proxy.mend()
        # Each of the five services has a connection at least, to publish.
        assert proxy.severed >= 5


async def test_a_model_that_answers_errors_and_garbage_is_asked_again_for_each_of_them(
    tmp_path: Path,
) -> None:
    async with platform(tmp_path, replicas=1, seconds_per_call=0.05, **FAULTS) as now:
        async with ordered(now, "faulty model"):
            pass
        # The platform comes to rest: what was in flight when the dataset was full is kept, too.
        async with asyncio.timeout(60):
            while True:
                drawn, lost, chats = faults_of(now.model, SimulatorSettings(seed=1, **FAULTS))
                kept = kept_answers(await now.history()).total()
                if chats == kept:
                    break
                await asyncio.sleep(0.5)
    print(f"{dict(drawn)}: {lost} never asked again, {chats} chats answered well, {kept} kept")
    assert drawn[Fault.ERROR_500] > 0
    assert drawn[Fault.GARBAGE] > 0
    assert lost == 0


@asynccontextmanager
async def ordered(now: Platform, outage: str) -> AsyncIterator[None]:
    """Order samples; the body is what happens in mid-run. Then all is checked."""
    await now.order("d", SAMPLES)
    async with asyncio.timeout(90):
        while (before := await now.accepted("d")) < UNDERWAY:  # noqa: ASYNC110 - over gRPC
            await asyncio.sleep(0.2)
    assert before < SAMPLES
    loop = asyncio.get_running_loop()
    began = loop.time()
    yield
    ended = loop.time()
    await now.filled("d", SAMPLES, seconds=100)
    messages = await now.history()
    story, rows = told_by(messages, "d"), now.rows("d")
    print(
        f"\n{outage}: {before} before, {ended - began:.0f} s of outage, filled "
        f"{loop.time() - ended:.0f} s later; {len(rows)} rows, {story.void} void records, "
        f"{len(story.letters)} dead letters, {restarts(now)} restarts"
    )
    check(story, rows, SAMPLES)
    assert story.letters == []
    assert dead_letters_logged(now) == 0
    # No service paid twice for an answer that it had kept.
    answers = kept_answers(messages)
    assert answers
    assert set(answers.values()) == {1}


def kept_answers(messages: Sequence[Delivery]) -> Counter[tuple[str, str]]:
    """Return how often an answer was kept for each call of a model."""
    return Counter(
        (message.topic, message.key)
        for message in Fence().filtered(messages)
        if message.topic in ANSWERS and message.value
    )


async def kill(now: Platform, word: str) -> None:
    """Kill a server, and wait until the supervisor has another one run."""
    (pid,) = children(now.process.pid, word)
    os.kill(pid, signal.SIGKILL)
    await now.until(lambda: bool(children(now.process.pid, word).keys() - {pid}), word, 60)


def dead_letters_logged(now: Platform) -> int:
    """Return how many messages the services say that they gave up."""
    return sum(
        len(re.findall(r"\] dead letter\s", log.read_text()))
        for log in (now.directory / "logs").glob("*_*.log")
    )


def restarts(now: Platform) -> Counter[str]:
    """Return how often each process ended of itself."""
    return Counter(re.findall(r"(\S+) ended with", now.told))


def faults_of(model: Simulator, settings: SimulatorSettings) -> tuple[Counter[Fault], int, int]:
    """Return the faults shown, the garbage nobody asked again for, and the chats answered well.

    The record holds what was answered, garbage too, in the order in which faults are drawn.
    """
    faults, drawn = Faults(settings), Counter[Fault]()
    spoilt, well = [], Counter[tuple[str, tuple[str, ...]]]()
    for call in model.log:
        while (fault := faults.next()) is Fault.ERROR_500:
            drawn[fault] += 1
        key = (call.path, call.prompts)
        if fault is None:
            well[key] += 1
        else:
            drawn[fault] += 1
            spoilt.append(key)
    lost = sum(well[key] == 0 for key in set(spoilt))
    return drawn, lost, sum(count for (path, _), count in well.items() if "chat" in path)
