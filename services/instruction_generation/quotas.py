"""Exact quotas without a global counter: how a dataset's size is dealt out and moved.

Only the owner of a dataset raises what a stratum is granted, only the owner of the stratum raises
what it has released, and it accepts a sample only while granted - released - accepted > 0. The
dataset's owner hands out no more than `size - (sum of granted - sum of released)`. What it knows
of releases and acceptances may be late, but all three only ever grow, so that late knowledge errs
on the safe side: at no moment of any interleaving are more than `size` samples accepted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

POOR = 0.5
"""Value beside that of a full stratum below which quota moves there."""
HOPELESS = 4
"""Times the patience, at most, for which a stratum may keep what it accepts nothing for."""


@dataclass(frozen=True, slots=True)
class StratumProgress:
    """What the owner of a dataset knows of one of its strata."""

    granted: int
    """Samples that it may hold, before what it has released; in all so far."""
    recall: int
    """Samples of these that it was asked to give back; in all so far."""
    released: int
    """Samples of these that it gave back; in all so far."""
    accepted: int
    failures_since_accept: int
    """Candidates judged since the last one that was accepted."""
    exhausted: bool
    """There is no raw material for it now."""
    value: float = 1.0
    """What its candidates bring per token, beside the usual; above 0."""
    keep: int = 0
    """Samples that it may hold however little they bring, unless it is hopeless."""

    @property
    def room(self) -> int:
        """Samples that it may still accept, as far as is known: never less than the truth."""
        return self.granted - self.released - self.accepted

    @property
    def spare(self) -> int:
        """Part of the room that goes beyond what it keeps; may be negative."""
        return min(self.room, self.granted - self.released - self.keep)

    def hopeless(self, patience: int) -> bool:
        """Return whether it is not to keep anything any more, after `patience` for each sample."""
        lacking = min(HOPELESS, max(1, self.keep - self.accepted))
        return self.failures_since_accept >= patience * lacking

    @property
    def owed(self) -> int:
        """Samples that it was asked for and has not given back."""
        return self.recall - self.released


def divide(size: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Divide `size` in proportion to `weights`, by the method of the largest remainder.

    Computed in integers, so that the parts sum to `size` exactly; of equal remainders the first
    name in alphabetical order goes first. Weights that are all 0 count as equal.

    Raises:
        ValueError: `size` is negative, a weight is negative or not finite, or there are none.
    """
    if size < 0:
        raise ValueError(f"size {size} is negative: give 0 or more")
    if not weights:
        raise ValueError("no strata to divide a dataset among: give at least one weight")
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight {weight} of stratum {name!r}: give a finite number >= 0")
    shares = _whole(weights)
    total = sum(shares.values())
    if not total:
        shares, total = dict.fromkeys(shares, 1), len(shares)
    parts = {name: size * share // total for name, share in shares.items()}
    by_remainder = sorted(parts, key=lambda name: (-(size * shares[name] % total), name))
    for name in by_remainder[: size - sum(parts.values())]:
        parts[name] += 1
    return parts


def _whole(weights: Mapping[str, float]) -> dict[str, int]:
    """Return integers in exactly the proportions of finite numbers."""
    ratios = {name: weight.as_integer_ratio() for name, weight in weights.items()}
    common = math.lcm(*(below for _, below in ratios.values()))
    return {name: above * (common // below) for name, (above, below) in ratios.items()}


def _levelled(amount: int, strata: Mapping[str, StratumProgress]) -> dict[str, int]:
    """Return what each stratum gets of `amount`, so that rooms come to be in proportion to values.

    The smallest room beside its value is filled up first; fractions as in `divide`.
    """
    if not amount:
        return {}
    values = _whole({name: each.value for name, each in strata.items()})
    order = sorted(strata, key=lambda name: (Fraction(strata[name].room, values[name]), name))
    # The strata to fill: those whose room is below the level that the amount lifts them to.
    filled, held, weight = [], amount, 0
    for name in order:
        if strata[name].room * weight >= held * values[name]:
            break
        filled.append(name)
        held, weight = held + strata[name].room, weight + values[name]
    parts = {name: held * values[name] // weight - strata[name].room for name in filled}
    by_remainder = sorted(parts, key=lambda name: -(held * values[name] % weight))
    for name in by_remainder[: amount - sum(parts.values())]:
        parts[name] += 1
    return parts


def _receivers(strata: Mapping[str, StratumProgress], patience: int) -> list[str]:
    """Return the strata that free quota is best given to; empty when all are exhausted.

    Lucky ones go before unlucky ones, of these those that owe nothing before those that would give
    it back at once, and of these those that accept before those that have yet to.
    """

    def reluctance(progress: StratumProgress) -> tuple[bool, bool, bool]:
        unlucky = progress.failures_since_accept >= patience
        return unlucky, progress.owed > 0, not progress.accepted

    able = {name: reluctance(each) for name, each in strata.items() if not each.exhausted}
    least = min(able.values(), default=None)
    return [name for name, value in able.items() if value == least]


def rebalance(
    size: int, strata: Mapping[str, StratumProgress], patience: int = 8
) -> dict[str, tuple[int, int]]:
    """Return the new (granted, recall) of every stratum; neither is ever lowered.

    Free quota goes to strata that can fill it, smallest room beside its value first. When some of
    those are full, strata that cannot use theirs are asked to give back: the exhausted ones all of
    their room; the unlucky ones, and those that bring less than half as much for their tokens as a
    full one, half of what they have beyond what they keep, the hopeless ones half of all. But these
    only for the sake of a full stratum that has luck: two strata without luck would hand their
    quota to and fro.

    Args:
        size: The dataset's size.
        strata: What is known of each stratum.
        patience: Candidates refused in a row that make a stratum unlucky.
    """
    held = sum(each.granted - each.released for each in strata.values())
    receivers = _receivers(strata, patience)
    gifts = _levelled(max(0, size - held), {name: strata[name] for name in receivers})

    full = [
        each
        for name, each in strata.items()
        if not each.exhausted and each.room + gifts.get(name, 0) <= 0
    ]
    lucky = [each for each in full if each.failures_since_accept < patience]
    poor = POOR * max((each.value for each in lucky), default=0.0)

    answer: dict[str, tuple[int, int]] = {}
    for name, each in strata.items():
        asked = 0
        if each.exhausted and full:
            asked = each.room
        elif lucky:
            # Counted from what it has released: what it still owes is part of this half.
            unlucky = each.failures_since_accept >= patience
            spare = each.room if each.hopeless(patience) else each.spare
            if spare > 0 and (unlucky or each.value < poor):
                asked = max(1, spare // 2)
        recall = max(each.recall, each.released + asked)
        answer[name] = (each.granted + gifts.get(name, 0), recall)
    return answer
