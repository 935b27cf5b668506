"""A run in its steady state in which metrics and traces are on and off by turns.

python -m tests.bench.observed_run MODEL EMBEDDING COLLECTOR TURNS

One process, so that both are measured on the same society, memory and minute of a machine: CPU
seconds a call of two processes side by side differ by 5 % and more without any cause. Prints a JSON
object: for `on` and `off` the calls, CPU seconds and seconds of each turn.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import Histogram
from prometheus_client.openmetrics.exposition import generate_latest

from services.local.endpoints import ModelChoice
from services.local.platform import Platform
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.runtime import event_loop, tracing
from services.runtime.collector import calm_collector
from services.runtime.settings import TracingSettings

AGENTS = 1000
WARM_SECONDS = 30.0
TURN_SECONDS = 4.0
RATIO = 0.01


class _Unobserved:
    def observe(self, amount: float, exemplar: object = None) -> None:
        """Do nothing, also when the turn of those who observe has come."""


_UNOBSERVED = _Unobserved()


@contextmanager
def unobserved() -> Iterator[None]:
    """Make no spans, and observe nothing in histograms."""
    tracer, labels, observe = tracing._process.tracer, Histogram.labels, Histogram.observe
    metric: Any = Histogram
    tracing._process.tracer = None
    metric.labels = lambda self, *values, **named: _UNOBSERVED
    metric.observe = lambda self, amount, exemplar=None: None
    try:
        yield
    finally:
        tracing._process.tracer = tracer
        metric.labels, metric.observe = labels, observe


async def _turn(progress: Progress, scraped: bool) -> dict[str, float]:
    calls = progress.metrics.model.calls
    before, began, cpu = calls.total(), time.monotonic(), time.process_time()
    if scraped:  # Twice as often as Prometheus does by default.
        generate_latest(progress.metrics.registry())  # type: ignore[no-untyped-call]
    await asyncio.sleep(TURN_SECONDS)
    return {
        "calls": calls.total() - before,
        "cpu": time.process_time() - cpu,
        "seconds": time.monotonic() - began,
    }


async def _run(model: str, embedding: str, turns: int, folder: Path) -> dict[str, Any]:
    progress = Progress()
    choice = ModelChoice(model, embedding=embedding)
    settings = RunSettings(out=folder / "run", model=choice, agents=AGENTS, samples=100_000)
    running = asyncio.create_task(Platform(settings, progress, lambda _: None).run())
    try:
        await asyncio.sleep(WARM_SECONDS)
        found: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
        for number in range(turns):
            # By turns the first: what a turn leaves undone falls on the next one.
            for on in (number % 2 == 0, number % 2 == 1):
                if running.done():
                    running.result()
                if on:
                    found["on"].append(await _turn(progress, scraped=True))
                else:
                    with unobserved():
                        found["off"].append(await _turn(progress, scraped=False))
        return found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def main(model: str, embedding: str, collector: str, turns: str) -> None:
    """Measure, and print what was found."""
    calm_collector()
    settings = TracingSettings(endpoint=collector, sample_ratio=RATIO)
    with tempfile.TemporaryDirectory() as folder, tracing.traced(settings, "bench"):
        found = event_loop.run(_run(model, embedding, int(turns), Path(folder)))
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
