"""People join a platform at work whose services are killed meanwhile: everybody comes in once."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from services.events import AgentsActed, codec
from services.events.topics import AGENTS_ACTED
from tests.cluster.platform import Platform, check, platform, told_by
from tests.e2e.conftest import command, write_society

pytestmark = pytest.mark.long

BEFORE, AFTER = 40, 160
SAMPLES = 60
ROUNDS = 4


async def matrix(now: Platform, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command that talks to the platform: how it ended, what it wrote and what it told."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments, "--server", now.directory / "endpoints.json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), told.decode()


async def kill_people(now: Platform, rng: random.Random) -> None:
    """Kill a replica of the agents' service about when the import is at work."""
    await asyncio.sleep(rng.uniform(1.0, 4.0))
    replicas = [pid for pid, name in now.services().items() if name == "agent_state"]
    if replicas:
        os.kill(rng.choice(replicas), signal.SIGKILL)


async def test_whoever_joins_while_services_are_killed_comes_in_once_and_acts(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)
    async with platform(tmp_path, replicas=2, agents=BEFORE, seconds_per_call=0.05) as now:
        await now.order("d", SAMPLES)
        codes = []
        for number in range(ROUNDS):
            count = BEFORE + (AFTER - BEFORE) * (number + 1) // ROUNDS
            more = write_society(tmp_path / f"more-{number}.jsonl", count)
            (code, *_), _ = await asyncio.gather(
                matrix(now, "agents", "import", more, "--join"), kill_people(now, rng)
            )
            codes.append(code)
        async with asyncio.timeout(120):
            while True:
                code, _, told = await matrix(now, "agents", "import", more, "--join")
                codes.append(code)
                if code == 0:
                    break
        await now.filled("d", SAMPLES, seconds=300)
        people = await listed(now, "list", AFTER)
        groups = await listed(now, "groups", AFTER)
        messages = await now.history()
        story, rows = told_by(messages, "d"), now.rows("d")
        kills = now.told.count("ended with signal 9")
    acted = [
        event
        for message in messages
        if message.topic == AGENTS_ACTED.name
        and isinstance(event := codec.from_delivery(message), AgentsActed)
    ]
    active = {action.agent_id for event in acted for action in event.actions}
    print(f"\n{kills} kills; joins ended with {codes}; {told.strip().splitlines()[-1]}")
    assert kills > 0
    assert len({each["agent_id"] for each in people}) == len(people) == AFTER
    sizes = Counter(each["group_id"] for each in people)
    assert sizes == {each["group_id"]: each["agents"] for each in groups}
    assert max(sizes.values()) <= 10
    assert len(active) > BEFORE
    check(story, rows, SAMPLES)
    assert story.letters == []


async def listed(now: Platform, what: str, most: int) -> list[dict[str, object]]:
    """Return all people or groups."""
    code, out, told = await matrix(now, "agents", what, "--limit", str(most * 2), "--json")
    assert code == 0, told
    return [json.loads(line) for line in out.splitlines()]
