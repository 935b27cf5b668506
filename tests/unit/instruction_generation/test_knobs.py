"""Knobs are settled into one form, or refused with what was wrong and what is known."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.instruction_generation.knobs import (
    MAX_NAME,
    MAX_REQUIREMENTS,
    Knobs,
    check_benign,
    narrowed,
    settled,
)
from services.kinds import Kind, load_kinds
from services.runtime.errors import Rejected

KINDS = load_kinds()
SFT, SAFETY = KINDS["sft"], KINDS["safety"]


def test_a_kind_without_knobs_is_as_it_was() -> None:
    for kind in KINDS.values():
        assert narrowed(kind, settled(Knobs(), kind)) == kind


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_name_of_every_kind_is_taken_as_it_is(kind: Kind) -> None:
    # None of them is taken for a misspelt other one of its kind.
    knobs = Knobs(kind.categories, kind.complexities, kind.styles)
    assert settled(knobs, kind).categories == tuple(sorted(kind.categories))
    assert settled(knobs, kind).styles == tuple(sorted(kind.styles))


@pytest.mark.parametrize("own", ["knitting", "write a poem", "write a haiku", "explique um plano"])
def test_a_task_in_ones_own_words_is_taken(own: str) -> None:
    assert settled(Knobs((own,)), SFT).categories == (own,)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("write a short texts", "write a short text"),
        ("Write a shrot text", "write a short text"),
        ("brainstrom ideas", "brainstorm ideas"),
        ("explain how somethin works", "explain how something works"),
    ],
)
def test_a_name_that_is_misspelt_is_pointed_out(typed: str, meant: str) -> None:
    with pytest.raises(Rejected, match=f"looks like a misspelt '{meant}' of kind 'sft'") as refusal:
        settled(Knobs((typed,)), SFT)
    assert all(name in str(refusal.value) for name in SFT.categories)


@given(
    st.lists(st.sampled_from((*SFT.categories, "knitting", "sewing"))),
    st.lists(st.integers(1, 5)),
    st.randoms(use_true_random=False),
)
def test_settled_knobs_are_equal_when_they_mean_the_same(
    categories: list[str], complexities: list[int], random: Random
) -> None:
    knobs = settled(Knobs(tuple(categories), tuple(complexities)), SFT)
    random.shuffle(categories)
    random.shuffle(complexities)
    shouted = tuple(f"  {name.upper() if name in SFT.categories else name}" for name in categories)
    assert settled(Knobs(shouted, tuple(complexities)), SFT) == knobs
    assert settled(knobs, SFT) == knobs


@pytest.mark.parametrize(
    ("kind", "knobs", "problem"),
    [
        ("sft", Knobs(complexities=(0,)), r"complexity 0: give 1 .* those of kind 'sft' are 1, 2$"),
        ("sft", Knobs(complexities=(6,)), "complexity 6: give 1"),
        ("sft", Knobs(balance="equal"), "balance 'equal' is unknown; known: population, even"),
        ("sft", Knobs(steer="luck"), "steer 'luck' is unknown; known: none, acceptance, learnab"),
        ("sft", Knobs(steer="learnability"), "recipe 'answer' does not measure it, only code, rea"),
        ("sft", Knobs(categories=(" ",)), "category ' ': give 1 to 100 characters"),
        ("sft", Knobs(styles=("x" * (MAX_NAME + 1),)), "style 'x*': give 1 to 100 characters"),
        ("sft", Knobs(styles=("a\x00b",)), "can be printed"),
    ],
)
def test_a_knob_that_cannot_be_is_refused_with_the_known_values(
    kind: str, knobs: Knobs, problem: str
) -> None:
    with pytest.raises(Rejected, match=problem):
        settled(knobs, KINDS[kind])


def test_an_order_holds_so_many_requirements_and_no_more() -> None:
    def wide(count: int) -> Knobs:
        return settled(Knobs(tuple(f"task {n:03} of many" for n in range(count)), (1,)), plain)

    plain = replace(SFT, categories=("a",), styles=("b",))
    assert len(narrowed(plain, wide(MAX_REQUIREMENTS)).requirements("", 0)) == MAX_REQUIREMENTS
    with pytest.raises(Rejected, match=r"501 categories x 1 .* are 501 requirements: .* most 500"):
        narrowed(plain, wide(MAX_REQUIREMENTS + 1))


def test_a_style_of_safety_says_whether_the_request_is_harmful() -> None:
    kind = narrowed(SAFETY, settled(Knobs(styles=("benign, in a hurry", "harmful, angry")), SAFETY))
    assert {each.style for each in kind.requirements("", 0)} == set(kind.styles)
    with pytest.raises(Rejected, match="style 'curt' of kind 'safety': begin it with 'harmful'"):
        narrowed(SAFETY, settled(Knobs(styles=("curt",)), SAFETY))


def test_an_order_that_waits_for_benign_requests_asks_for_some() -> None:
    harmful = narrowed(SAFETY, settled(Knobs(styles=("harmful, asked straight",)), SAFETY))
    with pytest.raises(Rejected, match=r"is benign, but of the accepted samples 0\.2 are to be"):
        check_benign(harmful, 0.2)
    check_benign(harmful, 0.0)
    check_benign(SAFETY, 0.2)
    check_benign(SFT, 0.2)
