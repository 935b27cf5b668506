"""The yardstick: an asyncio client that does nothing but call."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import aiohttp
import orjson

_TEXTS = tuple(
    f"Person {number} of the valley wants to {what}. What does this person do now? Answer in one "
    "or two plain sentences with a concrete detail, and name who is asked for help."
    for number in range(64)
    for what in ("mend the bridge", "sell the mill", "teach a class", "find a doctor")
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast calls were answered."""

    calls: int
    seconds: float
    cpu_seconds: float
    """Of the client's process."""

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds

    @property
    def cpu_per_thousand(self) -> float:
        """CPU seconds per 1,000 calls."""
        return 1000 * self.cpu_seconds / self.calls


def plain_bodies(model: str, max_tokens: int = 60) -> list[bytes]:
    """Return requests of about the size of an agent's turn."""
    return [
        orjson.dumps(
            {
                "model": model,
                "messages": [{"role": "user", "content": text}],
                "max_tokens": max_tokens,
            }
        )
        for text in _TEXTS
    ]


async def bare_pace(url: str, bodies: Sequence[bytes], calls: int, at_once: int) -> Pace:
    """Make `calls` calls, `at_once` of them at any time, and return how fast they were answered."""
    left = islice(cycle(bodies), calls)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*(_ask(session, url, left) for _ in range(at_once)))
        return Pace(calls, time.monotonic() - begun, time.process_time() - cpu)


async def _ask(session: aiohttp.ClientSession, url: str, bodies: Iterator[bytes]) -> None:
    headers = {"Content-Type": "application/json"}
    for body in bodies:
        async with session.post(
            f"{url}/v1/chat/completions", data=body, headers=headers
        ) as response:
            content = await response.read()
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {content[:200]!r}")
        orjson.loads(content)
