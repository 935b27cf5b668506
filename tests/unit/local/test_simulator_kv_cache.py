"""Blocks of the KV cache, and what prompts that begin equally find in it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.kv_cache import (
    Allocation,
    Chain,
    KVCache,
    chat_chain,
    extended,
    text_chain,
)
from services.local.simulator.tokens import chat_tokens, tokenize

SYSTEM = ("system", "You are a baker in a small town by the sea and answer briefly.")


def allocated(cache: KVCache, chain: Chain, answer: int = 0) -> Allocation | None:
    tokens = chain.tokens(cache.block_size)
    return cache.allocate(chain.hashes, tokens, tokens + answer)


def cached(cache: KVCache, chain: Chain) -> int:
    """How many tokens of a prompt are found; its blocks are given back at once."""
    allocation = allocated(cache, chain)
    assert allocation is not None
    cache.free(allocation)
    return allocation.cached_tokens


def test_a_chain_is_the_chat_in_whole_blocks() -> None:
    for messages in [
        (),
        (SYSTEM,),
        (SYSTEM, ("user", "Which flour?")),
        (SYSTEM, ("user", "Which flour?"), ("assistant", "Rye."), ("user", "Why?")),
    ]:
        tokens = chat_tokens(messages)
        chain = chat_chain(messages, 4)
        assert chain.tokens(4) == len(tokens)
        assert chain.hashes == extended(text_chain("", 4), tokens, 4).hashes
        assert chain.rest == tuple(tokens[len(tokens) - len(tokens) % 4 :])


def test_hits_come_in_whole_blocks_and_the_last_token_is_always_computed() -> None:
    cache = KVCache(100, 4)
    sixteen = text_chain(" w" * 16, 4)
    assert cached(cache, sixteen) == 0
    assert cached(cache, sixteen) == 12
    assert cached(cache, text_chain(" w" * 17, 4)) == 16
    assert cached(cache, text_chain(" w" * 7 + " v" * 9, 4)) == 4


def test_chats_share_their_instructions_unless_a_salt_keeps_them_apart() -> None:
    cache = KVCache(100, 4)
    first = chat_chain((SYSTEM, ("user", "Which flour?")), 4)
    other = chat_chain((SYSTEM, ("user", "What time is it?")), 4)
    salted = chat_chain((SYSTEM, ("user", "Which flour?")), 4, "tenant")
    cached(cache, first)
    shared = len(chat_tokens((SYSTEM,), opened=False))
    assert shared - 4 < cached(cache, other) <= shared + 3
    assert cached(cache, salted) == 0


def test_running_sequences_share_blocks() -> None:
    cache = KVCache(10, 4)
    chain = text_chain(" w" * 17, 4)
    one = allocated(cache, chain)
    assert cache.usage == 0.5
    two = allocated(cache, chain)
    assert round(cache.usage, 9) == 0.6
    assert one is not None
    assert two is not None
    cache.free(one)
    assert round(cache.usage, 9) == 0.5
    cache.free(two)
    assert cache.usage == 0


def test_an_answer_is_found_by_who_goes_on_from_it() -> None:
    cache = KVCache(100, 4)
    chat = (SYSTEM, ("user", "Which flour?"))
    chain = chat_chain(chat, 4)
    answer = [
        *tokenize("Rye flour, because it keeps for a week and tastes of something."),
        "<|im_end|>",
    ]
    allocation = allocated(cache, chain, len(answer))
    assert allocation is not None
    written = extended(chain, answer, 4)
    cache.free(allocation, written.hashes)
    content = "Rye flour, because it keeps for a week and tastes of something."
    follow_up = chat_chain((*chat, ("assistant", content), ("user", "Why?")), 4)
    assert cached(cache, follow_up) == len(written.hashes) * 4


def test_the_least_recently_used_goes_first_and_of_a_sequence_its_end() -> None:
    cache = KVCache(8, 4)
    old, new = text_chain(" a" * 12, 4), text_chain(" b" * 12, 4)
    cached(cache, old)
    cached(cache, new)
    cached(cache, text_chain(" c" * 16, 4))  # takes the two free blocks, and two of the old ones
    assert cached(cache, text_chain(" b" * 13, 4)) == 12
    cache = KVCache(8, 4)
    cached(cache, old)
    cached(cache, new)
    cached(cache, text_chain(" c" * 12, 4))
    assert cached(cache, text_chain(" a" * 13, 4)) == 8


def test_no_more_is_given_than_there_is() -> None:
    cache = KVCache(4, 4)
    held = allocated(cache, text_chain(" a" * 12, 4))
    assert held is not None
    assert allocated(cache, text_chain(" b" * 8, 4)) is None
    assert allocated(cache, text_chain(" a" * 13, 4)) is not None


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "free"]),
        st.text("ab", min_size=1, max_size=20),
        st.integers(0, 8),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(operations=OPERATIONS, blocks=st.integers(15, 30))
def test_blocks_are_neither_lost_nor_used_twice(
    operations: list[tuple[str, str, int, int]], blocks: int
) -> None:
    cache = KVCache(blocks, 2)
    held: list[tuple[Allocation, int, Chain, list[str]]] = []
    for what, letters, answer, which in operations:
        if what == "allocate":
            prompt = "".join(f" {letter}" for letter in letters)
            chain = text_chain(prompt, 2)
            allocation = allocated(cache, chain, answer)
            if allocation is not None:
                assert allocation.cached_tokens < len(letters)
                tokens = [" z"] * answer
                held.append((allocation, -(-(len(letters) + answer) // 2), chain, tokens))
        elif held:
            allocation, _, chain, tokens = held.pop(which % len(held))
            cache.free(allocation, extended(chain, tokens, 2).hashes)
        shared = Counter(block for one, *_ in held for block in one.shared)
        for allocation, size, *_ in held:
            assert len(allocation.shared) + allocation.private == size
        private = sum(one.private for one, *_ in held)
        assert round(cache.usage * blocks) == len(shared) + private
    for allocation, *_ in held:
        cache.free(allocation)
    assert round(cache.usage, 9) == 0
    # All of it can be had by one sequence.
    assert cache.allocate((), 1, 2 * blocks) is not None
