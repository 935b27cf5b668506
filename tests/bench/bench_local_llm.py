"""The platform with the real LLM of this process, against a bare client on the same prompts."""

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from services.local.model import SLOTS
from tests.bench.harness import Row, at_least
from tests.bench.replaying import Throughput

_GOAL = 90.0
_GOAL_TEXT = "at least 90 % of the bare client"


async def _one(by: str, asked: Path) -> Throughput:
    """Run in a process of its own: llama.cpp's cache is empty, and its memory given back."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.local_llm", by, str(asked)),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the run by {by} ended with code {process.returncode}")
    # Before it the log of the platform may stand.
    return Throughput(**json.loads(told.splitlines()[-1]))


async def measure(runs: int) -> list[Row]:
    """Run the platform and the bare client in turn, `runs` times each."""
    platform, bare = list[Throughput](), list[Throughput]()
    with TemporaryDirectory() as scratch:
        asked = Path(scratch) / "asked.jsonl"
        for number in range(1, runs + 1):
            for by, results in (("platform", platform), ("bare", bare)):
                results.append(done := await _one(by, asked))
                print(f"run {number}, {by}: {_told(done)}", file=sys.stderr, flush=True)
    pairs = list(zip(platform, bare, strict=True))
    kept = sum(p.in_flight for p in platform) / runs
    note = (
        f"25 people, {SLOTS} slots, 60 calls from the last birth on; {kept:.2f} calls in flight; "
        f"of prompt tokens {_cached(platform):.0f} % cached, bare {_cached(bare):.0f} %"
    )
    return [
        Row(
            name="platform with the real local LLM: tokens/s, prompt and generated",
            unit="% of the bare client's",
            values=tuple(100 * p.tokens_per_second / b.tokens_per_second for p, b in pairs),
            goal=_GOAL_TEXT,
            met=at_least(_GOAL),
            baseline="bare asyncio client, the same prompts, tokens/s",
            baseline_values=tuple(b.tokens_per_second for b in bare),
            note=note,
        ),
        Row(
            name="the same: generated tokens/s",
            unit="% of the bare client's",
            values=tuple(100 * p.generated_per_second / b.generated_per_second for p, b in pairs),
            goal=_GOAL_TEXT,
            met=at_least(_GOAL),
            baseline="bare asyncio client, the same prompts, tokens/s",
            baseline_values=tuple(b.generated_per_second for b in bare),
        ),
        Row(
            name="the same: tokens per CPU second, LLM and platform together",
            unit="% of the bare client's",
            values=tuple(100 * p.tokens_per_cpu_second / b.tokens_per_cpu_second for p, b in pairs),
            baseline="bare asyncio client, the same prompts, tokens per CPU second",
            baseline_values=tuple(b.tokens_per_cpu_second for b in bare),
            note="says the same where other processes take the processors",
        ),
    ]


def _cached(runs: list[Throughput]) -> float:
    return 100 * sum(r.cached_tokens for r in runs) / sum(r.prompt_tokens for r in runs)


def _told(done: Throughput) -> str:
    return (
        f"{done.tokens_per_second:.0f} tokens/s, "
        f"{done.generated_per_second:.0f} of them generated, "
        f"{done.tokens_per_cpu_second:.0f} tokens per CPU second, "
        f"{done.in_flight:.2f} calls in flight, {done.calls:.0f} calls in {done.seconds:.0f} s"
    )
