import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import DatasetDeclared
from services.instruction_generation.application import extended, ordered
from services.instruction_generation.kinds import load_kinds
from services.runtime.errors import NotFound, Rejected

KINDS = load_kinds()
REGIONS = st.dictionaries(st.text("abc", min_size=1), st.integers(1, 999), min_size=1, max_size=16)


def order(
    name: str = "d",
    size: int = 10,
    kind: str = "sft",
    regions: dict[str, int] | None = None,
    seed: int = 0,
    limits: dict[str, int] | None = None,
) -> DatasetDeclared:
    domain = "bees" if kind == "domain" else ""
    regions = regions or {"r00": 3, "r01": 1}
    return ordered(KINDS, name, kind, size, domain, regions, seed, 7.0, limits)


def granted(dataset: DatasetDeclared) -> dict[str, int]:
    return {grant.stratum: grant.granted for grant in dataset.grants}


def test_an_order_carries_all_that_its_kind_says() -> None:
    made = order(kind="domain", size=4)
    assert (made.dataset, made.kind, made.size, made.domain) == ("d", "domain", 4, "bees")
    assert (made.filter, made.created_at) == (KINDS["domain"].filter, 7.0)
    assert {requirement.text for requirement in made.requirements} == {"bees"}
    assert granted(made) == {"r00": 3, "r01": 1}


def test_requirements_are_shuffled_by_name_and_seed() -> None:
    one = order().requirements
    assert order().requirements == one
    assert order(seed=1).requirements != one
    assert order(name="e").requirements != one


def test_limits_of_a_weak_model_go_before_those_of_the_kind() -> None:
    assert order(limits={"max_response_tokens": 120}).filter.max_response_tokens == 120
    assert order().filter.max_response_tokens == KINDS["sft"].filter.max_response_tokens


@given(REGIONS, st.integers(1, 5000), st.integers(1, 5000))
def test_grants_sum_to_the_size_and_only_grow(
    regions: dict[str, int], size: int, more: int
) -> None:
    made = order(size=size, regions=regions)
    assert sum(granted(made).values()) == made.size == size
    larger = extended(made, more, regions)
    assert sum(granted(larger).values()) == larger.size == size + more
    assert all(granted(larger)[name] >= count for name, count in granted(made).items())
    assert (larger.requirements, larger.filter) == (made.requirements, made.filter)


def test_more_samples_may_go_to_regions_that_are_new() -> None:
    larger = extended(order(size=4, regions={"r01": 1}), 4, {"r00": 1, "r01": 1})
    assert granted(larger) == {"r00": 2, "r01": 6}


@pytest.mark.parametrize("name", ["d", "a.b-c_9", "9", "pão", "数据", "é" * 60])
def test_a_name_that_a_folder_can_have_is_taken(name: str) -> None:
    assert order(name).dataset == name
    assert len(name.encode()) < 255


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".d", "-d", "_d", "a/b", "../d", "a\\b", "a b", "a\n", "a:b", "a\0", "x" * 61],
)
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(Rejected, match="cannot be a folder's name: use letters, digits") as refusal:
        order(name)
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize("size", [0, -3])
def test_an_order_for_nothing_is_refused(size: int) -> None:
    with pytest.raises(Rejected, match=f"dataset 'd': size is {size}, it must be at least 1"):
        order(size=size)


def test_an_order_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(NotFound, match="unknown dataset kind 'poem'"):
        order(kind="poem")
