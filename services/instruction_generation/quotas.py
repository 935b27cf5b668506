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

    @property
    def room(self) -> int:
        """Samples that it may still accept, as far as is known: never less than the truth."""
        return self.granted - self.released - self.accepted

    @property
    def owed(self) -> int:
        """Samples that it was asked for and has not given back."""
        return self.recall - self.released


def divide(size: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Divide `size` in proportion to `weights`, by the method of the largest remainder.

    Computed in fractions, so that the parts sum to `size` exactly; of equal remainders the first
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
    shares = {name: Fraction(weight) for name, weight in weights.items()}
    total = sum(shares.values())
    if not total:
        shares, total = dict.fromkeys(shares, Fraction(1)), Fraction(len(shares))
    exact = {name: size * share / total for name, share in shares.items()}
    parts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(parts, key=lambda name: (parts[name] - exact[name], name))
    for name in by_remainder[: size - sum(parts.values())]:
        parts[name] += 1
    return parts


def _levelled(amount: int, rooms: Mapping[str, int]) -> dict[str, int]:
    """Return what each stratum gets of `amount` when the smallest rooms are filled up first."""
    order = sorted(rooms, key=lambda name: (rooms[name], name))
    # The strata to fill: those whose room is below the level that the amount lifts them to.
    filled, held = 0, 0
    for name in order:
        if rooms[name] * filled - held >= amount:
            break
        filled, held = filled + 1, held + rooms[name]
    if not filled:
        return {}
    level, extra = divmod(amount + held, filled)
    return {
        name: level - rooms[name] + (index < extra) for index, name in enumerate(order[:filled])
    }


def _receivers(strata: Mapping[str, StratumProgress], patience: int) -> list[str]:
    """Return the strata that free quota is best given to; empty when all are exhausted.

    Lucky ones go before unlucky ones, of these those that owe nothing before those that would give
    it back at once, and of these those that accept before those that have yet to.
    """

    def reluctance(progress: StratumProgress) -> tuple[bool, bool, bool]:
        unlucky = progress.failures_since_accept >= patience
        return unlucky, progress.owed > 0, not progress.accepted

    able = {name: reluctance(each) for name, each in strata.items() if not each.exhausted}
    return [name for name, value in able.items() if value == min(able.values())]


def rebalance(
    size: int, strata: Mapping[str, StratumProgress], patience: int = 8
) -> dict[str, tuple[int, int]]:
    """Return the new (granted, recall) of every stratum; neither is ever lowered.

    Free quota goes to strata that can fill it, smallest room first. When some of those are full,
    strata that cannot use theirs are asked to give back: the exhausted ones all of their room,
    the unlucky ones half of it, but these only for the sake of a full stratum that has luck:
    two strata without luck would hand their quota to and fro.

    Args:
        size: The dataset's size.
        strata: What is known of each stratum.
        patience: Candidates refused in a row that make a stratum unlucky.
    """
    held = sum(each.granted - each.released for each in strata.values())
    receivers = _receivers(strata, patience)
    gifts = _levelled(max(0, size - held), {name: strata[name].room for name in receivers})

    full = [
        each
        for name, each in strata.items()
        if not each.exhausted and each.room + gifts.get(name, 0) <= 0
    ]
    lucky = any(each.failures_since_accept < patience for each in full)

    answer: dict[str, tuple[int, int]] = {}
    for name, each in strata.items():
        asked = 0
        if each.exhausted and full:
            asked = each.room
        elif lucky and each.failures_since_accept >= patience and each.room > 0:
            # Counted from what it has released: what it still owes is part of this half.
            asked = max(1, each.room // 2)
        recall = max(each.recall, each.released + asked)
        answer[name] = (each.granted + gifts.get(name, 0), recall)
    return answer
