from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@st.composite
def bred(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A valid input with some bytes replaced, taken out or put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 8)))
        data = data[:begin] + draw(st.binary(max_size=8)) + data[end:]
    return data


@each_target
def test_valid_inputs_are_taken(target: Target) -> None:
    for seed in (*target.seeds, b""):
        target.take(seed)


@each_target
def test_no_input_raises_anything_but_what_is_documented(target: Target) -> None:
    # The same ones every time; `make fuzz` looks for others.
    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(st.binary(max_size=200) | bred(target.seeds))
    def take(data: bytes) -> None:
        target.take(data)

    any_take: Any = take
    any_take()
