"""Where the budget of a dataset goes: to candidates that bring most for their tokens.

The value of a requirement, or of a stratum, is the mean reward of its candidates over their mean
tokens. The reward is 1 for an accepted sample; by learnability it is what the student learns from
it, p(1 - p) over its maximum 1/4, so that a prompt solved half of the time counts as one.

Thompson sampling (D. Russo et al., "A Tutorial on Thompson Sampling", arXiv 1707.02038): rewards
are drawn from their posteriors and divided by the tokens, as with a budget (Y. Xia et al., arXiv
1505.00146; tokens vary little beside rewards, and stand for themselves). Rewards in [0, 1] are
Bernoulli-ised (S. Agrawal and N. Goyal, arXiv 1111.1797, algorithm 2): theirs is a coin that shows
heads with chance r; here a reward r counts as r of a success and 1 - r of a failure, which is the
coin's expectation without its noise. The Beta is wide enough for it: of all rewards in [0, 1] with
the same mean, those of a coin vary most.

One of the better half is taken, not the best: a dataset is to be diverse. Each `FLOOR`-th
candidate goes round all requirements, and each stratum keeps a `FLOOR`-th of an equal share of the
work, so that nothing is given up for good.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.events import Requirement, SampleJudged
from services.instruction_generation.requirement_sums import Floats, Places, RequirementSums

FLOOR = 10
"""Of so many candidates of a stratum one takes the next requirement in turn."""
STRENGTH = 8.0
"""Candidates that a prior counts for: what is known of the category, complexity and style of a
requirement (there are more requirements than a small dataset has candidates), or of the dataset."""
COST_STRENGTH = 2.0
"""The same for tokens, which vary less than rewards and are known sooner."""
ELSEWHERE = 0.5
"""What a verdict in another stratum of the dataset counts, beside one in its own."""
CHEAPEST = 0.25
"""Tokens of a candidate, at least, beside the usual: one that fails before it costs anything is no
bargain."""
MOST_LEARNABLE = 0.25
"""The maximum of p(1 - p)."""
DRAWS = 64
"""Times that the strata are drawn to tell how often each is among the better half."""
NO_FAULT = frozenset(("quota_full", "deleted"))
"""Reasons that say nothing about a requirement."""
_ANY: tuple[str, object] = ("any", "")


@dataclass(slots=True)
class _Tally:
    """Sums over candidates."""

    candidates: float = 0.0
    accepted: float = 0.0
    learnt: float = 0.0
    """Learnability of the accepted ones, each over its maximum."""
    tokens: float = 0.0

    def reward(self, steer: str) -> float:
        """Return the sum of their rewards."""
        return self.learnt if steer == "learnability" else self.accepted

    def log_odds(self, steer: str) -> float:
        reward = self.reward(steer)
        return math.log((reward + 1) / (self.candidates - reward + 1))

    def log_cost(self, usual: float) -> float:
        """Return the logarithm of their mean tokens over the usual ones, which are the prior.

        0 where no tokens were counted at all.
        """
        if not usual:
            return 0.0
        mean = (self.tokens + COST_STRENGTH * usual) / (self.candidates + COST_STRENGTH)
        return math.log(max(CHEAPEST, mean / usual))


def _tallies() -> defaultdict[Hashable, _Tally]:
    return defaultdict(_Tally)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where in the arrays the requirements of the dataset stand."""

    requirements: tuple[Requirement, ...]
    columns: Places
    """In the sums, of each requirement."""
    traits: tuple[Hashable, ...]
    """Each that a requirement has, once."""
    places: Places
    """Among these, of the traits of each requirement: a row each."""


@dataclass(slots=True)
class Outcomes:
    """Verdicts on the candidates of one dataset, by stratum and requirement.

    A pure function of them. `steer` says what counts, one of `services.kinds.STEERS`.
    """

    verdicts: int = 0
    """How many were taken in: what is told here changes with this number only."""
    _traits: defaultdict[Hashable, _Tally] = field(default_factory=_tallies)
    _strata: defaultdict[Hashable, _Tally] = field(default_factory=_tallies)
    _sums: RequirementSums = field(default_factory=RequirementSums)
    _layout: _Layout | None = None
    """Of the requirements that were asked for last."""
    _logs: dict[Hashable, float] = field(default_factory=dict)
    """Logarithms of traits that were asked for since the last verdict."""

    def add(self, sample: SampleJudged) -> None:
        """Take in a verdict."""
        if sample.reason in NO_FAULT:
            return
        self.verdicts += 1
        self._logs.clear()
        learnability = sample.scores.get("learnability", 0.0)
        learnt = sample.accepted * min(1.0, learnability / MOST_LEARNABLE)
        tokens = sample.usage.prompt_tokens + sample.usage.completion_tokens
        for tally in (
            self._strata[sample.stratum],
            *(self._traits[trait] for trait in (_ANY, *_traits_of(sample.requirement))),
        ):
            tally.candidates += 1
            tally.accepted += sample.accepted
            tally.learnt += learnt
            tally.tokens += tokens
        self._sums.add(
            sample.stratum,
            sample.requirement.requirement_id,
            (1, sample.accepted, learnt, tokens),
        )

    def posterior(
        self, stratum: str, requirement: Requirement, steer: str = "acceptance"
    ) -> tuple[float, float]:
        """Return the parameters of the Beta distribution of a mean reward.

        The log-odds of the prior's mean are those of all candidates, and what each trait of the
        requirement adds to them; verdicts of other strata count `ELSEWHERE`.
        """
        alphas, betas, _ = self._estimates(stratum, [requirement], steer)
        return float(alphas[0]), float(betas[0])

    def cost(self, stratum: str, requirement: Requirement) -> float:
        """Return the mean tokens of a candidate over the usual ones, at least `CHEAPEST`.

        The prior is what each trait of the requirement adds, as with rewards.
        """
        return float(self._estimates(stratum, [requirement], "acceptance")[2][0])

    def _estimates(
        self, stratum: str, requirements: Sequence[Requirement], steer: str
    ) -> tuple[Floats, Floats, Floats]:
        """Return alpha, beta and cost of each requirement: of all at once, for each claim asks."""
        usual, tokens = self._log_odds(_ANY, steer), self._usual_tokens
        layout = self._layout_of(requirements)
        odds = np.array([self._log_odds(trait, steer) for trait in layout.traits])[layout.places]
        priors = 1 / (1 + np.exp(-usual - (odds - usual).sum(axis=1)))
        candidates, accepted, learnt, spent = self._sums.of(stratum, layout.columns, ELSEWHERE)
        rewards = learnt if steer == "learnability" else accepted
        alphas = STRENGTH * priors + rewards
        betas = STRENGTH * (1 - priors) + candidates - rewards
        if not tokens:
            return alphas, betas, np.ones(len(requirements))
        logs = np.array([self._log_cost(trait, tokens) for trait in layout.traits])[layout.places]
        expected = np.maximum(CHEAPEST, np.exp(logs.sum(axis=1)))
        costs = (spent / tokens + COST_STRENGTH * expected) / (candidates + COST_STRENGTH)
        return alphas, betas, np.maximum(CHEAPEST, costs)

    def _layout_of(self, requirements: Sequence[Requirement]) -> _Layout:
        asked = tuple(requirements)
        if self._layout is None or self._layout.requirements != asked:
            traits: dict[Hashable, int] = {}
            places = [
                [traits.setdefault(trait, len(traits)) for trait in _traits_of(requirement)]
                for requirement in asked
            ]
            columns = [self._sums.column(each.requirement_id) for each in asked]
            self._layout = _Layout(asked, np.array(columns), tuple(traits), np.array(places))
        return self._layout

    def _log_odds(self, trait: Hashable, steer: str) -> float:
        key = (steer, trait)
        if key not in self._logs:
            self._logs[key] = self._traits[trait].log_odds(steer)
        return self._logs[key]

    def _log_cost(self, trait: Hashable, usual: float) -> float:
        if trait not in self._logs:
            self._logs[trait] = self._traits[trait].log_cost(usual)
        return self._logs[trait]

    @property
    def _usual_tokens(self) -> float:
        every = self._traits[_ANY]
        return every.tokens / max(1.0, every.candidates)

    def choose(
        self,
        stratum: str,
        requirements: Sequence[Requirement],
        number: int,
        seed: int,
        steer: str = "acceptance",
    ) -> Requirement:
        """Return what a candidate is asked to be.

        Args:
            stratum: Of the candidate.
            requirements: Of the dataset, at least one.
            number: Candidates of the stratum before it.
            seed: Decides the draws, together with the state.
            steer: What counts; by "none" the requirements take turns.
        """
        if steer == "none":
            return requirements[number % len(requirements)]
        if number % FLOOR == 0:
            return requirements[number // FLOOR % len(requirements)]
        alphas, betas, costs = self._estimates(stratum, requirements, steer)
        random = np.random.default_rng(seed % (1 << 64))
        best = (-random.beta(alphas, betas) / costs).argsort(kind="stable")
        return requirements[int(best[random.integers(max(1, len(best) // 2))])]

    def value(self, stratum: str, steer: str) -> float:
        """Return what a candidate of a stratum brings per token, beside the usual: about 1.

        The mean of the posterior, whose prior is the dataset's: 1 before anything is known.
        """
        if steer == "none":
            return 1.0
        alpha, beta = self._stratum_posterior(stratum, steer)
        usual = _mean_reward(self._traits[_ANY], steer)
        return alpha / (alpha + beta) / usual / self._stratum_cost(stratum)

    def shares(self, strata: Iterable[str], seed: int, steer: str) -> dict[str, float]:
        """Return the share of the work that each stratum gets, beside an equal one.

        In proportion to the chance that it is among the better half, by `DRAWS` draws, and at
        least one in `FLOOR`. They sum to the number of the strata, or a little more by the floor.
        """
        names = sorted(strata)
        if steer == "none" or len(names) < 2:
            return dict.fromkeys(names, 1.0)
        posteriors = np.array([self._stratum_posterior(name, steer) for name in names])
        costs = np.array([self._stratum_cost(name) for name in names])
        alphas, betas = posteriors.T[:, :, np.newaxis]
        random = np.random.default_rng(seed % (1 << 64))
        drawn = random.beta(alphas, betas, (len(names), DRAWS)) / costs[:, np.newaxis]
        half = len(names) // 2
        better = (-drawn).argsort(axis=0)[:half]
        chances = np.bincount(better.ravel(), minlength=len(names)) / DRAWS
        return {
            name: max(1 / FLOOR, float(chance) * len(names) / half)
            for name, chance in zip(names, chances, strict=True)
        }

    def _stratum_posterior(self, stratum: str, steer: str) -> tuple[float, float]:
        prior, seen = _mean_reward(self._traits[_ANY], steer), self._strata[stratum]
        reward = seen.reward(steer)
        return STRENGTH * prior + reward, STRENGTH * (1 - prior) + seen.candidates - reward

    def _stratum_cost(self, stratum: str) -> float:
        return math.exp(self._strata[stratum].log_cost(self._usual_tokens))


def _mean_reward(tally: _Tally, steer: str) -> float:
    return (tally.reward(steer) + 1) / (tally.candidates + 2)


def _traits_of(requirement: Requirement) -> tuple[tuple[str, object], ...]:
    return (
        ("category", requirement.category),
        ("complexity", requirement.complexity),
        ("style", requirement.style),
    )
