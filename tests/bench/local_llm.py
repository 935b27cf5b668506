"""One run with the LLM of this process, by the platform or by a bare client; result as JSON.

    python -m tests.bench.local_llm platform ASKED [--agents N] [--calls N]
    python -m tests.bench.local_llm bare ASKED

The first writes to the file ASKED what the platform asked (a line with the number of calls before
those that count, then a line each), the second asks the same. Each starts llama.cpp in its own
process, as `matrix run --model local` does, with an empty cache.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from services.local.endpoints import ModelChoice
from services.local.model import SLOTS, LocalModel
from services.local.platform import Platform
from services.local.progress import Progress
from services.local.settings import RunSettings
from tests.bench.replaying import (
    Call,
    RecordingProxy,
    recording,
    replay,
    throughput,
)

_MORE_THAN_CAN_BE_MADE = 10_000
_LIMITS = {"responses": 2, "student_responses": 2, "max_response_tokens": 100}
"""Settings that `--model local` takes for so small a model."""
_LOOK_SECONDS = 0.1


async def by_platform(
    proxy: RecordingProxy, scratch: Path, agents: int, counted: int
) -> tuple[list[Call], int]:
    """Let the platform work; return what it asked, and how many calls came before it counts.

    That is when all people are born; it goes on until so many more calls have begun, and those have
    ended. Calls that the platform gave up are left out.

    Raises:
        RuntimeError: the platform ended before its time.
    """
    # It is this process: slow where the machine is busy, but never away.
    choice = ModelChoice(proxy.url, LocalModel.name, slots=SLOTS, timeout_seconds=900)
    settings = RunSettings(
        scratch, choice, agents=agents, samples=_MORE_THAN_CAN_BE_MADE, filters=_LIMITS
    )
    progress = Progress()
    work = asyncio.create_task(Platform(settings, progress, lambda note: None).run())
    try:
        while progress.metrics.society.born < agents and not work.done():
            await asyncio.wait([work], timeout=_LOOK_SECONDS)
        warm = len(proxy.calls)
        while len(proxy.calls) <= warm + counted and not work.done():
            await asyncio.wait([work], timeout=_LOOK_SECONDS)
        calls = list(proxy.calls)
        while any(call.ended is None for call in calls) and not work.done():
            await asyncio.wait([work], timeout=_LOOK_SECONDS)
        if work.done():
            raise RuntimeError(f"the platform has ended after {len(calls)} calls: {work.result()}")
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    answered = [call for call in calls if call.status]
    return answered, sum(call.status != 0 for call in calls[:warm])


@asynccontextmanager
async def _model() -> AsyncIterator[tuple[RecordingProxy, Path]]:
    """Start the model behind a proxy, with a directory for what is not kept."""
    with TemporaryDirectory() as scratch:
        model = LocalModel(Path(scratch) / "llama.log")
        try:
            async with recording(await model.start()) as proxy:
                yield proxy, Path(scratch)
        finally:
            await model.stop()


async def _platform(agents: int, counted: int) -> tuple[list[Call], int]:
    async with _model() as (proxy, scratch):
        return await by_platform(proxy, scratch, agents, counted)


async def _bare(asked: Sequence[Call]) -> list[Call]:
    async with _model() as (proxy, _):
        await replay(proxy.url, asked, SLOTS)
        return proxy.calls


def main() -> None:
    """Run, and print the result."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.local_llm", description=__doc__)
    parser.add_argument("by", choices=("platform", "bare"))
    parser.add_argument("asked", type=Path)
    parser.add_argument("--agents", type=int, default=25)
    parser.add_argument("--calls", type=int, default=60)
    given = parser.parse_args()
    if given.by == "platform":
        calls, warm = asyncio.run(_platform(given.agents, given.calls))
        lines = [warm, *([call.path, call.body] for call in calls)]
        given.asked.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    else:
        warm, *asked = map(json.loads, given.asked.read_text().splitlines())
        calls = asyncio.run(_bare([Call(path, body, 0.0) for path, body in asked]))
    json.dump(asdict(throughput(calls, warm)), sys.stdout)


if __name__ == "__main__":
    main()
