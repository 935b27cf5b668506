"""`matrix up` against a model server, and where the time of the processors goes."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from services.local.servers.tansu import Tansu
from services.local.up.programs import OWN_BROKER
from tests.bench.bare_client import Pace, bare_pace, plain_bodies
from tests.bench.bench_saturation import AGENTS, SLOTS, STEADY, finished
from tests.bench.harness import Row, at_least
from tests.bench.processes import cpu_seconds, descendants
from tests.bench.servers import simulated_model

WARM_SECONDS = 60.0
STEADY_SECONDS = 30.0
_START_SECONDS = 240.0
_NAMES = {"tansu": "broker", "weed": "object store"}
"""Words of a command line, and what the process is; services go by their own names."""


@dataclass(frozen=True, slots=True)
class Steady:
    """What a platform did in its steady state."""

    rate: float
    """Completions per second."""
    cpu: dict[str, float]
    """CPU seconds per 1,000 completions, by process."""


async def measure(runs: int) -> list[Row]:
    """Measure the platform as processes, beside the bare client."""
    bare: list[Pace] = []
    own: list[Steady] = []
    plain: list[Steady] = []
    for _ in range(runs):
        async with simulated_model(*STEADY) as (url, _):
            bare.append(await bare_pace(url, plain_bodies("simulated"), 10_000, SLOTS + 24))
        async with _broker_in_memory() as kafka:
            plain.append(await _steady(kafka))
        own.append(await _steady(""))
    return [
        _row("a broker that stores nothing as objects (Tansu in memory)", plain, bare),
        _row("its own broker, which stores each batch as an object in S3", own, bare),
    ]


def _row(broker: str, steady: list[Steady], bare: list[Pace]) -> Row:
    middle = sorted(steady, key=lambda each: each.rate)[len(steady) // 2]
    dearest = sorted(middle.cpu.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in dearest)
    return Row(
        f"`matrix up` (five services, store) against {SLOTS} slots of 0.25 s, {broker}",
        "% of the bare client's",
        tuple(100 * s.rate / b.rate for s, b in zip(steady, bare, strict=True)),
        "at least 60 %",
        at_least(60),
        "bare asyncio client, calls/s",
        tuple(pace.rate for pace in bare),
        f"{middle.rate:.0f} completions/s; CPU seconds per 1,000: {parts}",
    )


@asynccontextmanager
async def _broker_in_memory() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        broker = Tansu(Path(folder))
        await broker.start()
        try:
            yield broker.bootstrap_servers
        finally:
            await broker.stop()


@asynccontextmanager
async def _platform(url: str, embedding: str, kafka: str) -> AsyncIterator[int]:
    """Run `matrix up` with an order without end; gives its process id."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        command = ["up", "--dir", f"{scratch}/up", "--model", url, "--agents", str(AGENTS)]
        environment = os.environ | {"MATRIX_MODELS__EMBEDDING__URL": embedding}
        if kafka:
            # What `matrix up` knows of its own broker, which is of the same kind.
            environment |= OWN_BROKER
            command += ["--kafka", kafka]
        with log.open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "services.cli", *command),
                stdout=told,
                stderr=told,
                env=environment,
            )
        try:
            async with asyncio.timeout(_START_SECONDS):
                while "Next: matrix datasets create" not in log.read_text():
                    if process.returncode is not None:
                        raise RuntimeError(f"`matrix up` ended: {log.read_text()[-800:]}")
                    await asyncio.sleep(0.1)
            ordering = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.cli", "datasets", "create", "measured"),
                *("--kind", "sft", "--size", "1000000"),
                *("--server", f"{scratch}/up/endpoints.json"),
                stdout=asyncio.subprocess.DEVNULL,
            )
            if await ordering.wait():
                raise RuntimeError("the order was refused")
            yield process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _steady(kafka: str) -> Steady:
    async with (
        simulated_model(*STEADY) as (url, _),
        simulated_model("--slots", "4096") as (embedding, _),
        _platform(url, embedding, kafka) as pid,
        aiohttp.ClientSession() as session,
    ):
        await asyncio.sleep(WARM_SECONDS)
        before, done, begun = _used(pid), await finished(session, url), time.monotonic()
        await asyncio.sleep(STEADY_SECONDS)
        made, seconds = await finished(session, url) - done, time.monotonic() - begun
        after = _used(pid)
    used = {name: 1000 * (after[name] - before.get(name, 0.0)) / max(1.0, made) for name in after}
    return Steady(made / seconds, used)


def _used(pid: int) -> dict[str, float]:
    """Return the CPU seconds of the processes of a platform so far, by what they are."""
    used = defaultdict[str, float](float, {"matrix up": cpu_seconds(pid)})
    for child, command in descendants(pid).items():
        with contextlib.suppress(OSError):
            used[_called(command)] += cpu_seconds(child)
    return used


def _called(command: str) -> str:
    words = command.split()
    if "serve" in words:
        return words[words.index("serve") + 1]
    return next((name for word, name in _NAMES.items() if word in command), "others")
