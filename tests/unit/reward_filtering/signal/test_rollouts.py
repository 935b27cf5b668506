import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from services.reward_filtering.signal.rollouts import SuccessBand

RATES = st.fractions(min_value=0, max_value=1, max_denominator=12)


@st.composite
def bands(draw: st.DrawFn, most: int = 8) -> SuccessBand:
    total = draw(st.integers(1, most))
    low, high = sorted((draw(RATES), draw(RATES)))
    assume(math.ceil(low * total) <= math.floor(high * total))
    return SuccessBand(low, high, draw(st.integers(1, total)), total)


@st.composite
def progress(draw: st.DrawFn, most: int = 8) -> tuple[SuccessBand, int, int]:
    band = draw(bands(most))
    tried = draw(st.integers(0, band.total))
    return band, draw(st.integers(0, tried)), tried


def endings(band: SuccessBand, successes: int, tried: int) -> set[str]:
    """Where every possible course of the remaining rollouts ends."""
    found = set()
    for outcomes in itertools.product((0, 1), repeat=band.total - tried):
        rate = Fraction(successes + sum(outcomes), band.total)
        found.add("below" if rate < band.low else "above" if rate > band.high else "inside")
    return found


@given(progress())
def test_a_decision_is_what_every_completion_agrees_on(
    state: tuple[SuccessBand, int, int],
) -> None:
    band, successes, tried = state
    ends = endings(band, successes, tried)
    decided = band.decided(successes, tried)
    if "inside" in ends:
        assert decided == ("inside" if tried == band.total else "open")
    else:
        assert {decided} == ends


@given(progress())
def test_rollouts_are_asked_for_while_it_is_open(state: tuple[SuccessBand, int, int]) -> None:
    band, successes, tried = state
    more = band.next_rollouts(successes, tried)
    if band.decided(successes, tried) != "open":
        assert more == 0
    else:
        assert more > 0
        assert tried + more == (band.screen if tried < band.screen else band.total)


@given(bands(), st.lists(st.booleans(), min_size=8, max_size=8))
def test_two_requests_at_most_lead_to_a_decision(band: SuccessBand, outcomes: list[bool]) -> None:
    tried = requests = 0
    while more := band.next_rollouts(sum(outcomes[:tried]), tried):
        tried += more
        requests += 1
    assert requests <= 2
    assert band.decided(sum(outcomes[:tried]), tried) != "open"


@given(progress(most=40))
def test_the_chance_to_end_inside_is_beta_binomial(state: tuple[SuccessBand, int, int]) -> None:
    band, successes, tried = state
    left = band.total - tried
    rest = stats.betabinom(left, 1 + successes, 1 + tried - successes)
    inside = [k for k in range(left + 1) if band.low <= Fraction(successes + k, band.total)]
    expected = sum(
        float(rest.pmf(k)) for k in inside if Fraction(successes + k, band.total) <= band.high
    )
    chance = band.chance_inside(successes, tried)
    assert chance == pytest.approx(expected, abs=1e-9)
    assert (chance > 0) == (band.decided(successes, tried) in ("open", "inside"))


def test_by_default_four_to_twelve_of_sixteen_are_inside() -> None:
    band = SuccessBand()
    verdicts = [band.decided(successes, 16) for successes in range(17)]
    assert verdicts == ["below"] * 4 + ["inside"] * 9 + ["above"] * 4


def test_the_default_screen_rules_nothing_out() -> None:
    band = SuccessBand()
    assert band.next_rollouts(0, 0) == 4
    assert [band.next_rollouts(successes, 4) for successes in range(5)] == [12] * 5
    assert band.chance_inside(0, 4) == band.chance_inside(4, 4) == pytest.approx(0.208, abs=5e-4)


def test_it_is_decided_by_the_first_rollout_that_settles_it() -> None:
    band = SuccessBand()
    assert band.decided(12, 12) == "open"
    assert band.decided(13, 13) == "above"
    assert band.decided(0, 12) == "open"
    assert band.decided(0, 13) == "below"
    assert band.next_rollouts(13, 13) == band.next_rollouts(0, 13) == 0


def test_certainly_inside_stays_open_until_all_are_done() -> None:
    band = SuccessBand(screen=8)
    assert endings(band, 4, 8) == {"inside"}
    assert band.decided(4, 8) == "open"
    assert band.next_rollouts(4, 8) == 8


def test_what_lacks_of_the_screen_is_asked_for_first() -> None:
    assert SuccessBand().next_rollouts(1, 3) == 1
    assert SuccessBand().next_rollouts(2, 7) == 9


@pytest.mark.parametrize(
    ("total", "rate"), [(5, 0.2), (10, 0.3), (10, 0.7), (100, 0.29), (3, Fraction(1, 3))]
)
def test_a_rate_on_the_boundary_is_inside(total: int, rate: float | Fraction) -> None:
    band = SuccessBand(rate, rate, 1, total)
    on = round(rate * total)
    assert band.fewest == band.most == on
    assert band.decided(on, total) == "inside"
    assert band.decided(on - 1, total) == "below"
    assert band.decided(on + 1, total) == "above"


def test_a_third_is_a_fraction_and_no_float() -> None:
    assert SuccessBand(0, Fraction(1, 3), 1, 3).most == 1
    # 0.3333333333333333 is written for it, which is less.
    assert SuccessBand(0, 1 / 3, 1, 3).most == 0


@pytest.mark.parametrize(
    ("low", "high", "screen", "total", "message"),
    [
        (-0.1, 0.8, 4, 16, "not within"),
        (0.2, 1.1, 4, 16, "not within"),
        (0.8, 0.2, 4, 16, "not within"),
        (math.nan, 0.8, 4, 16, "not within"),
        (0.2, 0.8, 0, 16, "screen of 0"),
        (0.2, 0.8, 17, 16, "screen of 17"),
        (0.2, 0.8, 1, 0, "screen of 1"),
        (0.3, 0.4, 4, 4, "widen the band"),
    ],
)
def test_bands_that_cannot_be_met_are_refused(
    low: float, high: float, screen: int, total: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SuccessBand(low, high, screen, total)


@pytest.mark.parametrize(("successes", "tried"), [(-1, 4), (5, 4), (0, 17)])
def test_impossible_progress_is_refused(successes: int, tried: int) -> None:
    band = SuccessBand()
    for question in (band.decided, band.next_rollouts, band.chance_inside):
        with pytest.raises(ValueError, match="0 <= successes <= rollouts <= 16"):
            question(successes, tried)
