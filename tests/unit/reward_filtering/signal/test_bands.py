import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reward_filtering.signal.bands import (
    BandVerdict,
    MarginBand,
    RipBand,
    margin_verdict,
    rip_verdict,
)
from services.reward_filtering.signal.pairs import Pair, PairQuantiles

RIP = RipBand()
MARGIN = MarginBand()
SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(3.0, 2.0, n),
    "uniform": lambda rng, n: rng.uniform(-1.0, 1.0, n),
    "exponential": lambda rng, n: rng.exponential(5.0, n),
    "heavy": lambda rng, n: rng.standard_cauchy(n),
    "two_humps": lambda rng, n: rng.normal(0.0, 1.0, n) + 20.0 * (rng.random(n) < 0.5),
}
"""Continuous distributions of rewards and gaps. The humps leave nothing where the median is."""

Judge = Callable[[Pair, PairQuantiles], BandVerdict]


def rip(band: RipBand) -> Judge:
    return lambda pair, seen: rip_verdict(pair, seen, band)


def margin(band: MarginBand) -> Judge:
    return lambda pair, seen: margin_verdict(pair, seen, band)


def only(reward: float = 0.0, length: float = 0.0, gap: float = 1.0) -> RipBand:
    """The band of these conditions and no other, from the first pair after the warm-up."""
    return RipBand(q_reward=reward, q_length=length, q_gap=gap, soft_below=0)


def pair(rejected: float = 1.0, length: int = 100, gap: float = 0.5, chosen: int = 0) -> Pair:
    return Pair(rejected + gap, rejected, chosen or length, length)


def stratum(pairs: Iterable[Pair]) -> PairQuantiles:
    seen = PairQuantiles()
    for one in pairs:
        seen.add(one)
    return seen


def ladder(count: int) -> PairQuantiles:
    """Pairs 0 to count - 1: the higher, the better and longer rejected, the wider the gap."""
    return stratum(pair(float(i), 10 + i, i / 8) for i in range(count))


def random_pairs(seed: int, shape: str, count: int, dependent: bool = False) -> list[Pair]:
    """Pairs of continuous rewards and gaps; lengths of so many values that they hardly tie."""
    rng = np.random.default_rng(seed)
    rejected = SHAPES[shape](rng, count)
    lengths = rng.integers(1000, 1_000_000, count)
    if dependent:
        # A chosen reward of its own: a good rejected response leaves a small gap.
        chosen = SHAPES[shape](rng, count)
        lengths = np.maximum(1, lengths * (1 + np.argsort(np.argsort(rejected))) // count)
    else:
        chosen = rejected + SHAPES[shape](rng, count)
    return [
        Pair(float(c), float(r), int(n), int(n))
        for c, r, n in zip(chosen, rejected, lengths, strict=True)
    ]


def running_share(judge: Judge, pairs: list[Pair], after: int) -> float:
    """Share kept of the pairs after the first `after`, each judged by those before it."""
    seen = stratum(pairs[:after])
    kept = 0
    for one in pairs[after:]:
        kept += judge(one, seen).kept
        seen.add(one)
    return kept / (len(pairs) - after)


TO_COME = 20_000
"""Pairs to measure a share on: chance alone moves it by 0.35 points (1 sigma) at most."""
PROMISES: list[tuple[str, Judge, float]] = [
    ("reward >= p50", rip(only(reward=0.5)), 0.5),
    ("length >= p50", rip(only(length=0.5)), 0.5),
    ("gap <= p50", rip(only(gap=0.5)), 0.5),
    ("reward >= p25", rip(only(reward=0.25)), 0.75),
    ("length >= p25", rip(only(length=0.25)), 0.75),
    ("gap <= p75", rip(only(gap=0.75)), 0.75),
    ("gap in [p10, p90]", margin(MARGIN), 0.8),
]


@pytest.mark.parametrize(
    ("name", "judge", "promised"), PROMISES, ids=[name for name, _, _ in PROMISES]
)
@pytest.mark.parametrize("shape", ["normal", "heavy"])
def test_a_condition_keeps_the_share_it_promises_of_pairs_to_come(
    name: str, judge: Judge, promised: float, shape: str
) -> None:
    pairs = random_pairs(21, shape, 2000 + TO_COME)
    share = running_share(judge, pairs, 2000)
    print(f"{name}, {shape}: keeps {share:.4f} of pairs 2,001 to 22,000, promised {promised}")
    assert share == pytest.approx(promised, abs=0.02)


@pytest.mark.parametrize(
    ("name", "judge", "promised"), PROMISES, ids=[name for name, _, _ in PROMISES]
)
@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(sorted(SHAPES.keys() - {"two_humps"})), st.booleans()
)
def test_a_condition_keeps_the_share_it_promises_of_any_stratum_of_2000(
    name: str, judge: Judge, promised: float, seed: int, shape: str, dependent: bool
) -> None:
    # Against the pairs that the bounds come from: no chance is left, only the digest's error.
    # Holds for dependent values just as well, since each condition asks for one of them.
    pairs = random_pairs(seed, shape, 2000, dependent)
    seen = stratum(pairs)
    share = sum(judge(one, seen).kept for one in pairs) / 2000
    assert share == pytest.approx(promised, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_bound_in_a_valley_between_two_humps_is_less_exact(seed: int) -> None:
    # One centroid holds values of both humps, and it is the widest: 3 % of all values.
    pairs = random_pairs(seed, "two_humps", 2000)
    seen = stratum(pairs)
    judge = rip(only(reward=0.5))
    share = sum(judge(one, seen).kept for one in pairs) / 2000
    assert share == pytest.approx(0.5, abs=0.05)


def test_independent_conditions_keep_the_product_of_their_shares() -> None:
    pairs = random_pairs(5, "normal", 2000 + TO_COME)
    hard = running_share(rip(RIP), pairs, 2000)
    soft = running_share(rip(RipBand(soft_below=10**9)), pairs, 2000)
    print(f"R.I.P. band, independent values: keeps {hard:.4f} of 1/8, softly {soft:.4f} of 27/64")
    assert hard == pytest.approx(1 / 8, abs=0.02)
    assert soft == pytest.approx(27 / 64, abs=0.02)


def test_dependent_conditions_keep_no_more_than_the_strictest() -> None:
    # A better rejected response that is also longer and closer to the chosen one.
    pairs = random_pairs(6, "normal", 2000 + TO_COME, dependent=True)
    share = running_share(rip(RIP), pairs, 2000)
    print(f"R.I.P. band, dependent values: keeps {share:.4f}")
    assert 1 / 8 + 0.02 < share <= 0.52


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.1, 0.2, 0.3, 1 / 3, 1.0]),
            st.integers(1, 4),
            st.sampled_from([-0.1, 0.0, 0.1, 0.7]),
        ),
        min_size=8,
        max_size=80,
    ),
    st.integers(1, 20),
)
def test_ties_cost_a_stratum_no_more_than_it_agreed_to(
    values: list[tuple[float, int, float]], times: int
) -> None:
    pairs = [pair(reward, length, gap) for reward, length, gap in values * times]
    seen = stratum(pairs)
    n = len(pairs)
    for name, judge, promised in PROMISES:
        lost = sum(not judge(one, seen).kept for one in pairs)
        # A bound between two values drops up to one more at each end. The digest is exact up to
        # 80 values; later its widest centroid, 3 % of them, may average different values.
        assert lost <= (1 - promised + (0.0 if n <= 80 else 0.05)) * n + 2, name


@given(
    st.floats(min_value=-1e3, max_value=1e3),
    st.floats(min_value=-1e3, max_value=1e3),
    st.integers(1, 500),
    st.integers(0, 300),
)
def test_a_stratum_of_equal_pairs_keeps_them_all(
    chosen: float, rejected: float, length: int, count: int
) -> None:
    same = Pair(chosen, rejected, length, length)
    seen = stratum([same] * count)
    for band in (RIP, RipBand(soft_below=0)):
        assert rip_verdict(same, seen, band).kept
    assert margin_verdict(same, seen, MARGIN).kept


def test_a_long_stratum_of_equal_pairs_keeps_them_all() -> None:
    same = pair(0.1, 7, 0.3)
    seen = PairQuantiles()
    for _ in range(3000):
        assert rip_verdict(same, seen, RIP).kept
        assert margin_verdict(same, seen, MARGIN).kept
        seen.add(same)


def test_the_first_pairs_are_kept_whatever_their_rank() -> None:
    odd, alike = Pair(1e6, -1e6, 900, 1), Pair(1e6, -1e6, 2, 1)
    for count in range(8):
        seen = ladder(count)
        assert rip_verdict(odd, seen, RIP).reason == ""
        assert margin_verdict(alike, seen, MARGIN).reason == ""
    assert rip_verdict(odd, ladder(8), RIP).reason == "rejected_reward_low"
    assert margin_verdict(odd, ladder(8), MARGIN).reason == "gap_outside"


@pytest.mark.parametrize(("chosen", "rejected"), [(201, 100), (100, 201), (0, 1), (5, 0), (0, 0)])
def test_the_length_ratio_holds_from_the_first_pair_on(chosen: int, rejected: int) -> None:
    for count in range(8):
        verdict = margin_verdict(Pair(1.0, 0.5, chosen, rejected), ladder(count), MARGIN)
        assert verdict.reason == "length_ratio"
    assert margin_verdict(Pair(1.0, 0.5, 200, 100), PairQuantiles(), MARGIN).kept


def test_without_a_warm_up_the_first_pair_of_a_stratum_is_kept() -> None:
    first = PairQuantiles()
    assert rip_verdict(pair(), first, RipBand(warmup=0)).kept
    assert margin_verdict(pair(), first, MarginBand(warmup=0)).kept


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (pair(60.0, 70, 5.0), ""),
        (pair(50.0, 60, 6.25), ""),
        (pair(49.0, 70, 5.0), "rejected_reward_low"),
        (pair(60.0, 59, 5.0), "rejected_short"),
        (pair(60.0, 70, 6.5), "gap_wide"),
        (pair(60.0, 70, -3.0), ""),
        (pair(1.0, 1, 99.0), "rejected_reward_low"),
        (pair(60.0, 1, 99.0), "rejected_short"),
    ],
)
def test_the_rip_band_names_the_first_condition_that_fails(candidate: Pair, reason: str) -> None:
    # Medians of the ladder: reward 50, length 60, gap 6.25.
    assert rip_verdict(candidate, ladder(101), RipBand(soft_below=0)).reason == reason


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (pair(0.0, 100, 6.0), ""),
        (pair(0.0, 100, 1.25), ""),
        (pair(0.0, 100, 11.25), ""),
        (pair(0.0, 100, 1.0), "gap_outside"),
        (pair(0.0, 100, 11.5), "gap_outside"),
        (pair(0.0, 100, 6.0, chosen=200), ""),
        (pair(0.0, 100, 6.0, chosen=201), "length_ratio"),
        (pair(0.0, 100, 6.0, chosen=50), ""),
        (pair(0.0, 100, 6.0, chosen=49), "length_ratio"),
        (Pair(6.0, 0.0, 0, 0), "length_ratio"),
        (Pair(6.0, 0.0, 0, 5), "length_ratio"),
        (Pair(6.0, 0.0, 5, 0), "length_ratio"),
        (pair(0.0, 100, 99.0, chosen=1), "gap_outside"),
    ],
)
def test_the_margin_band_names_the_first_condition_that_fails(candidate: Pair, reason: str) -> None:
    # The ladder's gaps: p10 is 1.25, p90 is 11.25.
    assert margin_verdict(candidate, ladder(101), MARGIN).reason == reason


@pytest.mark.parametrize("chosen", [math.nan, math.inf, -math.inf, 1e300])
def test_a_pair_whose_gap_is_no_number_is_dropped_even_at_first(chosen: float) -> None:
    bad = Pair(chosen, 1.0, 10, 10)
    for seen in (PairQuantiles(), ladder(20)):
        assert rip_verdict(bad, seen, RIP) == BandVerdict("no_gap", None)
        assert margin_verdict(bad, seen, MARGIN) == BandVerdict("no_gap", None)


def test_the_band_is_softer_until_2000_pairs_are_seen() -> None:
    rng = random.Random(2)
    seen = stratum(pair(rng.random(), 1 + rng.randrange(1000), rng.random()) for _ in range(1999))
    middling = pair(0.35, 350, 0.65)
    assert rip_verdict(middling, seen, RIP).kept
    seen.add(middling)
    assert seen.count == 2000
    assert rip_verdict(middling, seen, RIP).reason == "rejected_reward_low"
    assert rip_verdict(pair(0.65, 350, 0.65), seen, RIP).reason == "rejected_short"
    assert rip_verdict(pair(0.65, 650, 0.65), seen, RIP).reason == "gap_wide"
    assert rip_verdict(pair(0.65, 650, 0.35), seen, RIP).kept


def test_a_verdict_says_where_the_pair_stood() -> None:
    verdict = rip_verdict(pair(25.0, 85, 100.0), ladder(101), RIP)
    assert verdict.reason == "gap_wide"
    assert verdict.ranks is not None
    assert verdict.ranks.rejected_reward == pytest.approx(0.25, abs=0.01)
    assert verdict.ranks.rejected_length == pytest.approx(0.75, abs=0.01)
    assert verdict.ranks.gap == 1.0
    assert margin_verdict(pair(25.0, 85, 100.0), ladder(101), MARGIN).ranks == verdict.ranks


def test_judging_changes_nothing() -> None:
    judged, plain = ladder(300), ladder(300)
    for index in range(50):
        rip_verdict(pair(float(index)), judged, RIP)
        margin_verdict(pair(float(index)), judged, MARGIN)
    assert judged.gap.to_bytes() == plain.gap.to_bytes()
    assert judged.rejected_reward.to_bytes() == plain.rejected_reward.to_bytes()
    assert judged.rejected_length.to_bytes() == plain.rejected_length.to_bytes()


@given(st.floats(min_value=-1e6, max_value=1e6), st.integers(0, 10**6))
def test_bounds_at_the_ends_ask_nothing(reward: float, length: int) -> None:
    worse_than_all = Pair(reward + 2e7, reward - 2e7, length, length)
    assert rip_verdict(worse_than_all, ladder(20), only()).kept


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_quantiles_out_of_range_are_refused(bad: float) -> None:
    for name in ("q_reward", "q_length", "q_gap", "soft_reward", "soft_length", "soft_gap"):
        with pytest.raises(ValueError, match=rf"{name} .* not in \[0, 1\]"):
            replace(RIP, **{name: bad})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        MarginBand(low=bad)
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        MarginBand(high=bad)


def test_settings_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        MarginBand(low=0.9, high=0.1)
    for ratio in (0.5, math.nan):
        with pytest.raises(ValueError, match="length ratio"):
            MarginBand(length_ratio=ratio)
    with pytest.raises(ValueError, match="negative"):
        MarginBand(warmup=-1)
    with pytest.raises(ValueError, match="negative"):
        RipBand(warmup=-1)
    with pytest.raises(ValueError, match="negative"):
        RipBand(soft_below=-1)
