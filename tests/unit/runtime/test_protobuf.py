"""What becomes of a value's fields on the way to a message and back."""

import dataclasses
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix.events.v1 import events_pb2 as pb

from services.events import PopulationSet
from services.runtime.errors import Rejected
from services.runtime.protobuf import Codec

LIMITS = Codec(PopulationSet, pb.PopulationSet)
numbers = st.integers(-(2**63), 2**63 - 1)


@given(st.none() | numbers)
def test_an_optional_number_is_none_exactly_when_it_is_absent(number: int | None) -> None:
    data = LIMITS.encode(PopulationSet(number, 0.0))
    assert pb.PopulationSet.FromString(data).HasField("max_agents") is (number is not None)
    assert LIMITS.decode(data).max_agents == number


def test_no_limit_and_a_limit_of_nobody_are_told_apart() -> None:
    assert LIMITS.decode(LIMITS.encode(PopulationSet(0, 0.0))).max_agents == 0
    assert LIMITS.decode(LIMITS.encode(PopulationSet(None, 0.0))).max_agents is None
    assert LIMITS.decode(b"").max_agents is None


def test_an_optional_number_of_a_foreign_writer_is_read_as_it_says() -> None:
    assert LIMITS.decode(pb.PopulationSet(max_agents=0).SerializeToString()).max_agents == 0
    assert LIMITS.decode(pb.PopulationSet(max_agents=7).SerializeToString()).max_agents == 7
    assert LIMITS.decode(pb.PopulationSet(set_at=1.5).SerializeToString()).max_agents is None


def test_a_repeated_optional_number_counts_as_its_last_one() -> None:
    parts = [PopulationSet(3, 0.0), PopulationSet(0, 0.0)]
    assert LIMITS.decode(b"".join(map(LIMITS.encode, parts))).max_agents == 0


@dataclass(frozen=True, slots=True)
class _NoneInAPlainField:
    region: str | None
    hungry: bool = False
    reason: str = ""


def test_a_plain_field_of_the_file_cannot_be_declared_optional() -> None:
    # Its absence cannot be seen: read as None, it would not be what was written.
    codec = Codec(_NoneInAPlainField, pb.Appetite)
    with pytest.raises(ValueError, match="region"):
        codec.decode(codec.encode(_NoneInAPlainField(None)))


@given(st.none() | numbers, st.floats(allow_nan=False))
def test_equal_values_are_equal_bytes(number: int | None, at: float) -> None:
    value = PopulationSet(number, at)
    assert LIMITS.encode(value) == LIMITS.encode(dataclasses.replace(value))


def test_a_number_cut_off_is_rejected() -> None:
    whole = LIMITS.encode(PopulationSet(2**40, 0.0))
    with pytest.raises(Rejected, match=r"are no matrix\.events\.v1\.PopulationSet"):
        LIMITS.decode(whole[:-1])
