"""Claims, the scenario library and the progress of datasets, as values and pure rules."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.events import Requirement, ScenarioExtracted
from services.runtime.vectors import Vector

USES_PER_PAIR = 4
"""Candidates of a dataset from the same scenario and agent, at most."""
REUSE_PENALTY = 0.25
"""What one earlier use costs a scenario, in units of cosine similarity to the requirement."""
CLAIMS_AT_ONCE = 64
"""Candidates of a stratum that are claimed and not judged, at most."""
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


def acceptance_rate(accepted: int, judged: int) -> float:
    """Return the share of candidates expected to be accepted: the mean of a Beta(2, 1) posterior.

    The prior is hopeful: claiming too few costs a round of waiting, too many costs model calls.
    """
    return (accepted + 2) / (judged + 3)


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
    """No pair is left since the dataset had so many verdicts in all; None: there are pairs."""

    @property
    def room(self) -> int:
        """Samples that the stratum may still accept."""
        return self.granted - self.released - self.accepted

    @property
    def wanted(self) -> int:
        """Candidates to claim now: as many as fill the room at the acceptance rate so far."""
        rate = acceptance_rate(self.accepted, self.judged)
        needed = min(math.ceil(self.room / rate), CLAIMS_AT_ONCE)
        return max(0, needed - (self.claimed - self.judged))


class RegionLibrary:
    """The scenarios of one region, and how often each dataset used them."""

    def __init__(self) -> None:
        self.scenarios: list[ScenarioExtracted] = []
        self._places: dict[str, int] = {}
        self._matrix: Vector = np.zeros((0, 0), dtype=np.float32)
        self._pairs = 0
        self._uses: dict[str, Counter[str]] = {}
        self._load: dict[str, Vector] = {}
        """By dataset: uses per agent of each scenario, with room to grow."""

    def add(self, scenario: ScenarioExtracted) -> bool:
        """Take in a scenario; False when it is here already, or nobody takes part in it."""
        if scenario.scenario_id in self._places or not scenario.agents:
            return False
        place = len(self.scenarios)
        if place >= len(self._matrix):
            self._matrix = _grown(self._matrix, (max(16, 2 * place), len(scenario.embedding)))
        self._matrix[place] = scenario.embedding
        self._places[scenario.scenario_id] = place
        self.scenarios.append(scenario)
        self._pairs += len(scenario.agents)
        return True

    def get(self, scenario_id: str) -> ScenarioExtracted | None:
        """Return a scenario by id, or None."""
        place = self._places.get(scenario_id)
        return None if place is None else self.scenarios[place]

    def use(self, dataset: str, scenario_id: str, agent_id: str, times: int = 1) -> None:
        """Note uses of a pair."""
        self._uses.setdefault(dataset, Counter())[f"{scenario_id}/{agent_id}"] += times
        place = self._places.get(scenario_id)
        if place is not None:
            load = self._load_of(dataset)
            load[place] += times / len(self.scenarios[place].agents)

    def _load_of(self, dataset: str) -> Vector:
        load = self._load.get(dataset, np.zeros(0, dtype=np.float32))
        if len(load) < len(self.scenarios):
            load = self._load[dataset] = _grown(load, (max(16, 2 * len(self.scenarios)),))
        return load

    def unused_pairs(self, dataset: str) -> int:
        """Return how many (scenario, agent) pairs a dataset has not used yet."""
        return self._pairs - len(self._uses.get(dataset, ()))

    def best_pair(
        self, dataset: str, query: Sequence[float]
    ) -> tuple[ScenarioExtracted, str, int] | None:
        """Return the scenario and agent to use next, and how often they were used before.

        The scenario most relevant to the requirement, less a penalty for each earlier use per
        agent; in it the agent used least. None when all are used up.
        """
        count = len(self.scenarios)
        if not count:
            return None
        load = self._load_of(dataset)[:count]
        vector = np.asarray(query, dtype=np.float32)
        fits = vector.size == self._matrix.shape[1]
        relevance = self._matrix[:count] @ vector if fits else np.zeros(count, dtype=np.float32)
        open_ = load < USES_PER_PAIR - 1e-6
        best = int(np.argmax(np.where(open_, relevance - REUSE_PENALTY * load, -np.inf)))
        if not open_[best]:
            return None
        scenario = self.scenarios[best]
        uses = self._uses.get(dataset, Counter())
        agent_ids = [card.agent_id for card in scenario.agents]
        agent_id = min(agent_ids, key=lambda agent: uses[f"{scenario.scenario_id}/{agent}"])
        return scenario, agent_id, uses[f"{scenario.scenario_id}/{agent_id}"]


def _grown(array: Vector, shape: tuple[int, ...]) -> Vector:
    larger = np.zeros(shape, dtype=np.float32)
    if array.size:
        larger[: len(array)] = array
    return larger


def is_sated(progress: Progress, unused_pairs: int) -> bool:
    """Return whether a dataset needs no more scenarios from a stratum's region for now."""
    if progress.room <= 0:
        return True
    rate = acceptance_rate(progress.accepted, progress.judged)
    return unused_pairs >= LOOKAHEAD * math.ceil(progress.room / rate)
