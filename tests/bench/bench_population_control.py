"""Does the population follow the model server: from few active agents on, doubled, and halved."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from services.events import codec
from services.events.topics import DATASETS, TOPICS
from services.kinds import load_kinds
from services.local.composition import Composition
from services.local.endpoints import ModelChoice
from services.local.log import Log
from services.local.orders import new_order
from services.local.settings import RunSettings
from services.local.society import chosen_profiles, import_society
from services.runtime.endpoints import Endpoint
from services.runtime.http_client import HttpClient
from services.runtime.metrics import Metrics
from services.runtime.model_load import ServerLoad, read_load
from services.runtime.model_servers import ROLES
from services.runtime.models import HttpModels
from tests.bench.harness import Row, at_least, at_most
from tests.bench.servers import simulated_model

SLOTS, SECONDS_PER_CALL = 64, 0.5
AGENTS, START = 1000, 20
STEADY_SECONDS, SETTLE_SECONDS, LONGEST_SECONDS = 60.0, 30.0, 120.0
WINDOW_SECONDS, LOOK_SECONDS = 5.0, 0.2
HIGHEST_WAITING, LEAST_BUSY = 0.10, 0.95


@dataclass(frozen=True, slots=True)
class Look:
    """The server at a moment, in shares of its slots."""

    at: float
    busy: float
    waiting: float


class Watch:
    """Looks at the server all the time."""

    def __init__(self, url: str, slots: int) -> None:
        self.slots = slots
        self.looks: list[Look] = []
        self._url = url

    async def run(self) -> None:
        """Look until cancelled."""
        async with HttpClient(1.0) as client:
            while True:
                load = await read_load(client, self._url, {}) or ServerLoad(0.0, 0.0)
                look = Look(time.monotonic(), load.running / self.slots, load.waiting / self.slots)
                self.looks.append(look)
                await asyncio.sleep(LOOK_SECONDS)

    def since(self, begun: float) -> list[Look]:
        """Return the looks from a time on."""
        return [look for look in self.looks if look.at >= begun]

    async def until(self, reached: Callable[[float, float], bool]) -> float:
        """Return the seconds until busy and waiting, over a window, were as they should be."""
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < LONGEST_SECONDS:
            window = self.since(max(begun, time.monotonic() - WINDOW_SECONDS))
            if passed >= WINDOW_SECONDS and reached(
                fmean(look.busy for look in window), fmean(look.waiting for look in window)
            ):
                return passed
            await asyncio.sleep(LOOK_SECONDS)
        return LONGEST_SECONDS


def _followed(busy: float, waiting: float) -> bool:
    return busy >= LEAST_BUSY and waiting <= HIGHEST_WAITING


@asynccontextmanager
async def _society(url: str, folder: Path) -> AsyncIterator[Metrics]:
    """Run a society with an order that is never filled."""
    metrics, kinds = Metrics(), load_kinds()
    log = Log(folder / "log.db", {topic.name for topic in TOPICS if topic.compacted})
    endpoint = Endpoint(url, "simulated")
    async with HttpModels(dict.fromkeys(ROLES, endpoint), metrics.model) as models:
        composition = Composition(
            log,
            models,
            models,
            kinds,
            "structured",
            folder / "datasets",
            metrics,
            time.time,
            seeded=False,
            demand=models,
            start_agents=START,
        )
        await composition.restore()
        profiles, fingerprint = chosen_profiles(None, AGENTS)
        made = await import_society(composition, profiles, fingerprint, seed=0)
        settings = RunSettings(folder, ModelChoice(url), AGENTS, samples=1_000_000)
        order = new_order(settings, kinds, dict(made.society.regions), {}, time.time())
        composition.planner.set_dataset(order)
        await log.publish([codec.to_record(DATASETS, order.dataset, order)])
        work = asyncio.create_task(composition.work(256))
        try:
            yield metrics
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await log.close()


async def _run() -> dict[str, float]:
    options = ("--slots", str(SLOTS), "--seconds-per-call", str(SECONDS_PER_CALL))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with simulated_model(*options) as (url, process):
            watch = Watch(url, SLOTS)
            watching = asyncio.create_task(watch.run())
            async with _society(url, Path(folder)):
                found["start"] = await watch.until(lambda busy, waiting: busy >= LEAST_BUSY)
                await asyncio.sleep(SETTLE_SECONDS)
                begun = time.monotonic()
                await asyncio.sleep(STEADY_SECONDS)
                found["waiting"] = 100 * fmean(look.waiting for look in watch.since(begun))
                found["busy"] = 100 * fmean(look.busy for look in watch.since(begun))
                os.kill(process, signal.SIGUSR1)
                watch.slots = 2 * SLOTS
                found["doubled"] = await watch.until(_followed)
                await asyncio.sleep(SETTLE_SECONDS)
                os.kill(process, signal.SIGUSR2)
                watch.slots = SLOTS
                found["halved"] = await watch.until(_followed)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return found


async def measure(runs: int) -> list[Row]:
    """Return how fast and how well the population follows."""
    found = [await _run() for _ in range(runs)]

    def values(name: str) -> tuple[float, ...]:
        return tuple(each[name] for each in found)

    server = f"{AGENTS} agents, {SLOTS} slots of {SECONDS_PER_CALL:g} s"
    window = f"means over {WINDOW_SECONDS:g} s; {LONGEST_SECONDS:g} s: not within that time"
    band = "busy at least 95 %, waiting at most 10 % of slots"
    return [
        Row(
            f"population control: from {START} active agents until the server is full",
            "s",
            values("start"),
            "at most 30 s",
            at_most(30.0),
            note=f"{server}; busy at least 95 %, {window}",
        ),
        Row(
            "population control: server doubled, until the population has followed",
            "s",
            values("doubled"),
            "at most 30 s",
            at_most(30.0),
            note=f"{band}, {window}",
        ),
        Row(
            "population control: server halved, until the population has followed",
            "s",
            values("halved"),
            "at most 30 s",
            at_most(30.0),
            note=f"{band}, {window}",
        ),
        Row(
            "population control: calls that wait in steady state, as share of the slots",
            "%",
            values("waiting"),
            "0 to 10 %",
            lambda share: 0 < share <= 100 * HIGHEST_WAITING,
            note=f"mean over {STEADY_SECONDS:g} s",
        ),
        Row(
            "population control: slots that are busy in steady state",
            "%",
            values("busy"),
            "at least 95 %",
            at_least(100 * LEAST_BUSY),
            note=f"mean over the same {STEADY_SECONDS:g} s",
        ),
    ]
