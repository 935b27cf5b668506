"""The budget follows the acceptance rates, and no requirement is given up."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import Provenance, Requirement, SampleJudged, Usage
from services.instruction_generation.steering import CHEAPEST, ELSEWHERE, FLOOR, Outcomes
from services.kinds import STEERS

STRATA = ("r00", "r01", "r02", "r03")


def asked(count: int) -> tuple[Requirement, ...]:
    return tuple(Requirement(f"r{n:03}", f"task {n % 24}", 1, "plain") for n in range(count))


def verdict(
    stratum: str,
    requirement: Requirement,
    accepted: bool,
    reason: str,
    learnability: float | None = None,
    tokens: int = 0,
) -> SampleJudged:
    return SampleJudged(
        "id",
        "d",
        stratum,
        "sft",
        requirement,
        accepted,
        "" if accepted else reason,
        "response",
        (),
        Provenance("s", "g", "a"),
        scores={} if learnability is None else {"learnability": learnability},
        usage=Usage(1, tokens // 3, tokens - tokens // 3),
    )


@dataclass(frozen=True)
class Nature:
    """How candidates turn out; only their verdicts tell it to who steers."""

    rate: float
    """Of acceptance."""
    learnability: float = 0.2
    """Mean of the accepted ones."""
    tokens: int = 900

    def verdict(self, stratum: str, requirement: Requirement, random: Random) -> SampleJudged:
        accepted = random.random() < self.rate
        spread = random.uniform(0.8, 1.2)
        return verdict(
            stratum,
            requirement,
            accepted,
            "too_hard",
            min(0.25, spread * self.learnability),
            round(random.uniform(0.5, 1.5) * self.tokens),
        )


def spent(
    natures: Sequence[Nature],
    candidates: int,
    learn: bool = True,
    seed: int = 0,
    steer: str = "acceptance",
) -> list[tuple[str, str]]:
    """Return stratum and requirement of each candidate, whose requirements have these natures."""
    requirements, outcomes, random = asked(len(natures)), Outcomes(), Random(seed)
    numbers, found = Counter[str](), []
    for place in range(candidates):
        stratum = STRATA[place % len(STRATA)]
        chosen = outcomes.choose(
            stratum, requirements, numbers[stratum], random.getrandbits(60), steer
        )
        numbers[stratum] += 1
        found.append((stratum, chosen.requirement_id))
        if learn:
            nature = natures[requirements.index(chosen)]
            outcomes.add(nature.verdict(stratum, chosen, random))
    return found


NATURES = {
    "acceptance": ("acceptance", Nature(0.7), Nature(0.3)),
    "learnability": ("learnability", Nature(0.7, 0.24), Nature(0.7, 0.07)),
    "learnability against acceptance": ("learnability", Nature(0.6, 0.24), Nature(0.8, 0.04)),
    "tokens": ("acceptance", Nature(0.5, tokens=500), Nature(0.5, tokens=1500)),
    "tokens against acceptance": ("acceptance", Nature(0.4, tokens=400), Nature(0.7, tokens=2000)),
    "learnability per token": (
        "learnability",
        Nature(0.5, 0.20, tokens=600),
        Nature(0.6, 0.24, tokens=2400),
    ),
}


@pytest.mark.parametrize(
    ("what", "count"),
    [
        *((what, count) for what in NATURES for count in (8, 24)),
        *((what, 96) for what in ("acceptance", "learnability", "tokens")),
    ],
)
def test_after_500_candidates_four_fifths_of_the_budget_go_to_the_better_half(
    what: str, count: int
) -> None:
    steer, better, worse = NATURES[what]
    natures = [better if n % 2 else worse for n in range(count)]
    shares = []
    for seed in range(3):
        later = spent(natures, 1000, seed=seed, steer=steer)[500:]
        shares.append(sum(natures[int(name[1:])] is better for _, name in later) / len(later))
        for stratum in STRATA:  # Rounds of the floor, counted in the candidates of the stratum.
            places = [int(name[1:]) for where, name in later if where == stratum]
            worst = sum(natures[place] is worse for place in places) / len(places)
            assert worst >= 0.3 / FLOOR
    print(f"{what}, {count} requirements: {min(shares):.3f} to {max(shares):.3f}")
    assert min(shares) >= 0.8


def test_nothing_is_preferred_before_anything_is_known() -> None:
    counts = Counter(name for _, name in spent([Nature(0.5)] * 8, 4000, learn=False))
    assert min(counts.values()) > 0.7 * 4000 / 8


def test_every_requirement_of_every_stratum_is_tried_however_bad_it_is() -> None:
    natures = [Nature(rate) for rate in (0.0, 0.9, 0.9, 0.9)]
    counts = Counter(spent(natures, 4 * 400))
    for stratum in STRATA:
        for requirement in asked(4):
            assert counts[stratum, requirement.requirement_id] >= 400 // FLOOR // 4


def test_the_better_half_is_used_all_over_and_not_its_best_alone() -> None:
    natures = [Nature(rate) for rate in (0.9, 0.8, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1)]
    counts = Counter(name for _, name in spent(natures, 2000)[500:])
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
    natures = [Nature(0.2), Nature(0.8, 0.1), Nature(0.5, tokens=99)]
    for steer in STEERS:
        assert spent(natures, 300, steer=steer) == spent(natures, 300, steer=steer)


def test_without_steering_the_requirements_take_turns_whatever_their_verdicts() -> None:
    counts = Counter(spent([Nature(0.0), Nature(1.0), Nature(0.5)], 4 * 300, steer="none"))
    assert set(counts.values()) == {100}


def test_a_reward_counts_as_part_of_a_success_and_the_rest_as_part_of_a_failure() -> None:
    outcomes, (requirement,) = Outcomes(), asked(1)
    outcomes.add(verdict("r00", requirement, True, "", learnability=0.2))
    outcomes.add(verdict("r00", requirement, False, "too_easy", learnability=0.2))
    alpha, beta = outcomes.posterior("r00", requirement, "learnability")
    prior = 1 / (1 + (1.2 + 1) / (0.8 + 1))  # Of 2 candidates with a reward of 0.8 in all.
    assert alpha == pytest.approx(8 * prior + 0.8)
    assert beta == pytest.approx(8 * (1 - prior) + 1.2)
    assert outcomes.posterior("r00", requirement) == (5.0, 5.0)


def test_a_verdict_that_measured_no_learnability_teaches_nothing_by_it() -> None:
    outcomes, (requirement,) = Outcomes(), asked(1)
    outcomes.add(verdict("r00", requirement, True, ""))
    alpha, beta = outcomes.posterior("r00", requirement, "learnability")
    assert alpha < beta


def test_a_requirement_of_twice_the_tokens_is_worth_half() -> None:
    outcomes = Outcomes()
    dear, cheap = Requirement("a", "x", 1, "s"), Requirement("b", "y", 1, "s")
    for _ in range(400):
        outcomes.add(verdict("r00", dear, True, "", tokens=1200))
        outcomes.add(verdict("r00", cheap, True, "", tokens=600))
    ratio = outcomes.cost("r00", dear) / outcomes.cost("r00", cheap)
    assert ratio == pytest.approx(2.0, rel=0.01)


def test_tokens_that_nobody_counted_make_no_difference() -> None:
    outcomes, requirements = Outcomes(), asked(3)
    for requirement in requirements[:2]:
        outcomes.add(verdict("r00", requirement, True, ""))
    assert [outcomes.cost("r00", each) for each in requirements] == [1.0, 1.0, 1.0]


def test_a_candidate_that_fails_before_it_costs_anything_is_no_bargain() -> None:
    outcomes = Outcomes()
    free, paid = Requirement("a", "x", 1, "s"), Requirement("b", "y", 2, "t")
    for _ in range(100):
        outcomes.add(verdict("r00", free, False, "refusal"))
        outcomes.add(verdict("r00", paid, True, "", tokens=1000))
    assert outcomes.cost("r00", free) == CHEAPEST
    assert [outcomes.choose("r00", (free, paid), n, n) for n in range(1, 10)] == [paid] * 9


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(STRATA),
        st.integers(0, 5),
        st.booleans(),
        st.floats(0, 0.25) | st.none(),
        st.integers(0, 10_000),
    ),
    max_size=60,
)


@given(EVENTS, st.sampled_from(STEERS), st.integers(0, 2**63))
def test_whatever_the_verdicts_everything_is_positive_and_shares_make_up_the_whole(
    events: list[tuple[str, int, bool, float | None, int]], steer: str, seed: int
) -> None:
    outcomes, requirements = Outcomes(), asked(6)
    for stratum, number, accepted, learnability, tokens in events:
        outcomes.add(
            verdict(stratum, requirements[number], accepted, "length", learnability, tokens)
        )
    for stratum in STRATA:
        assert 0 < outcomes.value(stratum, steer) < math.inf
        for requirement in requirements:
            assert min(outcomes.posterior(stratum, requirement, steer)) > 0
            assert CHEAPEST <= outcomes.cost(stratum, requirement) < math.inf
        assert outcomes.choose(stratum, requirements, 1, seed, steer) in requirements
    for count in range(len(STRATA) + 1):
        shares = outcomes.shares(STRATA[:count], seed, steer)
        assert shares.keys() == set(STRATA[:count])
        assert all(each >= 1 / FLOOR for each in shares.values())
        assert count - 1e-9 <= sum(shares.values()) <= count * (1 + 1 / FLOOR)
        assert shares == outcomes.shares(reversed(STRATA[:count]), seed, steer)


def plain_estimates(
    samples: Sequence[SampleJudged], stratum: str, requirement: Requirement, steer: str
) -> tuple[float, float, float]:
    """Return alpha, beta and cost of one requirement, straight from the verdicts."""

    def sums(of: Callable[[SampleJudged], bool]) -> tuple[float, float, float]:
        found = [sample for sample in samples if of(sample)]
        rewards = (
            each.accepted
            * (min(1.0, each.scores.get("learnability", 0.0) / 0.25) if "learn" in steer else 1.0)
            for each in found
        )
        tokens = (each.usage.prompt_tokens + each.usage.completion_tokens for each in found)
        return len(found), math.fsum(rewards), sum(tokens)

    def log_odds(counted: tuple[float, float, float]) -> float:
        return math.log((counted[1] + 1) / (counted[0] - counted[1] + 1))

    def shared(field: str) -> tuple[float, float, float]:
        value = getattr(requirement, field)
        return sums(lambda sample: bool(getattr(sample.requirement, field) == value))

    every = sums(lambda sample: True)
    usual = every[2] / max(1, every[0])
    named = [shared(field) for field in ("category", "complexity", "style")]
    odds = log_odds(every) + sum(log_odds(each) - log_odds(every) for each in named)
    prior = 1 / (1 + math.exp(-odds))
    same = requirement.requirement_id
    own = sums(lambda s: s.requirement.requirement_id == same and s.stratum == stratum)
    other = sums(lambda s: s.requirement.requirement_id == same and s.stratum != stratum)
    count, reward, tokens = (o + ELSEWHERE * e for o, e in zip(own, other, strict=True))
    expected = math.prod(
        max(CHEAPEST, (each[2] + 2 * usual) / (each[0] + 2) / usual) if usual else 1.0
        for each in named
    )
    cost = (tokens / usual + 2 * max(CHEAPEST, expected)) / (count + 2) if usual else 1.0
    return 8 * prior + reward, 8 * (1 - prior) + count - reward, max(CHEAPEST, cost)


@given(EVENTS, st.sampled_from(("acceptance", "learnability")), st.sampled_from((1, 6, 40)))
def test_estimates_follow_from_the_verdicts_however_they_were_gathered(
    events: list[tuple[str, int, bool, float | None, int]], steer: str, known: int
) -> None:
    outcomes, requirements, samples = Outcomes(), asked(40), list[SampleJudged]()
    for stratum, number, accepted, learnability, tokens in events:
        # Asked for between the verdicts, of a growing number of requirements.
        outcomes.choose(stratum, requirements[:known], 1, 0, steer)
        samples.append(
            verdict(stratum, requirements[7 * number], accepted, "length", learnability, tokens)
        )
        outcomes.add(samples[-1])
    for stratum in STRATA:
        for requirement in requirements[::3]:
            alpha, beta, cost = plain_estimates(samples, stratum, requirement, steer)
            assert outcomes.posterior(stratum, requirement, steer) == pytest.approx((alpha, beta))
            if steer == "acceptance":
                assert outcomes.cost(stratum, requirement) == pytest.approx(cost)


def test_strata_share_equally_before_anything_is_known_and_without_steering() -> None:
    outcomes = Outcomes()
    assert all(0.7 < each < 1.3 for each in outcomes.shares(STRATA, 0, "acceptance").values())
    assert [outcomes.value(each, "acceptance") for each in STRATA] == [1.0] * 4
    for _ in range(50):
        outcomes.add(verdict("r00", asked(1)[0], True, "", tokens=10))
        outcomes.add(verdict("r01", asked(1)[0], False, "length", tokens=1000))
    assert outcomes.shares(STRATA, 0, "none") == dict.fromkeys(STRATA, 1.0)
    assert [outcomes.value(each, "none") for each in STRATA] == [1.0] * 4


@pytest.mark.parametrize("what", NATURES)
def test_after_500_candidates_four_fifths_of_the_work_are_in_the_better_half_of_the_strata(
    what: str,
) -> None:
    steer, better, worse = NATURES[what]
    natures = dict(zip(STRATA, (better, worse, worse, better), strict=True))
    (requirement,) = asked(1)
    shares, least = [], []
    for seed in range(5):
        outcomes, random, counts = Outcomes(), Random(seed), Counter[str]()
        for place in range(1500):
            now = outcomes.shares(STRATA, seed, steer)
            # Throughput goes by what is in work.
            (stratum,) = random.choices(list(now), list(now.values()))
            outcomes.add(natures[stratum].verdict(stratum, requirement, random))
            counts[stratum] += place >= 500
        shares.append(sum(counts[each] for each in STRATA if natures[each] is better) / 1000)
        least.append(min(counts.values()) / 1000)
    print(f"{what}: {min(shares):.3f} to {max(shares):.3f}; least stratum {min(least):.3f}")
    assert min(shares) >= 0.8
    # A tenth of an equal share is 25 of 1000; less three standard deviations of the simulation.
    assert min(least) >= 0.25 / FLOOR - 3 * math.sqrt(0.25 / FLOOR / 1000)


def test_a_stratum_is_valued_by_what_it_brings_for_its_tokens() -> None:
    outcomes, (requirement,), random = Outcomes(), asked(1), Random(0)
    natures = {"r00": Nature(0.8, 0.2, 600), "r01": Nature(0.8, 0.1, 600), "r02": Nature(0.4, 0.2)}
    for _ in range(1000):
        for stratum, nature in natures.items():
            outcomes.add(nature.verdict(stratum, requirement, random))
    by_acceptance = [outcomes.value(each, "acceptance") for each in natures]
    by_learnability = [outcomes.value(each, "learnability") for each in natures]
    assert by_acceptance[0] / by_acceptance[1] == pytest.approx(1.0, abs=0.1)
    assert by_acceptance[0] / by_acceptance[2] == pytest.approx(3.0, rel=0.1)
    assert by_learnability[0] / by_learnability[1] == pytest.approx(2.0, rel=0.1)
    assert by_learnability[0] / by_learnability[2] == pytest.approx(3.0, rel=0.1)
