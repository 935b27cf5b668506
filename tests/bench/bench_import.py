"""An import of many people: processor time, memory, and whether both are linear.

Profiles are copies of the built-in ones with ids and names of their own; they are read from a file,
embedded by an instrument that answers at once, grouped, written to the log, and taken in by
agent_state and message_modulation.
"""

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import orjson

from services.agent_state.profile_files import read_profiles
from services.local.society import import_society
from tests.bench.harness import Row, at_most
from tests.bench.instant import InstantModel
from tests.bench.populations import builtin_profiles
from tests.bench.societies import composed, live, opened

FEW, MANY = 10_000, 100_000

Found = dict[str, float]


async def measure(runs: int) -> list[Row]:
    """Return the rows."""
    few, many = ([_of(people) for _ in range(runs)] for people in (FEW, MANY))
    per_few = tuple(1000 * each["cpu"] / FEW for each in few)
    stages = ", ".join(
        f"{name} {median(each[name] for each in many):.0f}" for name in ("read", "made", "taken_in")
    )
    return [
        Row(
            f"import of {MANY:,} agents, without embedding them",
            "CPU ms/agent",
            tuple(1000 * each["cpu"] / MANY for each in many),
            "linear: within 25 % of that of 10,000",
            at_most(1.25 * median(per_few)),
            f"import of {FEW:,}",
            per_few,
            f"CPU seconds: {stages} (grouping is part of made)",
        ),
        Row(
            f"peak memory of an import of {MANY:,} agents",
            "GiB",
            tuple(each["peak"] / 2**30 for each in many),
            "at most 2 GiB",
            at_most(2.0),
            f"import of {FEW:,}",
            tuple(each["peak"] / 2**30 for each in few),
        ),
    ]


def _of(people: int) -> Found:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.bench.bench_import", directory, str(people)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


async def _alone(directory: Path, people: int) -> Found:
    """Import so many people, and let the services take them in; nobody is wanted yet."""
    file = directory / "people.jsonl"
    _write(file, people)
    marks = [time.process_time()]
    profiles = read_profiles(file)
    marks.append(time.process_time())
    log = opened(directory / "import.db")
    try:
        composition = composed(log, InstantModel())
        made = await import_society(composition, profiles, "bench", seed=0)
        marks.append(time.process_time())
        assert made.society.agents == people
        del made, profiles
        await live(composition, [], until_idle=True)
        marks.append(time.process_time())
        assert composition.metrics.society.agents == people
    finally:
        await log.close()
    read, made_cpu, taken_in = (last - first for first, last in pairwise(marks))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "cpu": marks[-1] - marks[0],
        "read": read,
        "made": made_cpu,
        "taken_in": taken_in,
        "peak": peak,
    }


def _write(file: Path, people: int) -> None:
    known = builtin_profiles()
    with file.open("wb") as lines:
        for number in range(people):
            profile = known[number % len(known)]
            fields = {
                "id": f"person-{number}",
                "name": f"{profile.name} {number}",
                "headline": profile.headline,
                "description": f"{profile.description} Lives at number {number}.",
                "actions": profile.actions,
                "synthetic": True,
            }
            lines.write(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_alone(Path(sys.argv[1]), int(sys.argv[2])))))
