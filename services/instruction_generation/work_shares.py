"""How many candidates of each stratum may be in work at once."""

import math
from dataclasses import dataclass

from services.events import DatasetDeclared
from services.instruction_generation.domain import claims_at_once
from services.instruction_generation.overview import Overview
from services.runtime.ids import derived_seed


@dataclass(frozen=True, slots=True)
class _Shares:
    """What each stratum of a dataset gets beside an equal share."""

    version: int
    """Of the view for which they were found valid."""
    basis: tuple[int, list[str], int, str]
    """What they follow from: number of verdicts, strata that are filling, seed and steer."""
    shares: dict[str, float]


class WorkShares:
    """Datasets share the work by weight, and the strata of a dataset by value.

    What has nothing to work on takes nothing from the share of the others.
    """

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._largest = (-1, 0.0)
        """Version of the view, and the largest weight of a dataset that is worked on."""
        self._shares: dict[str, _Shares] = {}
        """By dataset."""

    def at_once(self, order: DatasetDeclared, stratum: str) -> int:
        """Return how many candidates of a stratum may be in work, at least 1.

        The dataset is one that wants more samples.
        """
        view = self._overview
        if self._largest[0] != view.version:
            weights = [each.weight for each in view.active() if view.is_filling(each)]
            self._largest = (view.version, max(weights, default=0.0))
        at_once = claims_at_once(order.weight, max(order.weight, self._largest[1]))
        return max(1, math.floor(at_once * self._share(order, stratum)))

    def _share(self, order: DatasetDeclared, stratum: str) -> float:
        """Return what a stratum gets of the work on its dataset, beside an equal share."""
        name, view = order.dataset, self._overview
        known = self._shares.get(name)
        if known is None or known.version != view.version:
            # Many events, as new scenarios, change nothing of what shares are drawn from.
            basis = (view.outcomes[name].verdicts, view.filling(name), order.seed, order.steer)
            if known is not None and known.basis == basis:
                shares = known.shares
            else:
                seed = derived_seed("shares", name, order.seed)
                shares = view.outcomes[name].shares(basis[1], seed, order.steer)
            known = self._shares[name] = _Shares(view.version, basis, shares)
        return known.shares.get(stratum, 1.0)
