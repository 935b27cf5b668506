"""Bands for preference pairs: which pairs of a stratum are worth training on.

The R.I.P. band judges a prompt by its rejected response (Rejecting Instruction Preferences,
arXiv 2501.18578): a bad prompt shows in a poor or short rejected response, or in a wide reward gap.
The margin band drops pairs that teach nothing (hardly a gap) or are likely mislabelled (a huge
one), and those that teach length.

Bounds are quantiles of the pairs that the stratum has seen before: judge a pair first, then `add`
it, kept or not. **Equal values are kept**: a bound is met by values equal to it, so that a stratum
whose rewards are all equal keeps everything rather than nothing, and among ties a band keeps its
share or more. Past 80 pairs the digest averages neighbours: shares are right within 2 points, but
within 5 where the bound falls between two humps of values or at the edge of a large tie.
A bound at quantile 0 below or 1 above asks nothing.
"""

from dataclasses import dataclass
from typing import Literal

from services.reward_filtering.quantiles import RunningQuantiles, slack
from services.reward_filtering.signal.pairs import Pair, PairQuantiles, PairRanks

Reason = Literal[
    "", "no_gap", "rejected_reward_low", "rejected_short", "gap_wide", "gap_outside", "length_ratio"
]


@dataclass(frozen=True, slots=True)
class BandVerdict:
    """Whether a band keeps a pair, and why."""

    reason: Reason
    """The first condition that failed; empty when the pair is kept."""
    ranks: PairRanks | None
    """None for a pair whose gap could not be measured."""

    @property
    def kept(self) -> bool:
        """Whether the pair is kept."""
        return not self.reason


def _check_shares(settings: object, names: tuple[str, ...]) -> None:
    for name in names:
        share = getattr(settings, name)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{name} {share} is not in [0, 1]")


@dataclass(frozen=True, slots=True)
class RipBand:
    """Settings of the R.I.P. band.

    Of a stratum whose values are continuous and independent the three conditions keep 1 - q_reward,
    1 - q_length and q_gap; together 1/8 by default, 27/64 at first.

    Raises:
        ValueError: A quantile is not in [0, 1], or a count is negative.
    """

    q_reward: float = 0.5
    """Quantile that the rejected response's reward has to reach."""
    q_length: float = 0.5
    """Quantile that its length has to reach."""
    q_gap: float = 0.5
    """Quantile that the gap must not exceed."""
    soft_reward: float = 0.25
    soft_length: float = 0.25
    soft_gap: float = 0.75
    soft_below: int = 2000
    """Pairs to see before the first three hold; until then the soft ones do."""
    warmup: int = 8
    """Pairs to see before any pair is dropped."""

    def __post_init__(self) -> None:
        _check_shares(self, ("q_reward", "q_length", "q_gap"))
        _check_shares(self, ("soft_reward", "soft_length", "soft_gap"))
        if self.soft_below < 0 or self.warmup < 0:
            raise ValueError(f"soft_below {self.soft_below}, warmup {self.warmup}: negative")

    def bounds(self, seen: int) -> tuple[float, float, float]:
        """Return the quantiles for reward, length and gap, after `seen` pairs."""
        if seen < self.soft_below:
            return self.soft_reward, self.soft_length, self.soft_gap
        return self.q_reward, self.q_length, self.q_gap


@dataclass(frozen=True, slots=True)
class MarginBand:
    """Settings of the margin band.

    Raises:
        ValueError: Not 0 <= low < high <= 1, a length ratio below 1, or a negative warm-up.
    """

    low: float = 0.1
    """Quantile that the gap has to reach."""
    high: float = 0.9
    """Quantile that the gap must not exceed."""
    length_ratio: float = 2.0
    """How many times as long as the other either response may be, this included; at least 1."""
    warmup: int = 8
    """Pairs to see before any pair is dropped for its gap; its lengths need no others."""

    def __post_init__(self) -> None:
        _check_shares(self, ("low", "high"))
        if not self.low < self.high:
            raise ValueError(f"margin band [{self.low}, {self.high}] is empty: give low < high")
        if not self.length_ratio >= 1.0:
            raise ValueError(f"length ratio {self.length_ratio} is not at least 1")
        if self.warmup < 0:
            raise ValueError(f"warmup {self.warmup}: negative")


def _reaches(x: float, seen: RunningQuantiles, q: float) -> bool:
    bound = seen.quantile(q)
    return q <= 0.0 or bound is None or x >= bound - slack(bound)


def _within(x: float, seen: RunningQuantiles, q: float) -> bool:
    bound = seen.quantile(q)
    return q >= 1.0 or bound is None or x <= bound + slack(bound)


def rip_verdict(pair: Pair, seen: PairQuantiles, band: RipBand) -> BandVerdict:
    """Judge a pair by the R.I.P. band of its stratum.

    Whether the chosen response is the better one is not asked: a negative gap is a small one.

    Args:
        pair: The pair; not yet among those seen.
        seen: The stratum's earlier pairs; only read.
        band: The settings.

    Returns:
        The reason is one of `no_gap`, `rejected_reward_low`, `rejected_short`, `gap_wide`.
    """
    if not pair.measured:
        return BandVerdict("no_gap", None)
    q_reward, q_length, q_gap = band.bounds(seen.count)
    reason: Reason = ""
    if seen.count < band.warmup:
        pass
    elif not _reaches(pair.rejected_reward, seen.rejected_reward, q_reward):
        reason = "rejected_reward_low"
    elif not _reaches(pair.rejected_length, seen.rejected_length, q_length):
        reason = "rejected_short"
    elif not _within(pair.gap, seen.gap, q_gap):
        reason = "gap_wide"
    return BandVerdict(reason, seen.ranks(pair))


def margin_verdict(pair: Pair, seen: PairQuantiles, band: MarginBand) -> BandVerdict:
    """Judge a pair by the margin band of its stratum.

    An empty response has no length ratio that would do.

    Args:
        pair: The pair; not yet among those seen.
        seen: The stratum's earlier pairs; only read.
        band: The settings.

    Returns:
        The reason is one of `no_gap`, `gap_outside`, `length_ratio`.
    """
    if not pair.measured:
        return BandVerdict("no_gap", None)
    chosen, rejected, ratio = pair.chosen_length, pair.rejected_length, band.length_ratio
    inside = _reaches(pair.gap, seen.gap, band.low) and _within(pair.gap, seen.gap, band.high)
    reason: Reason = ""
    if seen.count >= band.warmup and not inside:
        reason = "gap_outside"
    elif not (0 < chosen <= ratio * rejected and rejected <= ratio * chosen):
        reason = "length_ratio"
    return BandVerdict(reason, seen.ranks(pair))
