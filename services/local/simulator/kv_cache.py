"""The KV cache of a simulated server: blocks of tokens, shared by sequences that begin equally.

As in vLLM (automatic prefix caching): a block that is full is known by the hash of its tokens and
of all before them. One that nobody uses any more stays until its room is needed, the one least
recently used goes first, and of one sequence the last block.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from services.local.simulator.tokens import (
    START_OF_ANSWER,
    Messages,
    tokenize,
    turn_tokens,
)


class Chain(NamedTuple):
    """A text in blocks: hashes of the full ones, each of all up to there, and what is left over."""

    hashes: tuple[int, ...]
    parent: int
    """The last of `hashes`; that of nothing when there are none."""
    rest: tuple[str, ...]
    """Tokens after the last full block."""

    def tokens(self, block_size: int) -> int:
        """Return how many tokens it has."""
        return len(self.hashes) * block_size + len(self.rest)


def extended(chain: Chain, tokens: Sequence[str], block_size: int) -> Chain:
    """Return `chain` with `tokens` after it."""
    left = (*chain.rest, *tokens)
    parent, hashes = chain.parent, []
    whole = len(left) - len(left) % block_size
    for start in range(0, whole, block_size):
        parent = hash((parent, left[start : start + block_size]))
        hashes.append(parent)
    return Chain((*chain.hashes, *hashes), parent, left[whole:])


def chat_chain(messages: Messages, block_size: int, salt: str = "") -> Chain:
    """Return the tokens of a chat, with an answer opened, in blocks; a `salt` keeps it apart.

    What chats have in common is split and hashed once: all but the last turn is remembered.
    """
    begun = _begun(messages[:-1], block_size, salt)
    last = turn_tokens(*messages[-1]) if messages else ()
    return extended(begun, (*last, *START_OF_ANSWER), block_size)


def text_chain(text: str, block_size: int, salt: str = "") -> Chain:
    """Return the tokens of a text in blocks."""
    return extended(_nothing(salt), tokenize(text), block_size)


@lru_cache(maxsize=1024)
def _begun(messages: Messages, block_size: int, salt: str) -> Chain:
    chain = _nothing(salt)
    for place, turn in enumerate(messages):
        if place == 0 and len(messages) > 1:
            # What follows differs from chat to chat, the instructions in front less so.
            chain = _begun(messages[:1], block_size, salt)
        else:
            chain = extended(chain, turn_tokens(*turn), block_size)
    return chain


def _nothing(salt: str) -> Chain:
    return Chain((), hash(salt), ())


@dataclass(slots=True)
class Allocation:
    """The blocks of one sequence."""

    shared: list[int]
    """Hashes of those that others can use as well, in order."""
    private: int
    """How many nobody else can use."""
    cached_tokens: int
    """Tokens of those that were there already."""


class KVCache:
    """A fixed number of blocks."""

    def __init__(self, blocks: int, block_size: int) -> None:
        self.blocks = blocks
        self.block_size = block_size
        self._unwritten = blocks
        self._users: dict[int, int] = {}
        """By hash how many sequences use the block."""
        self._unused: OrderedDict[int, None] = OrderedDict()
        """Hashes of blocks that nobody uses, least recently used first."""

    @property
    def usage(self) -> float:
        """Share of the blocks that sequences use, from 0 to 1."""
        return 1.0 - (self._unwritten + len(self._unused)) / self.blocks

    def allocate(
        self, hashes: Sequence[int], prompt_tokens: int, tokens: int, *, reads: bool = True
    ) -> Allocation | None:
        """Return blocks for a sequence; None when there is not enough room now.

        Args:
            hashes: of the full blocks of its prompt.
            prompt_tokens: how many it begins with. At least one of them is always computed.
            tokens: of its prompt and its answer together.
            reads: whether it may use what is there already.
        """
        most = (prompt_tokens - 1) // self.block_size if reads else 0
        cached = 0
        for block in hashes[:most]:
            if block not in self._users and block not in self._unused:
                break
            cached += 1
        found = hashes[:cached]
        needed = -(-tokens // self.block_size) - cached
        spare = self._unwritten + len(self._unused) - sum(one in self._unused for one in found)
        if needed > spare:
            return None
        for block in found:
            self._unused.pop(block, None)
            self._users[block] = self._users.get(block, 0) + 1
        self._take(needed)
        shared = list(found)
        for block in hashes[cached:]:
            # A second copy of what is there already is of no use to others.
            if block not in self._users and block not in self._unused:
                self._users[block] = 1
                shared.append(block)
        return Allocation(shared, needed - (len(shared) - cached), cached * self.block_size)

    def free(self, allocation: Allocation, written: Sequence[int] = ()) -> None:
        """Take back the blocks of a sequence.

        Args:
            allocation: its blocks.
            written: hashes of the full blocks of its prompt and its answer, if it came to an end:
                who goes on from there finds them.
        """
        held = dict.fromkeys(allocation.shared)
        for block in written:
            if allocation.private and block not in self._users and block not in self._unused:
                allocation.private -= 1
                self._users[block] = 1
                held[block] = None
        for block in reversed(held):
            self._users[block] -= 1
            if not self._users[block]:
                del self._users[block]
                self._unused[block] = None
        self._unwritten += allocation.private

    def _take(self, blocks: int) -> None:
        unwritten = min(blocks, self._unwritten)
        self._unwritten -= unwritten
        for _ in range(blocks - unwritten):
            self._unused.popitem(last=False)
