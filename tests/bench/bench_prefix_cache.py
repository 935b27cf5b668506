"""How much of the prompts a prefix cache saves: in the society, and in the line after it.

The prompts of a simulated run are looked up, in the order in which they were sent, in a cache of
what an 8B model leaves on an 80 GB GPU (about 400,000 tokens of KV), and in one so small that a
group's lists are gone when its next step comes, as in a society too large for its server. The
baseline is the same cache on the same messages in the opposite order of what architecture.md asks:
what is asked first, role and rules after it.
"""

from collections.abc import Iterable, Sequence

from tests.bench.harness import Row, at_least
from tests.bench.prefix_cache import PrefixCache, Share
from tests.bench.recorded import SentPrompt, Turns, recorded_run
from tests.bench.tokenizing import Tokenize, simulated_tokens, smollm2

AGENTS = 200
SAMPLES = 100
LARGE = 400_000
"""Tokens: 80 GB at 90 %, less 16 GB of weights, at 128 KiB a token (Llama 3 8B in 16 bits)."""
SMALL = 16_000
RING = ("birth", "act", "memory", "route", "scenario")
"""Stages that are asked for every step of every group; the others for samples only."""
GOAL = 0.6


async def measure(runs: int) -> list[Row]:
    """Return the shares of prompt tokens that are found, by cache and part of the platform."""
    real = smollm2()
    recordings = [await recorded_run(AGENTS, SAMPLES, LARGE, seed) for seed in range(runs)]
    rings = [[one for one in each.sent if one.stage in RING] for each in recordings]
    lines = [[one for one in each.sent if one.stage not in RING] for each in recordings]
    return [
        _row("in the ring", rings, LARGE, real, f"at least {GOAL:.0%}", _by_stage(rings[0], real)),
        _row(
            "in the ring, simulator's tokens",
            rings,
            LARGE,
            simulated_tokens,
            f"at least {GOAL:.0%}",
        ),
        _row("in the ring, small cache", rings, SMALL, real),
        _row("in the line", lines, LARGE, real, note=_by_stage(lines[0], real)),
        Row(
            name="prefix-cache hits of all prompts, as the simulated model counts them",
            unit="of prompt tokens",
            values=tuple(each.hits / each.queries for each in recordings),
            baseline="looked up one after the other",
            baseline_values=tuple(
                shares(each.sent, LARGE, simulated_tokens)[""].hit_share for each in recordings
            ),
            note="vllm:prefix_cache_hits_total / vllm:prefix_cache_queries_total",
        ),
    ]


def shares(
    sent: Iterable[SentPrompt], capacity: int, tokenize: Tokenize, *, reverse: bool = False
) -> dict[str, Share]:
    """Return what a cache saves of prompts by stage, and in all under the empty name."""
    cache, found = PrefixCache(capacity), {"": Share()}
    for prompt in sent:
        tokens = tokenize(_reversed(prompt.turns) if reverse else prompt.turns)
        for _ in range(prompt.choices):
            hits = cache.look_up(tokens)
            for name in (prompt.stage, ""):
                found.setdefault(name, Share()).add(len(tokens), hits)
    return found


def _reversed(turns: Turns) -> Turns:
    """Return a chat with what is asked before role and worked example."""
    return (turns[-1], *turns[:-1])


def _row(
    where: str,
    recordings: Sequence[Sequence[SentPrompt]],
    capacity: int,
    tokenize: Tokenize,
    goal: str = "",
    note: str = "",
) -> Row:
    ours = [shares(sent, capacity, tokenize)[""] for sent in recordings]
    theirs = [shares(sent, capacity, tokenize, reverse=True)[""] for sent in recordings]
    asked = ours[0].queries / ours[0].calls
    paid = f"{asked:.0f} prompt tokens a call, {ours[0].uncached_per_call:.0f} of them uncached"
    return Row(
        name=f"prefix-cache hits {where}",
        unit="of prompt tokens",
        values=tuple(share.hit_share for share in ours),
        goal=goal,
        met=at_least(GOAL) if goal else None,
        baseline="data before the role",
        baseline_values=tuple(share.hit_share for share in theirs),
        note=f"cache of {capacity:,} tokens; {paid}" + (f" ({note})" if note else ""),
    )


def _by_stage(sent: Sequence[SentPrompt], tokenize: Tokenize) -> str:
    found = shares(sent, LARGE, tokenize)
    return ", ".join(f"{name} {found[name].hit_share:.0%}" for name in sorted(found) if name)
