"""Claims and the progress of datasets, as values and pure rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.events import Requirement, Usage
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id

USES_PER_PAIR = 4
"""Candidates of a dataset from the same scenario and agent, at most."""
REUSE_PENALTY = 0.25
"""What one earlier use costs a scenario, in units of cosine similarity to the requirement."""
CLAIMS_AT_ONCE = 64
"""Candidates of a stratum that are claimed and not judged, at most, where strata share equally."""
KEPT = 0.25
"""Of the quota that its order's balance gives a stratum, what it keeps however little it brings."""
LAST_FEW = 4
"""Samples still wanted for which a stratum does not wait for fresh scenarios."""
DRY_PATIENCE = 16
"""Verdicts elsewhere that a stratum without material may wait for its society to bring some."""
LOOKAHEAD = 2.0
"""Unused (scenario, agent) pairs per candidate still wanted before a region is parked."""

DatasetState = Literal["filling", "filled", "resting", "paused", "deleted"]


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
    group_id: str = ""
    """Group of the scenario."""

    @property
    def key(self) -> str:
        """Name of its stratum among those of all datasets."""
        return stratum_key(self.dataset, self.stratum)


@dataclass(frozen=True, slots=True)
class GroupClaims:
    """The candidates of one stratum from one group's scenarios."""

    claimed: Mapping[str, int] = field(default_factory=dict)
    """How many, by `pair_key`."""
    open: tuple[Claim, ...] = ()

    def closed(self, dataset: str) -> list[str]:
        """Return the ids of the candidates whose instruction is published."""
        open_ = {claim.candidate_id for claim in self.open}
        ids = [
            candidate_id(dataset, *pair_of(key), index)
            for key, times in self.claimed.items()
            for index in range(times)
        ]
        return [each for each in ids if each not in open_]


def candidate_id(dataset: str, scenario_id: str, agent_id: str, index: int) -> str:
    """Return the id of a dataset's candidate number `index` from an agent in a scenario."""
    return derived_id("candidate", dataset, scenario_id, agent_id, index)


def pair_key(scenario_id: str, agent_id: str) -> str:
    """Return the name of an agent in a scenario."""
    return f"{scenario_id}/{agent_id}"


def pair_of(key: str) -> tuple[str, str]:
    """Return scenario and agent of a `pair_key`."""
    scenario_id, _, agent_id = key.partition("/")
    return scenario_id, agent_id


def stratum_key(dataset: str, stratum: str) -> str:
    """Return the key that decides who owns a stratum."""
    return f"{dataset}/{stratum}"


def claims_key(claim: Claim) -> str:
    """Return the key of the record that holds a claim."""
    return f"{claim.key}/{claim.group_id}"


def stratum_of(key: str) -> tuple[str, str]:
    """Return dataset and stratum of a `claims_key`.

    Raises:
        Rejected: the key is of another form.
    """
    parts = key.split("/", 2)
    if len(parts) < 3:
        raise Rejected(
            f"claims key {key!r} is not DATASET/STRATUM/GROUP: an older version wrote it; start "
            "with an empty directory or fresh topics"
        )
    return parts[0], parts[1]


def claims_at_once(weight: float, largest: float) -> int:
    """Return how many candidates of a stratum may be claimed and not judged at once, on average.

    Candidates take about as long whatever their dataset, so that throughput goes by how many are
    in flight (Little's law): datasets share the work by weight when these numbers do. `largest`
    is the largest weight among the datasets that are worked on. Never less than 1.
    """
    return max(1, math.floor(CLAIMS_AT_ONCE * weight / largest))


@dataclass(slots=True)
class Progress:
    """How a stratum of a dataset stands; rebuilt from verdicts, claims and quotas."""

    granted: int = 0
    recall: int = 0
    released: int = 0
    accepted: int = 0
    judged: int = 0
    claimed: int = 0
    """Only the owner of the stratum knows it; 0 elsewhere."""
    failures: int = 0
    """Rejections since the last acceptance."""
    waiting_since: float | None = field(default=None, compare=False)
    """Monotonic time since when it wants samples, has nothing in work and nothing fresh to use."""
    dry_since: int | None = field(default=None, compare=False)
    """No pair may be used any more since the dataset had so many verdicts in all; None: one may."""
    dry_at: float = field(default=0.0, compare=False)
    """Monotonic time of it."""

    @property
    def room(self) -> int:
        """Samples that the stratum may still accept."""
        return self.granted - self.released - self.accepted

    @property
    def needed(self) -> int:
        """Candidates that fill the room at the acceptance rate so far.

        The expected rate is the mean of a Beta(2, 1) posterior, (accepted + 2) / (judged + 3). The
        prior is hopeful: claiming too few costs a round of waiting, too many costs model calls.
        """
        # Rounded up exactly: in integers, which take a tenth of the time of fractions.
        return -(-self.room * (self.judged + 3) // (self.accepted + 2))

    @property
    def in_work(self) -> int:
        """Candidates that are claimed and not judged, as far as is known here."""
        return max(0, self.claimed - self.judged)

    @property
    def closing(self) -> bool:
        """Whether only a few samples are wanted, and nothing of them is in work."""
        return 0 < self.room <= LAST_FEW and not self.in_work

    def wanted(self, at_once: int = CLAIMS_AT_ONCE) -> int:
        """Return the candidates to claim now: what is needed beside those in work."""
        return max(0, min(self.needed, at_once) - self.in_work)


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """How a dataset stands, as far as is known here."""

    dataset: str
    state: DatasetState
    """Resting: it wants samples, and of what there is for them nothing may be used any more."""
    size: int
    """Samples ordered so far."""
    wanted: int
    """Samples still to be accepted."""
    accepted: int
    judged: int
    claimed: int
    """Candidates begun, judged or not; those of strata owned elsewhere only once judged."""
    rejected: Mapping[str, int]
    """Verdicts by reason, of those not accepted."""
    usage: Usage
    """Model calls and tokens of all judged candidates."""
    newest_at: float
    """Time of the newest verdict in seconds since the epoch; 0 before the first."""


def is_sated(progress: Progress, unused_pairs: int) -> bool:
    """Return whether a dataset needs no more scenarios from a stratum's region for now."""
    return unused_pairs >= LOOKAHEAD * progress.needed
