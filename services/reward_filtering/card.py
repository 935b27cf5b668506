"""The dataset card of an export: what is in it, how it was made, what it cannot be trusted for.

What models wrote is data here, never Markdown or YAML: every piece goes through `yaml_string`,
`cell` or `fenced`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Format = Literal["parquet", "jsonl"]

MAX_CELL = 80
MAX_MESSAGE = 1_200
MAX_MESSAGES = 6
MAX_TABLE_ROWS = 40

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029]")
_MARKUP = re.compile(r"([\\`*_\[\]#!|~$:@])")


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
class Facts:
    """Everything that a card says about an export."""

    dataset: str
    version: int
    """Of the table that was exported."""
    rows: int
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
    calls: int
    prompt_tokens: int
    completion_tokens: int
    rewards: RewardFacts | None
    """None when no response was scored."""
    first: datetime
    last: datetime
    examples: tuple[Example, ...]


def marker(dataset: str) -> str:
    """Give the line of a card's head that shows an export of `dataset`."""
    return f"matrix_dataset: {yaml_string(dataset)}"


def has_marker(card: str, dataset: str) -> bool:
    """Say whether `card` heads an export of `dataset`."""
    head, closed, _ = card.removeprefix("---\n").partition("\n---\n")
    return card.startswith("---\n") and bool(closed) and marker(dataset) in head.split("\n")


def yaml_string(text: str) -> str:
    """Quote `text` as a YAML double-quoted scalar on one line of ASCII."""
    return '"' + "".join(map(_yaml_character, text)) + '"'


def _yaml_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else f"\\U{ord(character):08x}"


def cell(text: str, limit: int = MAX_CELL) -> str:
    """Escape `text` for one Markdown table cell or line: one line, no markup, at most `limit`."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", line)


def fenced(text: str, limit: int = MAX_MESSAGE) -> str:
    """Put `text` into a code fence that no run of backticks in it can close."""
    body = _CONTROL.sub("", _LINE_END.sub("\n", text))
    if len(body) > limit:
        body = f"{body[:limit]}\n[{len(body) - limit} more characters]"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    return f"{fence}text\n{body}\n{fence}"


def render(facts: Facts) -> str:
    """Write the card (`README.md`) of an export."""
    return "\n\n".join([_head(facts), *_body(facts)]) + "\n"


def _head(facts: Facts) -> str:
    size = next((name for bound, name in _SIZES if facts.rows < bound), "n>10M")
    tags = ["synthetic", "matrix", "arxiv:2410.14251", *(share.name for share in facts.kinds)]
    lines = [
        "---",
        f"pretty_name: {yaml_string(facts.dataset)}",
        marker(facts.dataset),
        f"matrix_version: {facts.version}",
        "license: other",
        "license_name: terms-of-the-models-used",
        "task_categories:\n- text-generation",
        f"size_categories:\n- {yaml_string(size)}",
        "tags:",
        *(f"- {yaml_string(tag)}" for tag in tags),
        "configs:\n- config_name: default\n  data_files:\n  - split: train",
        f"    path: data/train-*.{facts.format}",
        "dataset_info:\n  features:",
        facts.features,
        "---",
    ]
    return "\n".join(lines)


def _body(facts: Facts) -> list[str]:
    return [
        f"# Dataset {cell(facts.dataset)}",
        f"{facts.rows:,} samples for post-training a language model, as of version "
        f"{facts.version} of the dataset's table, made between {facts.first:%Y-%m-%d %H:%M} "
        f"and {facts.last:%Y-%m-%d %H:%M} UTC.",
        "**Everything in it was written by language models**: personas, scenarios, instructions "
        "and responses. The people are simulated, and no step of the making has a person "
        "review a sample.",
        "## What is in it",
        _shares("Kind", facts.kinds),
        "How the instructions were asked to be:",
        _shares("Category", facts.categories),
        _shares("Complexity (1 simple, 5 specialised)", facts.complexities),
        _shares("Style", facts.styles),
        *([_shares("The user's own requirement", facts.domains)] if facts.domains else []),
        f"They come from {facts.agents:,} agents in {facts.groups:,} groups, "
        f"{facts.scenarios:,} scenarios and {facts.strata:,} strata (regions of the society).",
        "## How it was made",
        "MATRIX (Tang et al., *Synthesizing Post-Training Data for LLMs through Multi-Agent "
        "Simulation*, [arXiv 2410.14251](https://arxiv.org/abs/2410.14251)): agents with goals "
        "and plans act in groups of similar agents, what happens in a few steps of a group is a "
        "scenario, and an instruction is what one of its agents would ask next. Several "
        "responses are sampled and scored, and a sample is kept according to its rewards. Each "
        "row names its scenario, its agents and their actions, and the prompt that was sent.",
        _table(
            ("Used for", "Model", "Samples"),
            [(use, cell(share.name), f"{share.rows:,}") for use, share in facts.models],
        ),
        f"The kept samples took {facts.calls:,} model calls with {facts.prompt_tokens:,} prompt "
        f"and {facts.completion_tokens:,} completion tokens, as counted by the model servers. "
        "The simulation and the candidates that were not kept come on top of that.",
        "## Rewards",
        *_rewards(facts.rewards),
        "## Examples",
        "Chosen by position in the file, not by quality; long texts are cut.",
        *(part for example in facts.examples for part in _example(example)),
        "## Known limits",
        "- Facts, figures, names and code in the texts are unchecked unless the row's `scores` "
        "say otherwise.\n"
        "- Rewards are the opinion of the reward model named in each row, and only comparable "
        "with rewards of the same model.\n"
        "- Near duplicates are looked for inside a stratum, so similar samples of two strata "
        "can both be here.\n"
        "- Biases of the models used, and of the profiles that the society was made of, are "
        "passed on.\n"
        "- The licence is that of the models used: check their terms before training on this.",
        "## Columns",
        "One row per sample, ordered by `created_at`, then `id`. The head of this file gives "
        "the types; two deterministic runs agree on every column but `created_at`.",
    ]


def _rewards(rewards: RewardFacts | None) -> list[str]:
    if rewards is None:
        return ["No response was scored."]
    return [
        f"{rewards.responses:,} responses were scored. Log-odds given to those that were taken:",
        _table(
            tuple(f"p{quantile * 100:.0f}" for quantile, _ in rewards.quantiles),
            [tuple(f"{reward:.3f}" for _, reward in rewards.quantiles)],
        ),
        "The response taken lies above the mean of the responses of its sample by "
        f"{rewards.mean_gain:.3f} on average.",
    ]


def _example(example: Example) -> list[str]:
    parts = [f"### Sample {cell(example.id)}, kind {cell(example.kind)}"]
    for role, content in example.messages[:MAX_MESSAGES]:
        parts += [f"**{cell(role) or '(none)'}**:", fenced(content)]
    if left := len(example.messages) - MAX_MESSAGES:
        parts += [f"{left} more messages."] if left > 0 else []
    return parts


def _shares(title: str, shares: Sequence[Share]) -> str:
    rows = [(cell(share.name) or "(none)", f"{share.rows:,}") for share in shares[:MAX_TABLE_ROWS]]
    if others := shares[MAX_TABLE_ROWS:]:
        rows.append((f"{len(others):,} others", f"{sum(share.rows for share in others):,}"))
    return _table((title, "Samples"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
