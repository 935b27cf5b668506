"""What a view shows of a run."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from services.local.composition import Composition
from services.runtime.metrics import Metrics


@dataclass(slots=True)
class Progress:
    """How far a run is; counts are of the whole directory, `metrics` of this process."""

    phase: str = "starting"
    metrics: Metrics = field(default_factory=Metrics)
    dataset: str = ""
    model: str = ""
    size: int = 0
    """Samples ordered."""
    accepted: int = 0
    accepted_before: int = 0
    """By earlier runs."""
    judged: int = 0
    claimed: int = 0
    """Candidates begun, judged or not."""
    rejected: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    scenarios: int = 0
    resting: int = 0
    """Groups that wait for something to happen."""
    parked: int = 0
    """Groups whose region is not wanted now."""
    active: int = 0
    """Agents of the groups that are in a step."""
    in_flight: Callable[[], int] = lambda: 0
    """Calls that model servers are working on."""
    problems: list[str] = field(default_factory=list)
    """Profiles that were not taken in."""
    started: float = field(default_factory=time.monotonic)

    def observe(self, composition: Composition) -> None:
        """Bring the counts up to date."""
        planner, roster = composition.planner, composition.modulation.roster
        self.size = planner.datasets[self.dataset].size
        self.accepted = planner.accepted(self.dataset)
        self.judged = planner.judged(self.dataset)
        self.claimed = sum(p.claimed for p in planner.progress[self.dataset].values())
        self.rejected = planner.rejected[self.dataset]
        self.scenarios = sum(len(library.scenarios) for library in planner.libraries.values())
        # Many times a second: nobody looks through all groups for these.
        self.steps, self.resting = roster.steps, roster.resting
        self.parked = self.metrics.society.parked
        self.active = self.metrics.society.active
