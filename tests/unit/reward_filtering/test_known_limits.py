"""What a card says is not checked, by the recipes that its samples were made by."""

import pytest

from services.kinds import RECIPES, load_kinds
from services.reward_filtering.card_text import cell
from services.reward_filtering.facts import recipes_of
from services.reward_filtering.known_limits import known_limits

UNKNOWN = "is not known here"


@pytest.mark.parametrize("kind", load_kinds())
def test_of_every_kind_it_is_told_what_is_not_checked(kind: str) -> None:
    lines = known_limits(recipes_of([kind]), True)
    (line,) = [line for line in lines if line.startswith(f"Kind {cell(kind)}: ")]
    assert UNKNOWN not in line


def test_every_recipe_has_limits_of_its_own() -> None:
    lines = [known_limits([(recipe, ["k"])], True) for recipe in RECIPES]
    assert len({tuple(line) for line in lines}) == len(RECIPES)


def test_kinds_of_one_recipe_share_a_line_and_an_unknown_one_says_so() -> None:
    assert recipes_of(["domain", "poetry](x)", "sft"]) == (
        ("answer", ("domain", "sft")),
        ("", ("poetry](x)",)),
    )
    lines = known_limits(recipes_of(["domain", "poetry](x)", "sft"]), True)
    assert any(line.startswith("Kind domain, sft: ") for line in lines)
    assert any(line.startswith("Kind poetry\\](x): ") and UNKNOWN in line for line in lines)


def test_code_is_told_to_have_run_against_tests_of_the_same_model() -> None:
    (line,) = [line for line in known_limits(recipes_of(["code"]), True) if "sandbox" in line]
    assert "tests that the same model wrote" in line


def test_what_the_static_stage_looks_for_was_not_looked_for_when_it_was_off() -> None:
    on, off = (" ".join(known_limits((), static)) for static in (True, False))
    assert "in the whole dataset" in on
    assert "near duplicates, personal data and overlap with benchmarks were not looked for" in off
    assert "in the whole dataset" not in off
    assert "by rules" not in off
