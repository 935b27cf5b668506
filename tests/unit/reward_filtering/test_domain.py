"""A stratum is a function of its verdicts, and compares only what the same models measured."""

from dataclasses import replace

from services.events import FilterSpec, Provenance, SampleJudged
from services.reward_filtering.deciding import decided
from services.reward_filtering.domain import Stratum
from tests.unit.reward_filtering.test_deciding import pair, sample

SPEC = FilterSpec(stages=("static", "response", "rip", "margin"))


def by(made: SampleJudged, reward: str, student: str = "student") -> SampleJudged:
    provenance = Provenance("s", "g", "a", reward_model=reward, student_model=student)
    return replace(made, provenance=provenance)


def test_rewards_of_another_model_are_not_held_against_a_sample() -> None:
    stratum = Stratum(granted=1000)
    for number in range(40):
        stratum.apply(by(sample(number, rewards=(20.0 + number,)), "judge"))
    low = by(sample(40, rewards=(3.0,)), "judge")
    assert decided(SPEC, "answer", stratum, low).reason == "reward_quantile"
    logit = by(sample(41, rewards=(3.0,)), "reward-model")
    stratum.meet(logit)
    verdict = decided(replace(SPEC, stages=("response",)), "answer", stratum, logit)
    assert verdict.accepted
    stratum.apply(verdict)
    assert (stratum.rewards.count, stratum.reward_model) == (1, "reward-model")


def test_another_student_begins_its_own_band_and_keeps_the_rewards() -> None:
    stratum = Stratum(granted=1000)
    for number in range(30):
        stratum.apply(by(pair(number, 5.0, float(number)), "judge", "checkpoint-1"))
    assert (stratum.rewards.count, stratum.pairs.count) == (30, 30)
    stratum.apply(by(pair(30, 5.0, 1.0), "judge", "checkpoint-2"))
    assert (stratum.rewards.count, stratum.pairs.count) == (31, 1)
    # What has no student of its own changes nothing.
    stratum.apply(by(sample(31), "judge", ""))
    assert (stratum.rewards.count, stratum.pairs.count) == (32, 1)


def test_a_candidate_that_nothing_was_measured_of_changes_no_quantile() -> None:
    stratum = Stratum(granted=10)
    stratum.apply(by(sample(0), "judge"))
    stratum.meet(by(sample(1, chosen=-1, rewards=()), ""))
    assert (stratum.rewards.count, stratum.reward_model) == (1, "judge")


def test_verdicts_restore_the_state_that_they_made() -> None:
    made = [
        by(pair(n, 5.0 + n, 1.0), "a" if n < 7 else "b", "x" if n % 5 else "y") for n in range(20)
    ]
    first, again = Stratum(granted=9), Stratum(granted=9)
    for event in made:
        first.meet(event)
        first.apply(event)
    for event in made:
        assert again.apply(event)
        assert not again.apply(event)
    for one, other in ((first.rewards, again.rewards), (first.pairs.gap, again.pairs.gap)):
        assert (one.count, one.quantile(0.5)) == (other.count, other.quantile(0.5))
