"""Values that a dataset card is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.reward_filtering.report_facts import Stage

Format = Literal["parquet", "jsonl"]


@dataclass(frozen=True, slots=True)
class Share:
    """How many samples have a value."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Example:
    """One sample to show."""

    id: str
    kind: str
    messages: tuple[tuple[str, str], ...]
    """Role and content of each turn."""


@dataclass(frozen=True, slots=True)
class RewardFacts:
    """Rewards of the responses that were taken (log-odds of the judge's verdict)."""

    quantiles: tuple[tuple[float, float], ...]
    """Pairs of a quantile in [0, 1] and its reward."""
    mean_gain: float
    """Mean of: reward of the response taken, minus the mean over the responses of its sample."""
    responses: int
    """Responses that were scored, over all samples."""


@dataclass(frozen=True, slots=True)
class VerifiableFacts:
    """How often the student solves the prompts whose answers can be checked."""

    prompts: int
    success_rate: float
    """Mean over the prompts, 0 to 1."""
    no_gradient: tuple[tuple[int, float], ...]
    """Rollouts in a group, and the share of groups that is expected to have equal rewards."""


@dataclass(frozen=True, slots=True)
class RolloutFacts:
    """The rollouts that an export keeps."""

    most: int
    """Of a prompt."""
    level: int
    """Prompts of whose rollouts all rewards are equal."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a card says about an export."""

    dataset: str
    version: int
    """Of the table that was exported."""
    rows: int
    """In the export."""
    format: Format
    features: str
    """The columns as YAML, indented for `dataset_info`."""
    kinds: tuple[Share, ...]
    categories: tuple[Share, ...]
    complexities: tuple[Share, ...]
    styles: tuple[Share, ...]
    domains: tuple[Share, ...]
    """A user's own requirement texts."""
    strata: int
    scenarios: int
    groups: int
    agents: int
    models: tuple[tuple[str, Share], ...]
    """What a model was used for, and the model."""
    licences: Mapping[str, str]
    """Of models, by name; one that is not stated is missing."""
    calls: int
    prompt_tokens: int
    completion_tokens: int
    rewards: RewardFacts | None
    """None when no response was scored."""
    verifiable: VerifiableFacts | None
    """None when no prompt has a success rate."""
    rollouts: RolloutFacts | None
    """None in shapes without rollouts."""
    funnel: tuple[Stage, ...]
    """Of all candidates; empty when there is no table of the rejected ones."""
    rejected_version: int | None
    """Of that table, as the funnel counts it."""
    left_out: int
    """Accepted samples that lack what the export's shape needs."""
    recipes: tuple[tuple[str, tuple[str, ...]], ...]
    """Recipes by which the samples were made, and the kinds of each; empty: it is not known."""
    static: bool
    """Whether the filter's static stage was on."""
    first: datetime
    last: datetime
    examples: tuple[Example, ...]
