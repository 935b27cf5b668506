"""Ranks of groups: partial sums of sizes when they are founded, which move as groups grow."""

import itertools
from bisect import bisect_left
from collections.abc import Sequence

from services.events.control import RankShift

MOST_SHIFTS = 1024
"""Shifts that are kept apart; more are merged to the safe side."""


def shifted(rank: int, shifts: Sequence[RankShift]) -> int:
    """Return the agents of the groups before one, now; at most a few too many, never too few.

    Args:
        rank: The group's, as it was founded.
        shifts: In order of `above`.
    """
    place = bisect_left(shifts, rank, key=lambda shift: shift.above)
    return rank + (shifts[place - 1].by if place else 0)


def shifts_of(groups: Sequence[tuple[int, int]]) -> tuple[RankShift, ...]:
    """Return how far the ranks of groups moved because groups before them grew.

    The sum of the present sizes up to any group is then at most its shifted rank plus its size.

    Args:
        groups: Rank and present size of each. A rank is what was the sum of the sizes before it
            when it was given, so that the distance to the next one is the size then.
    """
    ordered = sorted(groups)
    shifts: list[RankShift] = []
    by = 0
    for (rank, size), (after, _) in itertools.pairwise(ordered):
        if size > after - rank:
            by += size - (after - rank)
            shifts.append(RankShift(rank, by))
    if len(shifts) <= MOST_SHIFTS:
        return tuple(shifts)
    # Each part as if all that grew in it came before all of it.
    step = -(-len(shifts) // MOST_SHIFTS)
    parts = [shifts[start : start + step] for start in range(0, len(shifts), step)]
    return tuple(RankShift(part[0].above, part[-1].by) for part in parts)
