"""What metrics and traces cost a run in its steady state."""

import asyncio
import sys

import orjson

from tests.bench.bench_saturation import STEADY
from tests.bench.collecting import collecting
from tests.bench.harness import Row, at_least, at_most
from tests.bench.observed_run import RATIO, TURN_SECONDS
from tests.bench.servers import simulated_model

TURNS = 12
"""Each of observed and unobserved."""


async def measure(runs: int) -> list[Row]:
    """Measure both by turns in one process, in each run."""
    shares: dict[str, list[float]] = {"cpu": [], "rate": []}
    bases: dict[str, list[float]] = {"cpu": [], "rate": []}
    spans = 0
    for _ in range(runs):
        async with (
            simulated_model(*STEADY) as (url, _),
            simulated_model("--slots", "4096") as (embedding, _),
            collecting() as (endpoint, taken),
        ):
            found = await _observed(url, embedding, endpoint)
        spans += sum(taken)
        for what, over, scale in (("cpu", "calls", 1000.0), ("rate", "seconds", 1.0)):
            of = "cpu" if what == "cpu" else "calls"
            on, off = (
                scale * sum(t[of] for t in found[how]) / sum(t[over] for t in found[how])
                for how in ("on", "off")
            )
            shares[what].append(100 * on / off)
            bases[what].append(off)
    if not spans:
        raise RuntimeError("the collector got no span: nothing was measured")
    note = (
        f"{RATIO:.0%} of the steps traced ({spans / runs:,.0f} spans a run), histograms observed, "
        f"a scrape every {2 * TURN_SECONDS:g} s; on and off by turns of {TURN_SECONDS:g} s"
    )
    return [
        Row(
            "CPU seconds per 1,000 calls with metrics and traces",
            "% of those without",
            tuple(shares["cpu"]),
            "at most 105 %",
            at_most(105),
            "without, s",
            tuple(bases["cpu"]),
            note,
        ),
        Row(
            "calls/s, the same runs",
            "% of those without",
            tuple(shares["rate"]),
            "at least 95 %",
            at_least(95),
            "without, calls/s",
            tuple(bases["rate"]),
        ),
    ]


async def _observed(url: str, embedding: str, endpoint: str) -> dict[str, list[dict[str, float]]]:
    module = "tests.bench.observed_run"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, url, embedding, endpoint, str(TURNS)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    found: dict[str, list[dict[str, float]]] = orjson.loads(told.splitlines()[-1])
    return found
