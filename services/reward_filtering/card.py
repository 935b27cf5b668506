"""The dataset card of an export: what is in it, how it was made, what it cannot be trusted for.

What models wrote is data here, never Markdown or YAML: every piece goes through `yaml_string`,
`cell` or `fenced`.
"""

from collections.abc import Sequence

from services.reward_filtering.card_facts import (
    Example,
    Facts,
    RewardFacts,
    RolloutFacts,
    Share,
    VerifiableFacts,
)
from services.reward_filtering.card_text import cell, fenced, yaml_string
from services.reward_filtering.known_limits import known_limits
from services.reward_filtering.licences import common_licence
from services.reward_filtering.report_facts import Stage

PICTURE = "funnel.svg"
"""The file of the funnel's picture, beside the card."""
MAX_MESSAGES = 6
MAX_TABLE_ROWS = 40

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def marker(dataset: str) -> str:
    """Give the line of a card's head that shows an export of `dataset`."""
    return f"matrix_dataset: {yaml_string(dataset)}"


def has_marker(card: str, dataset: str) -> bool:
    """Say whether `card` heads an export of `dataset`."""
    head, closed, _ = card.removeprefix("---\n").partition("\n---\n")
    return card.startswith("---\n") and bool(closed) and marker(dataset) in head.split("\n")


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
        *_licence(facts),
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


def _licence(facts: Facts) -> list[str]:
    models = {share.name for _, share in facts.models}
    if common := common_licence(models, facts.licences):
        return [f"license: {common}"]
    return ["license: other", "license_name: terms-of-the-models-used"]


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
        *_left_out(facts.left_out),
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
            ("Used for", "Model", "Licence of the model", "Samples"),
            [
                (
                    use,
                    cell(share.name),
                    cell(facts.licences.get(share.name, "not stated")),
                    f"{share.rows:,}",
                )
                for use, share in facts.models
            ],
        ),
        f"The kept samples took {facts.calls:,} model calls with {facts.prompt_tokens:,} prompt "
        f"and {facts.completion_tokens:,} completion tokens, as counted by the model servers. "
        "The simulation and the candidates that were not kept come on top of that.",
        "## Filter funnel",
        *_funnel(facts),
        "## Rewards",
        *_rewards(facts.rewards),
        *_verifiable(facts.verifiable),
        *_rollouts(facts.rollouts, facts.rows),
        "## Examples",
        "Chosen by position in the file, not by quality; long texts are cut.",
        *(part for example in facts.examples for part in _example(example)),
        "## Known limits",
        "\n".join(f"- {limit}" for limit in known_limits(facts.recipes, facts.static)),
        "## Columns",
        "One row per sample, ordered by `created_at`, then `id`. The head of this file gives "
        "the types; two deterministic runs agree on every column but `created_at`.",
    ]


def _left_out(count: int) -> list[str]:
    if not count:
        return []
    return [f"{count:,} accepted samples lack what this shape needs, and are not here."]


def _funnel(facts: Facts) -> list[str]:
    if not facts.funnel:
        return [
            "There is no table of rejected candidates beside the dataset's: none was rejected, or "
            "they were not kept. So how many candidates the filter refused, and why, is not known "
            "here."
        ]
    accepted = facts.funnel[-1].left
    return [
        f"Of {facts.funnel[0].entered:,} candidates {accepted:,} were accepted. The others are in "
        f"the table of rejected candidates, of which this is version {facts.rejected_version}; "
        "each is counted at the first stage that refused it. Where a stratum was full already, "
        "candidates were refused before they were answered, and count at the stage quota.",
        f"![Filter funnel: candidates that each stage refused]({PICTURE})",
        _table(("Stage", "Reason", "Refused", "Left"), _funnel_rows(facts.funnel)),
    ]


def _funnel_rows(funnel: Sequence[Stage]) -> list[tuple[str, ...]]:
    rows = [("all candidates", "", "", f"{funnel[0].entered:,}")]
    for stage in funnel:
        left = stage.entered
        for reason, count in stage.reasons or (("", 0),):
            left -= count
            rows.append((cell(stage.name), cell(reason), f"{count:,}", f"{left:,}"))
    return [*rows, ("accepted", "", "", f"{funnel[-1].left:,}")]


def _verifiable(found: VerifiableFacts | None) -> list[str]:
    if found is None:
        return []
    return [
        f"The student solves {found.prompts:,} prompts with a checkable answer at a mean rate of "
        f"{found.success_rate:.1%}. When all rollouts of a group are right, or all are wrong, GRPO "
        "has no gradient. At the rates measured that is to be expected of so many groups:",
        _table(
            ("Rollouts in a group", *(str(size) for size, _ in found.no_gradient)),
            [("Groups without a gradient", *(f"{part:.1%}" for _, part in found.no_gradient))],
        ),
    ]


def _rollouts(found: RolloutFacts | None, rows: int) -> list[str]:
    if found is None:
        return []
    return [
        f"Of each prompt at most {found.most:,} rollouts are kept, those that maximise the "
        "variance of their rewards (PODS, [arXiv 2504.13818](https://arxiv.org/abs/2504.13818)). "
        f"{found.level:,} of {rows:,} prompts have kept rollouts of one reward only: their "
        "advantage is 0."
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
