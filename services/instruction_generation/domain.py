"""Claims, the scenario library and the progress of datasets, as values and pure rules."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from services.events import Requirement, ScenarioExtracted
from services.runtime.ids import derived_id
from services.runtime.vectors import Vector

USES_PER_PAIR = 4
"""Candidates of a dataset from the same scenario and agent, at most."""
REUSE_PENALTY = 0.25
"""What one earlier use costs a scenario, in units of cosine similarity to the requirement."""
CLAIMS_AT_ONCE = 64
"""Candidates of a stratum that are claimed and not judged, at most."""
LAST_FEW = 4
"""Samples still wanted for which a stratum does not wait for fresh scenarios."""
DRY_PATIENCE = 16
"""Verdicts elsewhere that a stratum without material may wait for its society to bring some."""
LOOKAHEAD = 2.0
"""Unused (scenario, agent) pairs per candidate still wanted before a region is parked."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A candidate that is to be made: decided before any model is asked."""

    candidate_id: str
    dataset: str
    stratum: str
    scenario_id: str
    agent_id: str
    index: int
    requirement: Requirement


@dataclass(frozen=True, slots=True)
class GroupClaims:
    """The candidates of one group's scenarios, for all datasets."""

    claimed: Mapping[str, int] = field(default_factory=dict)
    open: tuple[Claim, ...] = ()

    def closed(self) -> list[str]:
        """Return the ids of the candidates whose instruction is published."""
        open_ = {claim.candidate_id for claim in self.open}
        ids = []
        for key, times in self.claimed.items():
            dataset, scenario_id, agent_id = key.split("/")
            ids += [candidate_id(dataset, scenario_id, agent_id, index) for index in range(times)]
        return [each for each in ids if each not in open_]


def candidate_id(dataset: str, scenario_id: str, agent_id: str, index: int) -> str:
    """Return the id of a dataset's candidate number `index` from an agent in a scenario."""
    return derived_id("candidate", dataset, scenario_id, agent_id, index)


def acceptance_rate(accepted: int, judged: int) -> Fraction:
    """Return the share of candidates expected to be accepted: the mean of a Beta(2, 1) posterior.

    The prior is hopeful: claiming too few costs a round of waiting, too many costs model calls.
    """
    return Fraction(accepted + 2, judged + 3)


def pair_key(dataset: str, scenario_id: str, agent_id: str) -> str:
    """Return the name of a dataset's use of an agent in a scenario."""
    return f"{dataset}/{scenario_id}/{agent_id}"


@dataclass(slots=True)
class Progress:
    """How a stratum of a dataset stands; rebuilt from verdicts, claims and quotas."""

    granted: int = 0
    recall: int = 0
    released: int = 0
    accepted: int = 0
    judged: int = 0
    claimed: int = 0
    failures: int = 0
    """Rejections since the last acceptance."""
    dry_since: int | None = None
    """No pair may be used any more since the dataset had so many verdicts in all; None: one may."""

    @property
    def room(self) -> int:
        """Samples that the stratum may still accept."""
        return self.granted - self.released - self.accepted

    @property
    def needed(self) -> int:
        """Candidates that fill the room at the acceptance rate so far."""
        return math.ceil(self.room / acceptance_rate(self.accepted, self.judged))

    @property
    def closing(self) -> bool:
        """Whether only a few samples are wanted, and nothing of them is in work."""
        return 0 < self.room <= LAST_FEW and self.claimed == self.judged

    @property
    def wanted(self) -> int:
        """Candidates to claim now: what is needed beside those in work."""
        return max(0, min(self.needed, CLAIMS_AT_ONCE) - (self.claimed - self.judged))


class RegionLibrary:
    """The scenarios of one region, and how often each dataset used them."""

    def __init__(self) -> None:
        self.scenarios: list[ScenarioExtracted] = []
        self._places: dict[str, int] = {}
        self._matrix: Vector = np.zeros((0, 0), dtype=np.float32)
        self._agents: Vector = np.zeros(0, dtype=np.float32)
        """Agents of each scenario."""
        self._pairs = 0
        self._uses: dict[str, Counter[str]] = {}
        self._totals: dict[str, Vector] = {}
        """By dataset: uses of each scenario. The arrays have room to grow."""

    def add(self, scenario: ScenarioExtracted) -> bool:
        """Take in a scenario; False when it is here already, or nobody takes part in it."""
        if scenario.scenario_id in self._places or not scenario.agents:
            return False
        place = len(self.scenarios)
        if place >= len(self._agents):
            length = max(16, 2 * place)
            self._matrix = _grown(self._matrix, (length, len(scenario.embedding)))
            self._agents = _grown(self._agents, (length,))
        self._matrix[place] = scenario.embedding
        self._agents[place] = len(scenario.agents)
        self._places[scenario.scenario_id] = place
        self.scenarios.append(scenario)
        self._pairs += len(scenario.agents)
        return True

    def get(self, scenario_id: str) -> ScenarioExtracted | None:
        """Return a scenario by id, or None."""
        place = self._places.get(scenario_id)
        return None if place is None else self.scenarios[place]

    def use(self, dataset: str, scenario_id: str, agent_id: str, times: int = 1) -> None:
        """Note uses of a pair whose scenario is here."""
        self._uses.setdefault(dataset, Counter())[f"{scenario_id}/{agent_id}"] += times
        place = self._places[scenario_id]
        self._totals[dataset] = self._totals_of(dataset)
        self._totals[dataset][place] += times

    def _totals_of(self, dataset: str) -> Vector:
        return _grown(self._totals.get(dataset, self._agents[:0]), self._agents.shape)

    def unused_pairs(self, dataset: str) -> int:
        """Return how many (scenario, agent) pairs a dataset has not used yet."""
        return self._pairs - len(self._uses.get(dataset, ()))

    def least_uses(self, dataset: str) -> int:
        """Return how often the pairs used least were used; `USES_PER_PAIR` without any pair."""
        count = len(self.scenarios)
        # Agents of a scenario take turns, so that the one used least was used the mean, floored.
        least = self._totals_of(dataset)[:count] // self._agents[:count]
        return int(least.min(initial=USES_PER_PAIR))

    def best_pair(
        self, dataset: str, query: Sequence[float], uses: int = 0
    ) -> tuple[ScenarioExtracted, str, int] | None:
        """Return the scenario and agent to use next, and how often they were used before.

        The scenario most relevant to the requirement, less a penalty for each earlier use per
        agent; in it the agent used least. None when no pair was used `uses` times or less.
        """
        count = len(self.scenarios)
        if not count:
            return None
        totals, agents = self._totals_of(dataset)[:count], self._agents[:count]
        vector = np.asarray(query, dtype=np.float32)
        fits = vector.size == self._matrix.shape[1]
        relevance = self._matrix[:count] @ vector if fits else np.zeros(count, dtype=np.float32)
        open_ = totals < min(uses + 1, USES_PER_PAIR) * agents
        worth = relevance - REUSE_PENALTY * totals / agents
        best = int(np.argmax(np.where(open_, worth, -np.inf)))
        if not open_[best]:
            return None
        scenario = self.scenarios[best]
        used = self._uses.get(dataset, Counter())
        agent_ids = [card.agent_id for card in scenario.agents]
        agent_id = min(agent_ids, key=lambda agent: used[f"{scenario.scenario_id}/{agent}"])
        return scenario, agent_id, used[f"{scenario.scenario_id}/{agent_id}"]


def _grown(array: Vector, shape: tuple[int, ...]) -> Vector:
    if array.shape == shape:
        return array
    larger = np.zeros(shape, dtype=np.float32)
    if array.size:
        larger[: len(array)] = array
    return larger


def is_sated(progress: Progress, unused_pairs: int) -> bool:
    """Return whether a dataset needs no more scenarios from a stratum's region for now."""
    return unused_pairs >= LOOKAHEAD * progress.needed
