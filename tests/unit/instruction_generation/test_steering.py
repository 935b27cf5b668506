"""The budget follows the acceptance rates, and no requirement is given up."""

from collections import Counter
from random import Random

import pytest

from services.events import Provenance, Requirement, SampleJudged
from services.instruction_generation.steering import FLOOR, Outcomes

STRATA = ("r00", "r01", "r02", "r03")


def asked(count: int) -> tuple[Requirement, ...]:
    return tuple(Requirement(f"r{n:03}", f"task {n % 24}", 1, "plain") for n in range(count))


def verdict(stratum: str, requirement: Requirement, accepted: bool, reason: str) -> SampleJudged:
    reason = "" if accepted else reason
    source = Provenance("s", "g", "a")
    return SampleJudged(
        "id", "d", stratum, "sft", requirement, accepted, reason, "response", (), source
    )


def spent(
    rates: list[float], candidates: int, learn: bool = True, seed: int = 0
) -> list[tuple[str, str]]:
    """Return stratum and requirement of each candidate, whose acceptance has these rates."""
    requirements, outcomes, random = asked(len(rates)), Outcomes(), Random(seed)
    numbers, found = Counter[str](), []
    for place in range(candidates):
        stratum = STRATA[place % len(STRATA)]
        chosen = outcomes.choose(stratum, requirements, numbers[stratum], random.getrandbits(60))
        numbers[stratum] += 1
        found.append((stratum, chosen.requirement_id))
        if learn:
            accepted = random.random() < rates[requirements.index(chosen)]
            outcomes.add(verdict(stratum, chosen, accepted, "reward_quantile"))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [8, 24, 96])
def test_after_500_candidates_four_fifths_of_the_budget_go_to_the_better_half(
    count: int, seed: int
) -> None:
    rates = [0.7 if n % 2 else 0.3 for n in range(count)]
    later = spent(rates, 1500, seed=seed)[500:]
    share = sum(rates[int(name[1:])] > 0.5 for _, name in later) / len(later)
    print(f"{count} requirements: {share:.3f} of the budget on the better half")
    assert share >= 0.8


def test_nothing_is_preferred_before_anything_is_known() -> None:
    counts = Counter(name for _, name in spent([0.5] * 8, 4000, learn=False))
    assert min(counts.values()) > 0.7 * 4000 / 8


def test_every_requirement_of_every_stratum_is_tried_however_bad_it_is() -> None:
    rates = [0.0, 0.9, 0.9, 0.9]
    counts = Counter(spent(rates, 4 * 400))
    for stratum in STRATA:
        for requirement in asked(4):
            assert counts[stratum, requirement.requirement_id] >= 400 // FLOOR // 4


def test_the_better_half_is_used_all_over_and_not_its_best_alone() -> None:
    rates = [0.9, 0.8, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1]
    counts = Counter(name for _, name in spent(rates, 2000)[500:])
    assert all(counts[f"r{n:03}"] > 150 for n in range(4))


def test_a_full_quota_is_no_fault_of_what_was_asked() -> None:
    outcomes, (requirement,) = Outcomes(), asked(1)
    outcomes.add(verdict("r00", requirement, False, "quota_full"))
    assert outcomes.posterior("r00", requirement) == (4.0, 4.0)
    outcomes.add(verdict("r00", requirement, False, "refusal"))
    outcomes.add(verdict("r01", requirement, True, ""))
    # The prior is at one half again; a verdict of another stratum counts half.
    assert outcomes.posterior("r00", requirement) == (4.5, 5.0)
    assert outcomes.posterior("r02", requirement) == (4.5, 4.5)


def test_a_requirement_that_is_new_is_judged_by_its_category() -> None:
    tried, like, unlike = (
        Requirement("a", "estimate", 1, "x"),
        Requirement("b", "estimate", 2, "y"),
        Requirement("c", "explain", 2, "y"),
    )
    outcomes = Outcomes()
    for _ in range(8):
        outcomes.add(verdict("r00", tried, False, "refusal"))
    means = [a / (a + b) for a, b in (outcomes.posterior("r00", r) for r in (tried, like, unlike))]
    assert means[0] < means[1] < means[2]


def test_equal_states_and_seeds_choose_alike() -> None:
    assert spent([0.2, 0.8, 0.5], 300) == spent([0.2, 0.8, 0.5], 300)
