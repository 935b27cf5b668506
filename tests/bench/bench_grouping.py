"""Grouping of a population: how long it takes, and how alike those are who live together.

People are the built-in profiles' embeddings (all-MiniLM-L6-v2, 384 dimensions), or more people who
are spread like these. A million take minutes: set MATRIX_BENCH_FULL=1.
"""

import os
import resource
import time
from dataclasses import dataclass

from services.agent_state.grouping import Vectors, count_groups, group_agents
from tests.bench.harness import Row, at_least, at_most
from tests.bench.populations import builtin_embeddings, cohesion, grown
from tests.bench.yardstick import PACKAGE, NotHere, grouped, install

MEAN, LEAST, MOST = 5, 1, 10
"""Sizes of groups, as the platform imports."""
WITHIN = 0.95
"""Of the library's similarity; ours may be any amount better."""


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    cpu_seconds: float
    cohesion: float
    sizes: tuple[int, int]


async def measure(runs: int) -> list[Row]:
    """Return the rows of all sizes."""
    texts = await builtin_embeddings()
    try:
        install()
        missing = ""
    except NotHere as error:
        missing = str(error)
    rows = []
    for people in (1_000, 5_000):
        rows += _beside_the_library(texts, people, runs, missing)
    rows.append(_alone(texts, 100_000, runs, 60.0))
    if os.environ.get("MATRIX_BENCH_FULL") == "1":
        rows.append(_alone(texts, 1_000_000, 1, 900.0))
    return rows


def _beside_the_library(texts: Vectors, people: int, runs: int, missing: str) -> list[Row]:
    points = texts if people == len(texts) else grown(texts, people)
    ours = [_grouped(points, seed) for seed in range(runs)]
    note, theirs = missing, []
    try:
        # Minutes at 5,000: once is enough to compare with.
        for seed in range(0 if missing else runs if people <= 1_000 else 1):
            theirs.append(
                grouped(points, count_groups(people, MEAN, LEAST, MOST), LEAST, MOST, seed)
            )
    except NotHere as error:
        note = str(error)
    alike = tuple(cohesion(points, each.parts) for each in theirs)
    bound = WITHIN * sorted(alike)[len(alike) // 2] if alike else 0.0
    return [
        Row(
            f"grouping of {people:,} agents: similarity to the group's centre",
            "mean cosine",
            tuple(each.cohesion for each in ours),
            "within 5 % of k-means-constrained" if alike else "",
            at_least(bound) if alike else None,
            PACKAGE if alike else "",
            alike,
            note or _sizes(ours),
        ),
        Row(
            f"grouping of {people:,} agents",
            "s",
            tuple(each.seconds for each in ours),
            baseline=PACKAGE if theirs else "",
            baseline_values=tuple(each.seconds for each in theirs),
            note=f"{_processor(ours)}; the library: "
            + ", ".join(f"{each.cpu_seconds:.1f}" for each in theirs)
            if theirs
            else _processor(ours),
        ),
    ]


def _alone(texts: Vectors, people: int, runs: int, seconds: float) -> Row:
    points = grown(texts, people)
    ours = [_grouped(points, seed) for seed in range(runs)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    alike = ", ".join(f"{each.cohesion:.3f}" for each in ours)
    return Row(
        f"grouping of {people:,} agents",
        "s",
        tuple(each.seconds for each in ours),
        f"at most {seconds:g} s on 2 cores",
        at_most(seconds),
        note=f"{_processor(ours)}; similarity {alike}; {_sizes(ours)}; peak {peak:.1f} GiB",
    )


def _grouped(points: Vectors, seed: int) -> _Run:
    wall, cpu = time.monotonic(), time.process_time()
    plan = group_agents(points, seed, MEAN, LEAST, MOST)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    sizes = [len(members) for members in plan.members]
    return _Run(wall, cpu, cohesion(points, plan.members), (min(sizes), max(sizes)))


def _sizes(runs: list[_Run]) -> str:
    least, most = min(run.sizes[0] for run in runs), max(run.sizes[1] for run in runs)
    return f"groups of {least} to {most}, bounds {LEAST} to {MOST}"


def _processor(runs: list[_Run]) -> str:
    return "CPU seconds " + ", ".join(f"{run.cpu_seconds:.1f}" for run in runs)
