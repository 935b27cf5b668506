"""The simulated model as a server: how many chats one core answers, beside a fixed answer."""

import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from random import Random

import orjson

from tests.bench.bare_client import bare_pace
from tests.bench.harness import Row, at_least, at_most
from tests.bench.processes import cpu_seconds
from tests.bench.servers import fixed_answers, simulated_model

CALLS = 10_000
AT_ONCE = 128
WARM_CALLS = 1_000
_WORDS = (
    "baker bridge market harbour letter winter garden letter teacher rope mill council debt "
    "ferry school bread kitchen storm wheel lantern village neighbour promise repair river"
).split()


async def measure(runs: int) -> list[Row]:
    """Measure calls per second, and CPU seconds of the server."""
    simulated = [await _served(simulated_model(), "simulated") for _ in range(runs)]
    fixed = [await _served(fixed_answers(), "fixed") for _ in range(runs)]
    what = f"chats of 150/40 tokens, {AT_ONCE} at once"
    pinned = "on one core, the client on others" if len(_cores()) > 1 else "client on the same core"
    return [
        Row(
            f"simulated model: {what}",
            "calls/s",
            tuple(rate for rate, _ in simulated),
            "at least 2,000",
            at_least(2000),
            "aiohttp with a fixed answer, calls/s",
            tuple(rate for rate, _ in fixed),
            f"server {pinned}",
        ),
        Row(
            "simulated model: CPU seconds of the server per 1,000 chats, the same runs",
            "s",
            tuple(cpu for _, cpu in simulated),
            "at most 0.5",
            at_most(0.5),
            "aiohttp with a fixed answer, s",
            tuple(cpu for _, cpu in fixed),
        ),
    ]


async def _served(
    server: AbstractAsyncContextManager[tuple[str, int]], model: str
) -> tuple[float, float]:
    """Return calls per second, and CPU seconds of the server per 1,000 of them."""
    bodies = _bodies(model, WARM_CALLS + CALLS)
    async with server as (url, pid):
        with _apart(pid):
            await bare_pace(url, bodies[:WARM_CALLS], WARM_CALLS, AT_ONCE)
            before = cpu_seconds(pid)
            pace = await bare_pace(url, bodies[WARM_CALLS:], CALLS, AT_ONCE)
            return pace.rate, 1000 * (cpu_seconds(pid) - before) / CALLS


def _bodies(model: str, count: int) -> list[bytes]:
    """Return chats that all differ, so that nothing can be remembered of them."""
    random = Random(5)
    system = "You are a person of the valley. Answer in a sentence or two, in your own voice. " * 2
    return [
        orjson.dumps(
            {
                "model": model,
                "messages": [
                    {"role": "system", "content": system},
                    {
                        "role": "user",
                        "content": f"<persona>{' '.join(random.choices(_WORDS, k=80))}</persona>\n"
                        "What do you do next?",
                    },
                ],
                "max_tokens": 60,
            }
        )
        for _ in range(count)
    ]


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


@contextmanager
def _apart(pid: int) -> Iterator[None]:
    """Give a process a core of its own, where there is one."""
    first, *others = cores = _cores()
    if not others:
        yield
        return
    os.sched_setaffinity(pid, {first})
    os.sched_setaffinity(0, set(others))
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(cores))
