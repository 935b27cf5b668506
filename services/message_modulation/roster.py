"""Which groups are parked or rest, and what all did so far: kept up to date state by state."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from services.message_modulation.domain import ModulatorState
from services.runtime.metrics import SocietyMetrics


class Parked(NamedTuple):
    """A parked group: what says whether it may run, without its state."""

    rank: int
    group_id: str
    region: str
    agents: int


class Roster:
    """The groups that this process owns, so that nobody has to look through all of them."""

    def __init__(self, metrics: SocietyMetrics) -> None:
        self._metrics = metrics
        self._parked: defaultdict[str, list[Parked]] = defaultdict(list)
        """By region, in order of rank."""
        self._places: dict[str, Parked] = {}
        """The same by group."""
        self._active: dict[str, int] = {}
        """Agents of each group whose token is on its way."""
        self.steps = 0
        """That the groups took so far."""
        self.resting = 0
        """Groups that wait for something to happen."""
        metrics.resting = lambda: self.resting
        self._seen: dict[str, tuple[int, bool]] = {}
        """Steps of each group, and whether it rests."""

    def note(self, group_id: str, state: ModulatorState | None) -> None:
        """Take in a group's new state, or that it is not owned any more (None)."""
        self._count(group_id, state)
        place = self._places.pop(group_id, None)
        if place is not None:
            places = self._parked[place.region]
            del places[bisect_left(places, place)]
        active = 0
        if state is not None and state.parked:
            group = state.group
            parked = Parked(group.rank, group_id, group.region, len(state.agents))
            self._places[group_id] = parked
            insort(self._parked[group.region], parked)
        elif state is not None and not state.resting:
            active = len(state.agents)
        self._metrics.active += active - self._active.pop(group_id, 0)
        if active:
            self._active[group_id] = active
        self._metrics.parked += (group_id in self._places) - (place is not None)

    def _count(self, group_id: str, state: ModulatorState | None) -> None:
        steps, resting = self._seen.pop(group_id, (0, False))
        self.steps -= steps
        self.resting -= resting
        if state is not None:
            self.steps += state.applied_step + 1
            self.resting += state.resting
            self._seen[group_id] = state.applied_step + 1, state.resting

    def place(self, group_id: str) -> Parked | None:
        """Return where a group is parked; None when it is not."""
        return self._places.get(group_id)

    def parked(self, region: str) -> Iterator[Parked]:
        """Return the parked groups of a region in order of rank; none may change meanwhile."""
        return iter(self._parked.get(region, ()))
