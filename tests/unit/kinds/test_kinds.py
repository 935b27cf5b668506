import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import kinds as built_in
from services.events import FilterSpec
from services.kinds import Kind, find_kind, load_kinds
from services.runtime.errors import NotFound, Rejected

FOLDER = Path(built_in.__file__).parent
KINDS = load_kinds()
NAMES = sorted(path.name for path in FOLDER.iterdir() if (path / "instruction.md").exists())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one kind, `poem`."""
    shutil.copytree(FOLDER / "sft", tmp_path / "poem")
    return tmp_path


def rewrite(folder: Path, line: str, replacement: str) -> None:
    path = folder / "poem" / "kind.toml"
    text = path.read_text()
    assert len(re.findall(line, text, re.MULTILINE)) == 1
    path.write_text(re.sub(line, replacement, text, flags=re.MULTILINE))


def domain_of(kind: Kind) -> str:
    return "hospital pharmacy" if kind.needs_domain else ""


def test_every_folder_is_a_kind() -> None:
    assert list(KINDS) == NAMES
    assert set(NAMES) == {
        "code", "domain", "dpo", "multi_turn", "reasoning", "safety", "sft",
    }  # fmt: skip


def test_what_a_kind_does_not_set_is_as_usual(folder: Path) -> None:
    rewrite(folder, "^min_distance = .*$", "")
    assert load_kinds(folder)["poem"].filter.min_distance == FilterSpec().min_distance


def test_the_budget_follows_acceptance_unless_the_kind_says_otherwise(folder: Path) -> None:
    assert load_kinds(folder)["poem"].steer == "acceptance"
    rewrite(folder, "^styles = ", 'steer = "none"\nstyles = ')
    assert load_kinds(folder)["poem"].steer == "none"


def test_a_prompt_that_the_recipe_has_no_use_for_is_named(folder: Path) -> None:
    (folder / "poem" / "tests.md").write_text("## user\nTests?")
    with pytest.raises(ValueError, match=r"recipe 'answer' has no use for tests\.md"):
        load_kinds(folder)


def test_a_kind_may_have_a_judge_of_its_own() -> None:
    assert "judge" in KINDS["safety"].prompts
    assert "judge" not in KINDS["sft"].prompts


def test_a_fifth_of_what_safety_asks_for_is_benign() -> None:
    requirements = KINDS["safety"].requirements("", 1)
    assert 5 * sum(r.style.startswith("benign") for r in requirements) >= len(requirements)


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_shows_persona_scenario_and_requirement(name: str) -> None:
    data = {key: f"the {key}" for key in ("persona", "summary", "category", "style", "text")}
    prompt = (
        KINDS[name]
        .prompts["instruction"]
        .render(**data, language="pt", complexity=4, actions=["Ada: bakes.", "Ben: eats."])
    )
    user = prompt[-1].content
    shown = ["the persona", "the summary", "the category", "the style", "4 of ", "- Ada: bakes."]
    if KINDS[name].needs_domain:
        shown.append("the text")
    assert [part for part in shown if part not in user] == []


def test_a_folder_more_is_a_kind_more(folder: Path) -> None:
    assert list(load_kinds(folder)) == ["poem"]
    shutil.copytree(folder / "poem", folder / "verse")
    rewrite(folder, "^complexities = .*$", "complexities = [5]")
    kinds = load_kinds(folder)
    assert list(kinds) == ["poem", "verse"]
    assert {r.complexity for r in kinds["poem"].requirements("", 0)} == {5}
    assert kinds["verse"].complexities == KINDS["sft"].complexities


@pytest.mark.parametrize(
    ("line", "replacement", "problem"),
    [
        ("^styles = .*$", "", "lacks styles"),
        ("^complexities = ", "complexity = ", "lacks complexities"),
        (
            "^styles = ",
            "colour = 1\nstyles = ",
            "unknown knobs: colour; known: description, rec",
        ),
        (r"^\[filter\]$", "", "lacks filter"),
        ('^recipe = "answer"$', 'recipe = "stew"', "recipe 'stew' is unknown; known: answer, pair"),
        ('^recipe = "answer"$', 'recipe = "code"', "'code' takes answer.md, tests.md beside it"),
        ("^reward_quantile = .*$", "reward_quantile = 1.5", "reward_quantile is 1.5: give 0"),
        ("^stages = .*$", 'stages = ["taste"]', "give each of static, response"),
        (
            "^responses = ",
            "answers = 1\nresponses = ",
            r"\[filter\] .* knobs: answers; known: stages",
        ),
        ("^responses = .*$", 'responses = "4"', r"\[filter\] responses is '4', expected the like"),
        ("^complexities = .*$", "complexities = 2", r"complexities is 2, expected the like of \(0"),
        ("^complexities = .*$", "complexities = []", r"complexities is \(\), expected the like"),
        ("^needs_domain = .*$", 'needs_domain = "no"', "needs_domain is 'no', expected the like"),
        ("^needs_domain = .*$", "needs_domain =", "Invalid value"),
        ("^styles = ", 'steer = "luck"\nstyles = ', "steer 'luck' is unknown; known: none"),
        ("^styles = ", 'steer = "learnability"\nstyles = ', "'answer' does not measure it"),
        ("^styles = ", "steer = 1\nstyles = ", "steer is 1, expected the like"),
    ],
)
def test_a_knob_that_is_missing_unknown_or_wrong_is_named_with_its_file(
    folder: Path, line: str, replacement: str, problem: str
) -> None:
    rewrite(folder, line, replacement)
    path = folder / "poem" / "kind.toml"
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{problem}"):
        load_kinds(folder)


def test_a_whole_number_does_for_a_fraction(folder: Path) -> None:
    rewrite(folder, "^max_jaccard = .*$", "max_jaccard = 1")
    assert load_kinds(folder)["poem"].filter.max_jaccard == 1.0


@given(st.sampled_from(NAMES), st.integers(0, 2**63))
def test_requirements_are_all_combinations_once(name: str, seed: int) -> None:
    kind = KINDS[name]
    requirements = kind.requirements(domain_of(kind), seed)
    cells = {(r.category, r.complexity, r.style) for r in requirements}
    count = len(kind.categories) * len(kind.complexities) * len(kind.styles)
    assert len(requirements) == len({r.requirement_id for r in requirements}) == len(cells) == count
    assert {r.category for r in requirements} == set(kind.categories)
    assert {r.complexity for r in requirements} == set(kind.complexities)
    assert {r.style for r in requirements} == set(kind.styles)
    assert {r.text for r in requirements} == {domain_of(kind)}


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_shuffled_by_the_seed(name: str) -> None:
    kind = KINDS[name]
    one, same, other = (kind.requirements(domain_of(kind), seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    # Any stretch is mixed: a small dataset has more than one category, style and complexity.
    start = one[:12]
    assert min(len({r.category for r in start}), len({r.style for r in start})) > 1


@pytest.mark.parametrize(("name", "domain"), [("sft", "pharmacy"), ("domain", ""), ("domain", " ")])
def test_a_field_is_given_where_it_is_needed_and_nowhere_else(name: str, domain: str) -> None:
    with pytest.raises(Rejected, match=f"kind '{name}' (needs a|takes no) requirement"):
        KINDS[name].requirements(domain, 0)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="unknown dataset kind 'poem'; known: code, domain, dpo"):
        find_kind(KINDS, "poem")
    assert find_kind(KINDS, "sft") is KINDS["sft"]
