"""Where the budget of a stratum goes: to requirements whose candidates are accepted.

Thompson sampling (D. Russo et al., "A Tutorial on Thompson Sampling", arXiv 1707.02038): for each
requirement an acceptance rate is drawn from its posterior, and one of the better half is taken, not
the best: a dataset is to be diverse. Each `FLOOR`-th candidate goes round all requirements, so that
none is given up for good.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from services.events import Requirement, SampleJudged

FLOOR = 10
"""Of so many candidates of a stratum one takes the next requirement in turn."""
STRENGTH = 8.0
"""Candidates that the prior of a requirement counts for: what is known of its category, complexity
and style. There are more requirements than a small dataset has candidates."""
ELSEWHERE = 0.5
"""What a verdict in another stratum of the dataset counts, beside one in its own."""
NO_FAULT = frozenset(("quota_full", "deleted"))
"""Reasons that say nothing about a requirement."""


_ANY: tuple[str, object] = ("any", "")


@dataclass(slots=True)
class _Tally:
    accepted: int = 0
    rejected: int = 0

    @property
    def log_odds(self) -> float:
        return math.log((self.accepted + 1) / (self.rejected + 1))


@dataclass(slots=True)
class Outcomes:
    """Verdicts on the candidates of one dataset, by requirement; a pure function of them."""

    _traits: defaultdict[tuple[str, object], _Tally] = field(
        default_factory=lambda: defaultdict(_Tally)
    )
    _all: defaultdict[str, _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    _own: defaultdict[tuple[str, str], _Tally] = field(default_factory=lambda: defaultdict(_Tally))

    def add(self, sample: SampleJudged) -> None:
        """Take in a verdict."""
        if sample.reason in NO_FAULT:
            return
        requirement = sample.requirement.requirement_id
        traits = [self._traits[trait] for trait in (_ANY, *_traits_of(sample.requirement))]
        for tally in (self._all[requirement], self._own[sample.stratum, requirement], *traits):
            tally.accepted += sample.accepted
            tally.rejected += not sample.accepted

    def posterior(self, stratum: str, requirement: Requirement) -> tuple[float, float]:
        """Return the parameters of the Beta distribution of an acceptance rate.

        The log-odds of the prior's mean are those of all candidates, and what each trait of the
        requirement adds to them; verdicts of other strata count `ELSEWHERE`.
        """
        usual = self._traits[_ANY].log_odds
        added = (self._traits[trait].log_odds - usual for trait in _traits_of(requirement))
        prior = 1 / (1 + math.exp(-usual - sum(added)))
        name = requirement.requirement_id
        own, every = self._own[stratum, name], self._all[name]
        return (
            STRENGTH * prior + own.accepted + ELSEWHERE * (every.accepted - own.accepted),
            STRENGTH * (1 - prior) + own.rejected + ELSEWHERE * (every.rejected - own.rejected),
        )

    def choose(
        self, stratum: str, requirements: Sequence[Requirement], number: int, seed: int
    ) -> Requirement:
        """Return what a candidate is asked to be.

        Args:
            stratum: Of the candidate.
            requirements: Of the dataset, at least one.
            number: Candidates of the stratum before it.
            seed: Decides the draws, together with the state.
        """
        if number % FLOOR == 0:
            return requirements[number // FLOOR % len(requirements)]
        random = Random(seed)
        drawn = sorted(
            requirements,
            key=lambda each: random.betavariate(*self.posterior(stratum, each)),
            reverse=True,
        )
        return random.choice(drawn[: max(1, len(drawn) // 2)])


def _traits_of(requirement: Requirement) -> tuple[tuple[str, object], ...]:
    return (
        ("category", requirement.category),
        ("complexity", requirement.complexity),
        ("style", requirement.style),
    )
