"""`matrix run` on a real vLLM server, and how much of a bare client's tokens/s it gets."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.bench.replaying import Call, Throughput, recording, replay, throughput
from tests.e2e.conftest import command
from tests.e2e.reading import rows
from tests.vllm.server import MAX_NUM_SEQS, VllmServer

pytestmark = pytest.mark.vllm

SAMPLES = 20
AGENTS = 25
SMALL = ("responses=2", "student_responses=2", "max_response_tokens=100")
"""Filter settings of `--model local`, which suit so small a model."""
_TOLD_EVERY_SECONDS = 20


async def forget(url: str) -> None:
    """Empty the server's prefix cache."""
    async with aiohttp.ClientSession() as client:
        answer = await client.post(f"{url}/reset_prefix_cache", raise_for_status=True)
        answer.release()


def told(who: str, done: Throughput) -> str:
    cached = 100 * done.cached_tokens / done.prompt_tokens
    return (
        f"  {who:<8} {done.tokens_per_second:6.0f} tokens/s, {done.generated_per_second:5.0f} of "
        f"them generated; {done.in_flight:4.1f} calls in flight; {cached:2.0f} % of the prompts "
        f"cached; {done.calls:.0f} calls in {done.seconds:.0f} s; "
        f"{done.cpu_seconds / done.seconds:.2f} processors for vLLM, "
        f"{done.tokens_per_cpu_second:.0f} tokens a CPU second"
    )


def compared(part: str, platform: Throughput, bare: Throughput) -> str:
    share = 100 * platform.tokens_per_second / bare.tokens_per_second
    generated = 100 * platform.generated_per_second / bare.generated_per_second
    return "\n".join(
        (
            f"{part}: {share:.0f} % of the bare client's tokens/s, {generated:.0f} % of those "
            "generated",
            told("platform", platform),
            told("bare", bare),
        )
    )


async def test_a_run_makes_its_samples_and_its_share_of_a_bare_client_is_told(
    server: VllmServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with recording(server.url, server.cpu_seconds) as proxy:
        await forget(server.url)
        size = ("--samples", SAMPLES, "--agents", AGENTS, "--concurrency", MAX_NUM_SEQS)
        filters = [text for setting in SMALL for text in ("--filter", setting)]
        # It shows its progress itself.
        process = await asyncio.create_subprocess_exec(
            *command("run", "--model", proxy.url, *size, "--timeout", 900, *filters, "--out", out)
        )
        try:
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
        assert len(await asyncio.to_thread(rows, out)) == SAMPLES

        # What the run gave up in the end brought it nothing, and is not asked of the other.
        platform = [call for call in proxy.take() if call.status]
        assert {call.status for call in platform} == {200}
        assert not any('"seed"' in call.body for call in platform)
        print(f"\nthe same {len(platform)} calls by a bare client ...", flush=True)
        await forget(server.url)
        replaying = asyncio.create_task(replay(proxy.url, platform, MAX_NUM_SEQS))
        while not (await asyncio.wait([replaying], timeout=_TOLD_EVERY_SECONDS))[0]:
            done = sum(call.ended is not None for call in proxy.calls)
            print(f"{done} of {len(platform)} calls", flush=True)
        await replaying
        bare = proxy.take()
    assert [call.body for call in bare] == [call.body for call in platform]
    for part, first, last in parts(platform):
        print(compared(part, throughput(platform, first, last), throughput(bare, first, last)))


def parts(calls: list[Call]) -> list[tuple[str, int, int]]:
    """Return names of parts of a run, with the calls that they begin and end with."""
    quarter = len(calls) // 4
    return [
        ("whole run, from the first call to the last", 0, -1),
        ("the middle half of its calls", quarter, -quarter),
    ]
