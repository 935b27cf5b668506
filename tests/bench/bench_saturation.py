"""`matrix run` against a model server, beside a client that does nothing but call."""

import asyncio
import contextlib
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.bare_client import bare_pace, plain_bodies
from tests.bench.harness import Row, at_least, at_most
from tests.bench.processes import cpu_seconds, peak_memory_mb
from tests.bench.servers import simulated_model

SLOTS = 256
STEADY = ("--slots", str(SLOTS), "--seconds-per-call", "0.25")
LIMIT = ("--slots", str(SLOTS), "--seconds-per-call", "2", "--spread", "0.7")
AGENTS = 1000
WARM_SECONDS = 30.0
"""Until agents are born, scenarios are found, and candidates are in work."""
STEADY_SECONDS = 20.0
LIMIT_CALLS = 4000
_FINISHED = re.compile(rb"^vllm:request_success_total\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Steady:
    """What a run did in its steady state."""

    rate: float
    """Completions per second, those of one call (`n`) counted one by one, as slots are."""
    cpu_per_thousand: float
    """CPU seconds per 1,000 of them."""
    memory_mb: float


async def finished(session: aiohttp.ClientSession, url: str) -> float:
    """Return how many completions a server has made so far."""
    async with session.get(f"{url}/metrics") as response:
        return sum(map(float, _FINISHED.findall(await response.read())))


@asynccontextmanager
async def matrix_run(
    url: str, embedding: str, agents: int, settings: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Run `matrix run` on an order without end, with more variables; gives its process id."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "services.cli", "run", "--model", url]
        command += ["--embedding", embedding, "--agents", str(agents), "--samples", "1000000"]
        log = Path(scratch) / "log"
        with log.open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                *command,
                *("--out", f"{scratch}/run"),
                stdout=told,
                stderr=told,
                env={**os.environ, **(settings or {})},
            )
        try:
            yield process.pid
            if process.returncode is not None:
                raise RuntimeError(f"`matrix run` ended: {log.read_text()[-500:]}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def measure(runs: int) -> list[Row]:
    """Measure saturation, CPU, memory, and the time to the first call."""
    steady, bare = [], []
    for _ in range(runs):
        async with simulated_model(*STEADY) as (url, _):
            bare.append(await bare_pace(url, plain_bodies("simulated"), 10_000, SLOTS + 24))
        steady.append(await steady_state())
    limited, limited_bare = [], []
    for _ in range(runs):
        limited_bare.append(await _limited_bare())
        limited.append(await _limited())
    shares = tuple(100 * s.rate / b.rate for s, b in zip(steady, bare, strict=True))
    longer = tuple(100 * (p / b - 1) for p, b in zip(limited, limited_bare, strict=True))
    return [
        Row(
            f"saturation in steady state: {SLOTS} slots of 0.25 s, one process",
            "% of the bare client's",
            shares,
            "at least 90 %",
            at_least(90),
            "bare asyncio client, calls/s",
            tuple(pace.rate for pace in bare),
            f"matrix run: {_median([s.rate for s in steady]):.0f} completions/s of "
            f"{SLOTS / 0.25:.0f} that the server can",
        ),
        Row(
            "CPU seconds per 1,000 completions, the same runs",
            "s",
            tuple(s.cpu_per_thousand for s in steady),
            "at most 0.8",
            at_most(0.8),
            "bare asyncio client, s",
            tuple(pace.cpu_per_thousand for pace in bare),
        ),
        Row(
            f"peak memory, {AGENTS:,} agents, one process",
            "MB",
            tuple(s.memory_mb for s in steady),
            "at most 250",
            at_most(250),
        ),
        Row(
            f"a server that is the limit ({SLOTS} slots of 2 s, lognormal, sigma 0.7): "
            f"time for {LIMIT_CALLS:,} completions",
            "% longer",
            longer,
            "at most 5",
            at_most(5),
            "bare asyncio client, s",
            tuple(limited_bare),
        ),
        Row(
            "start of `matrix run --model simulated` to the first answer",
            "s",
            tuple([await _first_answer() for _ in range(runs)]),
            "at most 3",
            at_most(3),
        ),
    ]


async def steady_state(settings: Mapping[str, str] | None = None) -> Steady:
    """Measure a run in its steady state; `settings` are more variables of its environment."""
    async with (
        simulated_model(*STEADY) as (url, _),
        simulated_model("--slots", "4096") as (embedding, _),
        matrix_run(url, embedding, AGENTS, settings) as pid,
        aiohttp.ClientSession() as session,
    ):
        await _begun(session, url)
        await asyncio.sleep(WARM_SECONDS)
        cpu, done, begun = cpu_seconds(pid), await finished(session, url), time.monotonic()
        await asyncio.sleep(STEADY_SECONDS)
        made, seconds = await finished(session, url) - done, time.monotonic() - begun
        used = cpu_seconds(pid) - cpu
        return Steady(made / seconds, 1000 * used / max(1.0, made), peak_memory_mb(pid))


async def _limited() -> float:
    async with (
        simulated_model(*LIMIT) as (url, _),
        simulated_model("--slots", "4096") as (embedding, _),
        matrix_run(url, embedding, AGENTS),
        aiohttp.ClientSession() as session,
    ):
        return await _seconds_for(session, url, LIMIT_CALLS)


async def _limited_bare() -> float:
    async with simulated_model(*LIMIT) as (url, _), aiohttp.ClientSession() as session:
        # More calls than are waited for: a client that runs out of them has an idle server at its
        # end, which one that goes on does not have.
        endless = asyncio.create_task(
            bare_pace(url, plain_bodies("simulated"), 100 * LIMIT_CALLS, SLOTS + 24)
        )
        try:
            return await _seconds_for(session, url, LIMIT_CALLS)
        finally:
            endless.cancel()
            await asyncio.gather(endless, return_exceptions=True)


async def _seconds_for(session: aiohttp.ClientSession, url: str, completions: int) -> float:
    """Return the time from the first call to the end of so many completions, the tail left out."""
    # Not from the first completion: that one took as long as any other.
    begun = await _begun(session, url)
    while await finished(session, url) < completions:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


async def _begun(session: aiohttp.ClientSession, url: str) -> float:
    """Wait until a server is asked; return when that was."""
    while True:
        async with session.get(f"{url}/load") as response:
            if (await response.json())["server_load"]:
                return time.monotonic()
        await asyncio.sleep(0.01)


async def _first_answer() -> float:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "services.cli", "run", "--model", "simulated"]
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command,
            "--out",
            f"{scratch}/run",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            while not _answered(Path(scratch) / "run" / "log.db"):
                if process.returncode is not None:
                    raise RuntimeError(f"`matrix run` ended with {process.returncode}")
                await asyncio.sleep(0.005)
            return time.monotonic() - begun
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _answered(log: Path) -> bool:
    """Whether the log of a run has a model's answer."""
    if not os.path.exists(log):
        return False
    with contextlib.closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as opened:
        try:
            row = opened.execute(
                "SELECT sum(next) FROM ends WHERE topic LIKE 'matrix.model-answers%'"
            ).fetchone()
        except sqlite3.OperationalError:
            return False  # It is being made.
    return bool(row[0])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
