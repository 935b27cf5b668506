"""How much of a sequence of prompts a prefix cache saves, as vLLM's automatic one works.

Source: vLLM's design document "Automatic Prefix Caching". KV memory is divided into blocks of a
fixed number of tokens. A full block is known by the hash of its tokens and of all blocks before it;
a prompt takes over the longest run of known blocks at its beginning, but never all of its tokens:
the last one has to be computed to get an answer. Blocks are evicted least recently used first, of
one prompt those at the end first. What it counts is what vLLM counts in
`vllm:prefix_cache_queries_total` (prompt tokens) and `vllm:prefix_cache_hits_total` (cached ones).
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

BLOCK = 16
"""Tokens; vLLM's default."""


@dataclass(slots=True)
class Share:
    """Prompt tokens, and how many of them were cached."""

    calls: int = 0
    queries: int = 0
    hits: int = 0

    def add(self, queries: int, hits: int) -> None:
        """Count one prompt."""
        self.calls += 1
        self.queries += queries
        self.hits += hits

    @property
    def hit_share(self) -> float:
        """Cached tokens of all, from 0 to 1; 0 when there are none."""
        return self.hits / self.queries if self.queries else 0.0

    @property
    def uncached_per_call(self) -> float:
        """Prompt tokens that have to be computed, per call: what the GPU pays."""
        return (self.queries - self.hits) / self.calls if self.calls else 0.0


class PrefixCache:
    """The blocks that are known, least recently used first."""

    def __init__(self, capacity: int, block: int = BLOCK) -> None:
        """Make an empty cache.

        Args:
            capacity: tokens that it holds, in whole blocks.
            block: tokens of a block.

        Raises:
            ValueError: it holds not one block.
        """
        if not 0 < block <= capacity:
            raise ValueError(f"a cache of {capacity} tokens holds no block of {block}")
        self._most = capacity // block
        self._block = block
        self._known: OrderedDict[int, None] = OrderedDict()

    def look_up(self, tokens: Sequence[Hashable]) -> int:
        """Return how many tokens at the beginning of a prompt are known; all of it is from now."""
        chain = self._chain(tokens)
        hits = 0
        for key in chain[: (len(tokens) - 1) // self._block]:
            if key not in self._known:
                break
            hits += self._block
        for key in reversed(chain):
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return hits

    def _chain(self, tokens: Sequence[Hashable]) -> list[int]:
        chain, last = [], 0
        for end in range(self._block, len(tokens) + 1, self._block):
            last = hash((last, *tokens[end - self._block : end]))
            chain.append(last)
        return chain
