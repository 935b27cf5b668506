"""Values that a report on a dataset is made of."""

from dataclasses import dataclass

from services.reward_filtering.histograms import Histogram


@dataclass(frozen=True, slots=True)
class Stage:
    """One filter stage: what came in, and what it refused."""

    name: str
    entered: int
    reasons: tuple[tuple[str, int], ...]
    """Reason and candidates, most frequent first."""

    @property
    def refused(self) -> int:
        """Candidates that the stage refused."""
        return sum(count for _, count in self.reasons)

    @property
    def left(self) -> int:
        """Candidates that passed."""
        return self.entered - self.refused


@dataclass(frozen=True, slots=True)
class Split:
    """How many of the accepted ones and of all candidates have a value."""

    name: str
    accepted: int
    candidates: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The distribution of one measure over the accepted and over the rejected candidates."""

    title: str
    unit: str
    histogram: Histogram
    without: int
    """Candidates that have no such measure."""


@dataclass(frozen=True, slots=True)
class ReportExample:
    """One candidate to show."""

    id: str
    kind: str
    stratum: str
    stage: str
    reason: str
    """Empty of an accepted one."""
    requirement: str
    messages: tuple[tuple[str, str], ...]
    """Role and content of each turn."""
    against: str
    """The student's response that stands against the one taken; empty when there is none."""
    reward: float | None
    scores: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says."""

    dataset: str
    kinds: tuple[str, ...]
    first: str
    last: str
    """When the first and the last candidate were judged, UTC."""
    accepted: int
    candidates: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    """Of all candidates, the society's left out."""
    models: tuple[tuple[str, tuple[str, ...]], ...]
    """What models were used for, and their names."""
    funnel: tuple[Stage, ...]
    pictures: tuple[Picture, ...]
    origins: tuple[Split, ...]
    """Distinct strata, groups, agents and scenarios that they come from."""
    requirements: tuple[tuple[str, tuple[Split, ...]], ...]
    """Name of a part of the requirement, and its values; most frequent first, complexity by size.
    """
    examples: tuple[ReportExample, ...]

    @property
    def acceptance(self) -> float:
        """Accepted over candidates, 0 to 1."""
        return self.accepted / self.candidates

    @property
    def tokens_per_accepted(self) -> float | None:
        """Tokens read and written for all candidates over accepted samples."""
        spent = self.prompt_tokens + self.completion_tokens
        return spent / self.accepted if self.accepted else None
