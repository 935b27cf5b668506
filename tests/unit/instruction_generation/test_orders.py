from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import DatasetDeclared, Grant
from services.events.codec import CODECS
from services.instruction_generation.domain import Progress
from services.instruction_generation.knobs import Knobs
from services.instruction_generation.orders import (
    CHUNK,
    completed,
    created,
    deleted,
    extended,
    grown,
    is_settled,
    ordered,
    paused,
    rebalanced,
)
from services.instruction_generation.quotas import StratumProgress
from services.kinds import load_kinds
from services.runtime.errors import NotFound, Rejected
from services.runtime.object_store import table_uri
from services.runtime.settings import ObjectStoreSettings

KINDS = load_kinds()
REGIONS = st.dictionaries(st.text("abc", min_size=1), st.integers(1, 999), min_size=1, max_size=16)


def order(
    name: str = "d",
    size: int = 10,
    kind: str = "sft",
    regions: dict[str, int] | None = None,
    seed: int = 0,
    filters: dict[str, Any] | None = None,
    weight: float = 1.0,
    continuous: bool = False,
    domain: str = "bees",
    **knobs: Any,
) -> DatasetDeclared:
    domain = domain if kind == "domain" else ""
    regions = {"r00": 3, "r01": 1} if regions is None else regions
    return ordered(
        KINDS, name, kind, size, domain, regions, seed, 7.0, filters, weight, continuous,
        Knobs(**knobs),
    )  # fmt: skip


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
    assert order(filters={"max_response_tokens": 120}).filter.max_response_tokens == 120
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
    assert (made.revision, larger.revision) == (1, 2)
    assert (larger.requirements, larger.filter) == (made.requirements, made.filter)


def test_more_samples_may_go_to_regions_that_are_new() -> None:
    larger = extended(order(size=4, regions={"r01": 1}), 4, {"r00": 1, "r01": 1})
    assert granted(larger) == {"r00": 2, "r01": 6}


@pytest.mark.parametrize("name", ["d", "a.b-c_9", "9", "D" * 60])
def test_a_name_that_folder_and_bucket_can_have_is_taken(name: str) -> None:
    assert order(name).dataset == name
    assert table_uri(ObjectStoreSettings(url="s3://bucket"), name) == f"s3://bucket/{name}"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".d",
        "-d",
        "_d",
        "a/b",
        "../d",
        "a\\b",
        "a b",
        "a\n",
        "a:b",
        "a\0",
        "x" * 61,
        "pão",
    ],
)
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(
        Rejected, match="cannot be a folder's name: use letters of ASCII"
    ) as refusal:
        order(name)
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize("size", [0, -3, 10**9 + 1])
def test_an_order_for_nothing_is_refused(size: int) -> None:
    with pytest.raises(Rejected, match=f"dataset 'd': size is {size}, it must be at least 1"):
        order(size=size)


def test_an_order_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(NotFound, match="unknown dataset kind 'poem'"):
        order(kind="poem")


@pytest.mark.parametrize("weight", [0.0, -1.0, 1000.5, float("inf"), float("nan")])
def test_a_weight_that_is_no_share_is_refused(weight: float) -> None:
    with pytest.raises(Rejected, match=r"'d': weight is .*, give more than 0, at most 1000$"):
        order(weight=weight)
    assert order(weight=1000).weight == 1000


def test_an_order_that_cannot_be_stored_or_made_is_refused() -> None:
    with pytest.raises(Rejected, match="seed 9223372036854775808 does not fit in 64 bits"):
        order(seed=2**63)
    with pytest.raises(Rejected, match="no society to draw on; import agents first"):
        order(regions={})
    with pytest.raises(Rejected, match="requirement text of 2001 characters: give at most 2000"):
        order(kind="domain", domain="b" * 2001)


def test_settings_of_the_filter_can_be_overridden() -> None:
    overrides = {"stages": ["static"], "responses": 2, "min_distance": 0, "max_jaccard": 0.5}
    spec = order(filters=overrides).filter
    assert (spec.stages, spec.responses, spec.min_distance) == (("static",), 2, 0)
    assert spec.min_instruction_words == KINDS["sft"].filter.min_instruction_words


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"response": 2}, "filter setting 'response' is unknown"),
        ({"responses": "2"}, "filter setting responses is '2': give the like of 4"),
        ({"responses": 2.5}, "filter setting responses is 2.5"),
        ({"responses": True}, "filter setting responses is True"),
        ({"responses": 0}, "filter setting responses is 0: give 1 to 64"),
        ({"stages": "static"}, "filter setting stages is 'static'"),
        ({"stages": []}, "filter setting stages is ()"),
        ({"stages": ["magic"]}, "filter stages"),
        ({"max_jaccard": float("nan")}, "filter setting max_jaccard is nan"),
        ({"min_response_words": 900}, "min_response_words 900 is above max_response_words 800"),
    ],
)
def test_a_setting_of_the_filter_that_is_none_is_refused(
    overrides: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Rejected) as refusal:
        order(filters=overrides)
    assert problem in str(refusal.value)


def test_the_same_order_again_is_the_one_in_force() -> None:
    assert created(None, order()) == order()
    known = paused(extended(order(continuous=True), 5, {"r00": 1}), True)
    assert created(known, order(continuous=True)) is known
    assert created(order(kind="domain"), order(kind="domain", domain=" bees ")) == order(
        kind="domain"
    )


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (order(kind="domain"), "kind 'sft', not 'domain'"),
        (order(size=11), "size 10, not 11"),
        (order(weight=2.0), "weight 1.0, not 2.0"),
        (order(seed=1), "seed 0, not 1"),
        (order(continuous=True), "continuous False, not True"),
        (order(filters={"responses": 2}), "filter FilterSpec"),
    ],
)
def test_another_order_of_the_same_name_is_refused_and_told_why(
    other: DatasetDeclared, field: str
) -> None:
    with pytest.raises(Rejected, match="dataset 'd' exists with ") as refusal:
        created(order(), other)
    assert field in str(refusal.value)


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (order(categories=("knitting",)), r"categories \(\), not \('knitting',\)"),
        (order(complexities=(1,)), r"complexities \(\), not \(1,\)"),
        (order(styles=("curt",)), "styles"),
        (order(balance="even"), "balance 'population', not 'even'"),
        (order(steer="none"), "steer 'acceptance', not 'none'"),
    ],
)
def test_an_order_with_other_knobs_is_another_order(other: DatasetDeclared, field: str) -> None:
    with pytest.raises(Rejected, match=f"dataset 'd' exists with {field}"):
        created(order(), other)
    assert created(other, other) is other


def test_knobs_narrow_what_is_asked_for_however_they_are_written() -> None:
    made = order(
        categories=("compare options", " Write a  SHORT text", "knitting"),
        complexities=(5, 1, 5),
        styles=("short command",),
    )
    assert made.categories == ("compare options", "knitting", "write a short text")
    assert (made.complexities, made.styles) == ((1, 5), ("short command",))
    cells = {(r.category, r.complexity, r.style) for r in made.requirements}
    assert cells == {(c, n, "short command") for c in made.categories for n in (1, 5)}
    again = order(
        categories=("write a short text", "knitting", "compare options"),
        complexities=(1, 5),
        styles=("Short command", "short command"),
    )
    assert again == made
    assert created(made, again) is made


@given(REGIONS, st.integers(1, 5000), st.integers(1, 5000))
def test_a_balanced_order_gives_every_region_the_same(
    regions: dict[str, int], size: int, more: int
) -> None:
    made = order(size=size, regions=regions, balance="even")
    assert max(granted(made).values()) - min(granted(made).values()) <= 1
    larger = granted(extended(made, more, regions))
    assert sum(larger.values()) == size + more
    assert max(larger.values()) - min(larger.values()) <= 2
    by_agents = granted(order(size=size, regions=regions))
    assert granted(order(size=size, regions=regions, balance="population")) == by_agents


def test_where_the_budget_goes_is_as_the_kind_says_unless_it_is_ordered() -> None:
    assert {name: order(kind=name).steer for name in KINDS} == {
        name: "learnability" if name in ("code", "reasoning") else "acceptance" for name in KINDS
    }
    assert order(kind="code", steer="none").steer == "none"


def test_an_order_of_an_earlier_version_means_what_it_meant() -> None:
    fields = DatasetDeclared.__dataclass_fields__.keys() - {
        "weight", "categories", "complexities", "styles", "balance", "steer",
    }  # fmt: skip
    made = order()
    codec = CODECS["DatasetDeclared"]
    message = codec.to_message(made)
    for name in DatasetDeclared.__dataclass_fields__.keys() - fields:
        message.ClearField(name)
    message.filter.ClearField("tell_response_words")
    old = codec.decode(message.SerializeToString())
    assert (old.balance, old.steer, old.weight, old.categories) == ("", "", 0.0, ())
    assert completed(old) == made
    assert created(completed(old), order()) == made


def test_every_change_has_a_higher_revision_and_what_changes_nothing_is_none() -> None:
    stopped = paused(order(), True)
    assert (stopped.paused, stopped.revision) == (True, 2)
    assert paused(stopped, True) is stopped
    assert (paused(stopped, False).paused, paused(stopped, False).revision) == (False, 3)
    ended = deleted(stopped)
    assert (ended.deleted, ended.revision) == (True, 3)
    for change in (deleted, lambda each: paused(each, False)):
        with pytest.raises(NotFound, match="dataset 'd' was deleted"):
            change(ended)
    with pytest.raises(Rejected, match="was deleted, its samples are kept under that name"):
        created(ended, order())


@given(REGIONS, st.integers(1, 5000), st.integers(0, 5000))
def test_a_continuous_order_has_half_a_chunk_left_after_it_has_grown(
    regions: dict[str, int], size: int, accepted: int
) -> None:
    accepted = min(accepted, size)
    known = order(size=size, regions=regions, continuous=True)
    larger = grown(known, accepted, regions)
    chunk = min(size, CHUNK)
    assert 2 * (larger.size - accepted) >= chunk
    assert larger.size in (size, size + chunk)
    assert sum(granted(larger).values()) == larger.size
    assert grown(larger, accepted, regions) is larger
    assert grown(known, accepted, {}) is known
    fixed = order(size=size, regions=regions)
    assert grown(fixed, accepted, regions) is fixed


SMALL = st.integers(0, 6)


@given(
    st.dictionaries(
        st.sampled_from(("r00", "r01", "r02")),
        st.builds(Progress, SMALL, SMALL, SMALL, SMALL, failures=SMALL),
        min_size=1,
    ),
    st.sets(st.sampled_from(("r00", "r01", "r02"))),
    st.integers(1, 12),
    st.data(),
)
def test_of_a_settled_order_nothing_is_moved_whatever_its_strata_are_worth(
    strata: dict[str, Progress], unknown: set[str], size: int, data: st.DataObject
) -> None:
    grants = tuple(
        Grant(name, each.granted, each.recall)
        for name, each in sorted(strata.items())
        if name not in unknown
    )
    dataset = replace(order(size=size), grants=grants)
    told = {
        name: StratumProgress(
            each.granted,
            each.recall,
            each.released,
            each.accepted,
            data.draw(st.integers(0, 50)),
            data.draw(st.booleans()),
            data.draw(st.floats(0.01, 10)),
            data.draw(SMALL),
        )
        for name, each in strata.items()
    }
    if is_settled(dataset, strata):
        assert rebalanced(dataset, told) is dataset


def test_an_order_is_settled_until_a_stratum_is_full_or_quota_is_free() -> None:
    dataset = order(size=8)
    strata = {"r00": Progress(6, accepted=5), "r01": Progress(2, accepted=1)}
    assert is_settled(dataset, strata)
    assert not is_settled(dataset, {**strata, "r01": Progress(2, accepted=2)})
    assert not is_settled(replace(dataset, size=9), strata)
    assert not is_settled(dataset, {**strata, "r02": Progress()})
    assert not is_settled(dataset, {**strata, "r01": Progress(3, accepted=1)})
