"""The scenarios of one region, and how often each dataset used the people in them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from services.events import AgentCard, ScenarioExtracted
from services.instruction_generation.domain import REUSE_PENALTY, USES_PER_PAIR
from services.runtime.vectors import Vector


class Uses:
    """One dataset's uses of (scenario, agent) pairs, whose scenarios may not be known yet.

    What the owner of the stratum claimed, or what anybody knows by the verdicts: the larger one.
    """

    def __init__(self) -> None:
        self.claimed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By scenario and agent."""
        self.judged: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def of(self, scenario_id: str, agent_id: str) -> int:
        """Return how often a pair was used."""
        claimed, judged = self.claimed.get(scenario_id), self.judged.get(scenario_id)
        return max(claimed[agent_id] if claimed else 0, judged[agent_id] if judged else 0)


class RegionLibrary:
    """The scenarios of one region, and how often each dataset used them."""

    def __init__(self) -> None:
        self.scenarios: list[ScenarioExtracted] = []
        self.pairs = 0
        """(scenario, agent) pairs that there are."""
        self._places: dict[str, int] = {}
        self._cards: dict[str, AgentCard] = {}
        """Of each agent, as it was last."""
        self._matrix: Vector = np.zeros((0, 0), dtype=np.float32)
        self._agents: Vector = np.zeros(0, dtype=np.float32)
        """Agents of each scenario."""
        self._uses: defaultdict[str, Uses] = defaultdict(Uses)
        self._used_pairs: Counter[str] = Counter()
        """By dataset: pairs of known scenarios that were used."""
        self._totals: dict[str, Vector] = {}
        """By dataset: uses of each scenario. The arrays have room to grow."""
        self._spent: Counter[str] = Counter()
        """By dataset: scenarios without a pair that was never used."""

    def add(self, scenario: ScenarioExtracted) -> bool:
        """Take in a scenario; False when it is here already, or nobody takes part in it."""
        if scenario.scenario_id in self._places or not scenario.agents:
            return False
        place, width = len(self.scenarios), len(scenario.embedding)
        if place >= len(self._agents):
            length = max(16, 2 * place)
            self._matrix = _grown(self._matrix, (length, self._matrix.shape[1]))
            self._agents = _grown(self._agents, (length,))
        if not self._matrix.shape[1]:
            self._matrix = np.zeros((len(self._agents), width), dtype=np.float32)
        if width == self._matrix.shape[1]:  # One of another model is relevant to nothing.
            self._matrix[place] = scenario.embedding
        self._agents[place] = len(scenario.agents)
        self._places[scenario.scenario_id] = place
        # Its embedding is a row of the matrix: as a tuple of floats it takes 12 KB. And the same
        # people are in many scenarios.
        agents = tuple(map(self._known_card, scenario.agents))
        self.scenarios.append(replace(scenario, agents=agents, embedding=()))
        self.pairs += len(scenario.agents)
        for dataset in self._uses:
            self._count(dataset, scenario)
        return True

    def _known_card(self, card: AgentCard) -> AgentCard:
        """Return the card that is there already, if it says the same."""
        known = self._cards.get(card.agent_id)
        if known == card:
            return known
        self._cards[card.agent_id] = card
        return card

    def get(self, scenario_id: str) -> ScenarioExtracted | None:
        """Return a scenario by id, or None."""
        place = self._places.get(scenario_id)
        return None if place is None else self.scenarios[place]

    def use(self, dataset: str, scenario_id: str, agent_id: str, times: int = 1) -> None:
        """Note that a pair was claimed, so many times more."""
        before = self._uses[dataset].of(scenario_id, agent_id)
        self._uses[dataset].claimed[scenario_id][agent_id] += times
        self._note(dataset, scenario_id, agent_id, before)

    def judge(self, dataset: str, scenario_id: str, agent_id: str) -> None:
        """Note that a candidate of a pair has its verdict."""
        before = self._uses[dataset].of(scenario_id, agent_id)
        self._uses[dataset].judged[scenario_id][agent_id] += 1
        self._note(dataset, scenario_id, agent_id, before)

    def forget_claims(self, dataset: str) -> None:
        """Know no more of a dataset's uses than its verdicts say."""
        if not self._uses[dataset].claimed:
            return
        self._uses[dataset].claimed.clear()
        self._used_pairs[dataset] = 0
        self._totals[dataset] = self._agents * 0
        self._spent[dataset] = 0
        for scenario in self.scenarios:
            self._count(dataset, scenario)

    def _count(self, dataset: str, scenario: ScenarioExtracted) -> None:
        for card in scenario.agents:
            self._note(dataset, scenario.scenario_id, card.agent_id, 0)

    def _note(self, dataset: str, scenario_id: str, agent_id: str, before: int) -> None:
        """Bring the sums up to date with a pair that was used `before` times."""
        place = self._places.get(scenario_id)
        uses = self._uses[dataset].of(scenario_id, agent_id)
        if place is None or uses == before:
            return
        totals = self._totals[dataset] = self._totals_of(dataset)
        fresh = totals[place] < self._agents[place]
        totals[place] += uses - before
        self._spent[dataset] += int(fresh) - int(totals[place] < self._agents[place])
        self._used_pairs[dataset] += not before

    def _totals_of(self, dataset: str) -> Vector:
        return _grown(self._totals.get(dataset, self._agents[:0]), self._agents.shape)

    def unused_pairs(self, dataset: str) -> int:
        """Return how many (scenario, agent) pairs a dataset has not used yet."""
        return self.pairs - self._used_pairs[dataset]

    def least_uses(self, dataset: str) -> int:
        """Return how often the pairs used least were used; `USES_PER_PAIR` without any pair."""
        count = len(self.scenarios)
        # Agents of a scenario take turns, so that the one used least was used the mean, floored.
        least = self._totals_of(dataset)[:count] // self._agents[:count]
        return int(least.min(initial=USES_PER_PAIR))

    def has_pair(self, dataset: str, uses: int = 0) -> bool:
        """Return whether a pair was used `uses` times or less: whether `best_pair` finds one."""
        if not uses:  # Asked at each event.
            return self._spent[dataset] < len(self.scenarios)
        return bool(self._open(dataset, uses).any())

    def _open(self, dataset: str, uses: int) -> npt.NDArray[np.bool_]:
        """Return of which scenarios a pair was used `uses` times or less."""
        count = len(self.scenarios)
        totals, agents = self._totals_of(dataset)[:count], self._agents[:count]
        return totals < min(uses + 1, USES_PER_PAIR) * agents

    def best_pair(
        self, dataset: str, query: Sequence[float], uses: int = 0
    ) -> tuple[ScenarioExtracted, str, int] | None:
        """Return the scenario and agent to use next, and how often they were used before.

        The scenario most relevant to the requirement, less a penalty for each earlier use per
        agent; in it the agent used least. None when no pair was used `uses` times or less.
        """
        open_ = self._open(dataset, uses)
        if not open_.any():
            return None
        count = len(self.scenarios)
        totals, agents = self._totals_of(dataset)[:count], self._agents[:count]
        vector = np.asarray(query, dtype=np.float32)
        fits = vector.size == self._matrix.shape[1]
        relevance = self._matrix[:count] @ vector if fits else np.zeros(count, dtype=np.float32)
        worth = relevance - REUSE_PENALTY * totals / agents
        scenario = self.scenarios[int(np.argmax(np.where(open_, worth, -np.inf)))]
        used = {
            card.agent_id: self._uses[dataset].of(scenario.scenario_id, card.agent_id)
            for card in scenario.agents
        }
        agent_id = min(used, key=lambda agent: used[agent])
        return scenario, agent_id, used[agent_id]


def _grown(array: Vector, shape: tuple[int, ...]) -> Vector:
    if array.shape == shape:
        return array
    larger = np.zeros(shape, dtype=np.float32)
    if array.size:
        larger[: len(array)] = array
    return larger
