import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.ids import derived_id, derived_seed

NAMES = st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=8)
CAUSES = st.lists(NAMES | st.integers(), max_size=4).map(tuple)


@given(NAMES, CAUSES, NAMES, CAUSES)
def test_ids_are_equal_exactly_where_kind_and_causes_are(
    kind: str, causes: tuple[object, ...], other: str, others: tuple[object, ...]
) -> None:
    same = [kind, *map(str, causes)] == [other, *map(str, others)]
    assert (derived_id(kind, *causes) == derived_id(other, *others)) == same
    assert derived_id(kind, *causes) == derived_id(kind, *causes)


def test_causes_that_only_join_to_the_same_text_are_told_apart() -> None:
    ids = [("a", "b", "c"), ("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""), ("a", "c", "b")]
    assert len({derived_id(*causes) for causes in ids}) == len(ids)


def test_an_id_is_a_uuid_of_version_5() -> None:
    assert uuid.UUID(derived_id("action", "group", 3, "agent")).version == 5


@given(CAUSES)
def test_seeds_fit_a_signed_64_bit_field_and_follow_from_their_causes(
    causes: tuple[object, ...],
) -> None:
    seed = derived_seed(*causes)
    assert 0 <= seed < 2**63
    assert seed == derived_seed(*causes) != derived_seed(*causes, "more")


def test_ids_that_logs_and_datasets_already_hold_keep_their_meaning() -> None:
    assert derived_id("action", "group", 3, "agent") == "cd2b5c38-b041-5056-8c33-6b55dc2293c7"
    assert derived_seed("unit", "call") == 7772011865034697729
