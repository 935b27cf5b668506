"""The scenario library for callers: by id, and by meaning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.events import ScenarioExtracted, codec
from services.events.topics import SCENARIOS_EXTRACTED
from services.runtime.errors import NotFound, Rejected
from services.runtime.ports import Delivery, Embedder
from services.runtime.vectors import Vector
from services.runtime.worker import Route

MOST_FOUND = 100
USUALLY_FOUND = 10
LONGEST_QUERY = 2000
"""Characters of a query."""
_FIRST_ROOM = 64
_CODEC = codec.CODECS[ScenarioExtracted.__name__]


@dataclass(frozen=True, slots=True)
class FoundScenario:
    """A scenario, and how near its summary is to what was searched for."""

    similarity: float
    scenario: ScenarioExtracted


class ScenarioIndex:
    """All scenarios of the society: every replica has them.

    Kept as they travel, without their embeddings, which are the rows of one matrix: about 8 KB a
    scenario of ten actions.
    """

    def __init__(self, tell: Callable[[ScenarioExtracted], None] = lambda scenario: None) -> None:
        """Set up.

        Args:
            tell: is given every new scenario, without its embedding.
        """
        self._tell = tell
        self._places: dict[str, int] = {}
        self._scenarios: list[bytes] = []
        self._regions: dict[str, int] = {}
        self._region_of = np.zeros(_FIRST_ROOM, dtype=np.int32)
        self._matrix: Vector = np.zeros((_FIRST_ROOM, 0), dtype=np.float32)
        self._rows = np.zeros(_FIRST_ROOM, dtype=np.intp)
        """Place of the scenario of each row of the matrix."""
        self._filled = 0

    def __len__(self) -> int:
        return len(self._scenarios)

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads from the beginning."""
        return [Route(SCENARIOS_EXTRACTED.name, self.on_scenario)]

    async def on_scenario(self, delivery: Delivery) -> None:
        """Take in a scenario."""
        self.add(codec.from_delivery(delivery))

    def add(self, scenario: ScenarioExtracted) -> bool:
        """Take in a scenario; False when it is here already."""
        if scenario.scenario_id in self._places:
            return False
        bare = replace(scenario, embedding=())
        place = self._places[scenario.scenario_id] = len(self._scenarios)
        self._scenarios.append(_CODEC.encode(bare))
        self._add_vector(place, scenario)
        self._tell(bare)
        return True

    def _add_vector(self, place: int, scenario: ScenarioExtracted) -> None:
        width = len(scenario.embedding)
        if not self._filled:
            self._matrix = np.zeros((len(self._rows), width), dtype=np.float32)
        if not width or width != self._matrix.shape[1]:
            return  # Of another embedding model: found by its id only.
        row = self._filled
        if row == len(self._rows):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._region_of = np.concatenate([self._region_of, np.zeros_like(self._region_of)])
        self._matrix[row] = scenario.embedding
        self._rows[row] = place
        self._region_of[row] = self._regions.setdefault(scenario.region, len(self._regions))
        self._filled += 1

    def get(self, scenario_id: str) -> ScenarioExtracted:
        """Return a scenario, without its embedding.

        Raises:
            NotFound: there is none of that id.
        """
        place = self._places.get(scenario_id)
        if place is None:
            raise NotFound(f"no scenario {scenario_id!r}: ids are those of SearchScenarios")
        return self._at(place)

    def search(self, vector: Sequence[float], limit: int, region: str = "") -> list[FoundScenario]:
        """Return the scenarios whose summary is nearest to a vector by cosine, nearest first.

        Of equally near ones the older goes first. Finds none for a vector of another model.

        Args:
            vector: L2-normalised, as those of the scenarios.
            limit: Scenarios at most.
            region: Of this region only, when given.
        """
        query = np.asarray(vector, dtype=np.float32)
        if not self._filled or query.shape != self._matrix.shape[1:]:
            return []
        rows = np.arange(self._filled)
        if region:
            rows = np.flatnonzero(self._region_of[: self._filled] == self._regions.get(region, -1))
        cosines = self._matrix[: self._filled] @ query
        if len(rows) > limit:
            nearest = np.argpartition(-cosines[rows], limit - 1)[:limit]
            # Of the ones equally near to the last one, argpartition takes any.
            rows = rows[cosines[rows] >= cosines[rows[nearest]].min()]
        order = rows[np.lexsort((rows, -cosines[rows]))][:limit]
        return [FoundScenario(float(cosines[row]), self._at(int(self._rows[row]))) for row in order]

    def _at(self, place: int) -> ScenarioExtracted:
        scenario: ScenarioExtracted = _CODEC.decode(self._scenarios[place])
        return scenario


class ScenarioSearch:
    """Scenarios by the meaning of a text."""

    def __init__(self, index: ScenarioIndex, embedder: Embedder) -> None:
        self._index = index
        self._embedder = embedder

    async def search(self, query: str, limit: int, region: str = "") -> list[FoundScenario]:
        """Return the scenarios nearest to a text, nearest first; a limit of 0 is the usual one.

        Raises:
            Rejected: no text, too long a one, or a limit that is out of range.
            Retryable: the embedding model did not answer.
        """
        if not query.strip() or len(query) > LONGEST_QUERY:
            raise Rejected(f"query of {len(query)} characters: give 1 to {LONGEST_QUERY}")
        if not 0 <= limit <= MOST_FOUND:
            raise Rejected(f"limit {limit}: give 1 to {MOST_FOUND}, or 0 for {USUALLY_FOUND}")
        vectors = await self._embedder.embed([query])
        return self._index.search(vectors[0], limit or USUALLY_FOUND, region)
