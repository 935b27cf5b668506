"""What a population costs: memory of agents at rest, their restoring, and a step among many.

A society of 250 people lives for 20 steps through the real code of agent_state, message_modulation
and scenario_extraction, with a model that answers at once; larger ones are copies of its groups.
"""

import asyncio
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from services.runtime.collector import calm_collector
from tests.bench.harness import Row, at_most
from tests.bench.instant import InstantModel
from tests.bench.societies import (
    REGIONS,
    appetites,
    composed,
    limit,
    live,
    opened,
    template,
    write_society,
)

FEW, SOME, MANY = 1_000, 10_000, 100_000
ACTIVE, MANY_ACTIVE = 500, 2_500
"""Agents that are active in the step's cost; so many that not all groups' states are unpacked."""
MEASURED = 5_000
"""Steps of agents that are measured, about; those before, when groups wake, are not."""

Found = dict[str, float]
Case = tuple[int, int]
"""Agents, and those of them who are active."""


async def measure(runs: int) -> list[Row]:
    """Return the rows."""
    cases = [(FEW, ACTIVE), (SOME, ACTIVE), (MANY, ACTIVE), (MANY, MANY_ACTIVE)]
    found: dict[Case, list[Found]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as directory:
        groups = await template(Path(directory))
        paths = {agents: Path(directory) / f"{agents}.db" for agents in (FEW, SOME, MANY)}
        for agents, path in paths.items():
            log = opened(path)
            await write_society(log, groups, agents)
            await log.close()
        # In turns: a machine's pace changes within minutes.
        for _ in range(runs):
            for agents, active in cases:
                found[agents, active].append(on_a_copy(paths[agents], active))
    return [*_memory(found), _restoring(found[MANY, ACTIVE]), *_steps(found)]


def _memory(found: dict[Case, list[Found]]) -> list[Row]:
    some, many = found[SOME, ACTIVE], found[MANY, ACTIVE]
    small, large = (
        tuple(each["bytes"] / agents / 1024 for each in results)
        for agents, results in ((SOME, some), (MANY, many))
    )
    growth = tuple(
        (big["bytes"] - little["bytes"]) / (MANY - SOME) / 1024
        for little, big in zip(some, many, strict=True)
    )
    note = "private memory (PSS) that restoring adds to a run: agents, modulators, windows, indexes"
    goal = "at most 10 KB"
    return [
        Row(f"memory per resting agent of {SOME:,}", "KB", small, goal, at_most(10.0), note=note),
        Row(f"memory per resting agent of {MANY:,}", "KB", large, goal, at_most(10.0), note=note),
        Row(
            f"memory per further agent from {SOME:,} to {MANY:,}",
            "KB",
            growth,
            "linear: at most 5 % above the first ones'",
            at_most(1.05 * median(small)),
            f"per agent of {SOME:,}",
            small,
        ),
    ]


def _restoring(results: list[Found]) -> Row:
    return Row(
        f"restoring {MANY:,} agents from the log of a run",
        "CPU s",
        tuple(each["restore_cpu"] for each in results),
        note="wall "
        + ", ".join(f"{each['restore_wall']:.1f}" for each in results)
        + f" s; peak of the process {max(each['peak'] for each in results) / 2**20:.0f} MiB",
    )


def _steps(found: dict[Case, list[Found]]) -> list[Row]:
    milliseconds = {
        case: tuple(1000 * each["cpu_per_step"] for each in results)
        for case, results in found.items()
    }
    few = milliseconds[FEW, ACTIVE]
    rows = []
    for (agents, active), values in milliseconds.items():
        name = f"an agent's step among {agents:,} agents, {active:,} of them active"
        calls = median(each["calls"] for each in found[agents, active])
        note = f"{calls:.1f} model calls a step"
        if agents == FEW:
            rows.append(Row(name, "CPU ms", values, note=note))
        else:
            goal, met = f"within 10 % of that among {FEW:,}", at_most(1.1 * median(few))
            rows.append(Row(name, "CPU ms", values, goal, met, f"among {FEW:,}", few, note))
    return rows


def on_a_copy(path: Path, active: int) -> Found:
    """Return what a process of its own finds with the society of a log, which stays as it is."""
    copy = path.with_name("run.db")
    shutil.copyfile(path, copy)
    with copy.open("rb+") as written:
        os.fsync(written.fileno())  # The machine is not to do it while a step is measured.
    try:
        command = [sys.executable, "-m", "tests.bench.bench_population", str(copy), str(active)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found: Found = json.loads(done.stdout.splitlines()[-1])
        return found
    finally:
        for left in path.parent.glob("run.db*"):
            left.unlink()


async def _alone(path: Path, active: int) -> Found:
    """Restore the society of a log, let it rest, then let a part of it act."""
    calm_collector()
    log, model = opened(path), InstantModel()
    marks: list[tuple[float, int, int]] = []
    try:
        composition = composed(log, model)
        before = private_bytes()
        wall, cpu = time.monotonic(), time.process_time()
        await composition.restore()
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        resting = private_bytes() - before
        metrics = composition.metrics.society

        async def mark() -> None:
            marks.append((time.process_time(), metrics.actions.total(), model.calls))

        await log.publish([limit(active), *appetites(REGIONS, True)])
        groups, measured = (
            number * metrics.groups // metrics.agents for number in (active, MEASURED)
        )
        await live(composition, [(groups, mark), (groups + measured, mark)])
    finally:
        await log.close()
    first, last = marks
    steps = last[1] - first[1]
    return {
        "bytes": resting,
        "restore_cpu": cpu,
        "restore_wall": wall,
        "peak": peak,
        "cpu_per_step": (last[0] - first[0]) / steps,
        "calls": (last[2] - first[2]) / steps,
    }


def private_bytes() -> int:
    """Return the anonymous memory of this process (its share of what is shared), after gc."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_alone(Path(sys.argv[1]), int(sys.argv[2])))))
