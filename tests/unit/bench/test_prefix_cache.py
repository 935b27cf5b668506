from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.kv_cache import Chain, KVCache, extended
from tests.bench.prefix_cache import PrefixCache, Share

LOTS = 10_000
PROMPTS = st.lists(st.lists(st.integers(0, 1), max_size=20), max_size=20)


def looked_up(prompts: Sequence[Sequence[int]], capacity: int = LOTS, block: int = 4) -> list[int]:
    cache = PrefixCache(capacity, block)
    return [cache.look_up(prompt) for prompt in prompts]


def test_whole_blocks_at_the_beginning_are_found_again() -> None:
    first = list(range(11))
    assert looked_up([first, first]) == [0, 8]
    assert looked_up([first, [*range(7), 99, *range(8, 11)]]) == [0, 4]
    assert looked_up([first, [99, *range(1, 11)]]) == [0, 0]


def test_the_last_token_of_a_prompt_is_computed_even_if_it_is_known() -> None:
    assert looked_up([list(range(8))] * 2) == [0, 4]
    assert looked_up([list(range(8)), list(range(9))]) == [0, 8]


def test_equal_blocks_after_different_ones_are_not_the_same() -> None:
    assert looked_up([[1] * 4 + [2] * 5, [3] * 4 + [2] * 5, [2] * 9]) == [0, 0, 0]


def test_what_was_not_asked_for_longest_is_evicted_first_and_of_that_the_end() -> None:
    long, other = list(range(13)), list(range(50, 55))
    # Room for four blocks: the other one takes the place of the last of the long one's three ...
    assert looked_up([long, other, long], capacity=16) == [0, 0, 12]
    assert looked_up([long, other, other[::-1], long], capacity=16) == [0, 0, 0, 8]
    # ... and what is asked for again is kept.
    assert looked_up([long, other, long, other[::-1], other], capacity=16) == [0, 0, 12, 0, 0]


@given(PROMPTS, st.integers(1, 5))
def test_it_finds_the_longest_common_beginning_with_any_earlier_prompt(
    prompts: list[list[int]], block: int
) -> None:
    for place, hits in enumerate(looked_up(prompts, block=block)):
        prompt = prompts[place]
        whole = [n for n in range(0, max(1, len(prompt)), block) if n < max(1, len(prompt))]
        known = [n for n in whole if any(e[:n] == prompt[:n] for e in prompts[:place]) or n == 0]
        assert hits == max(known)


@given(PROMPTS, st.integers(1, 5))
def test_the_simulated_model_finds_as_much(prompts: list[list[int]], block: int) -> None:
    cache, found = KVCache(LOTS, block), []
    for prompt in prompts:
        chain = extended(Chain((), 0, ()), list(map(str, prompt)), block)
        allocation = cache.allocate(chain.hashes, len(prompt), len(prompt))
        assert allocation is not None
        found.append(max(0, allocation.cached_tokens))
        cache.free(allocation, chain.hashes)
    assert found == looked_up(prompts, block=block)


@given(PROMPTS, st.integers(4, 40))
def test_a_smaller_cache_never_finds_more(prompts: list[list[int]], capacity: int) -> None:
    lots = looked_up(prompts)
    assert all(few <= hits for few, hits in zip(looked_up(prompts, capacity), lots, strict=True))


def test_a_cache_without_room_for_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="15 tokens holds no block of 16"):
        PrefixCache(15)


def test_shares_of_nothing_are_nothing() -> None:
    share = Share()
    assert (share.hit_share, share.uncached_per_call) == (0.0, 0.0)
    share.add(100, 64)
    share.add(60, 16)
    assert (share.hit_share, share.uncached_per_call) == (0.5, 40.0)
