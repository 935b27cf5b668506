"""What a card says of an export, counted from its rows."""

from collections.abc import Iterable, Mapping
from functools import cache
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.kinds import load_kinds
from services.reward_filtering.card_facts import (
    Example,
    Facts,
    Format,
    RewardFacts,
    RolloutFacts,
    Share,
    VerifiableFacts,
)
from services.reward_filtering.report_facts import Stage
from services.reward_filtering.score_columns import MODEL_COLUMNS, score_names, scores_named
from services.reward_filtering.signal.learnability import no_gradient_chance

GROUPS = (4, 8, 16, 32)
"""Rollouts in a group, for which the chance of no gradient is told."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
FACT_COLUMNS = (
    "id",
    "kind",
    "stratum",
    "requirement",
    "rewards",
    "chosen",
    "stage",
    "reason",
    "scores",
    "scenario_id",
    "group_id",
    "agent_id",
    *MODEL_COLUMNS.values(),
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "created_at",
)
"""The columns that facts are counted from: none that holds long texts."""


def facts_of(
    rows: pa.Table,
    examples: pa.Table,
    *,
    dataset: str,
    version: int,
    format: Format,
    schema: pa.Schema,
    licences: Mapping[str, str],
    funnel: tuple[Stage, ...] = (),
    rejected_version: int | None = None,
    left_out: int = 0,
    rollouts: RolloutFacts | None = None,
) -> Facts:
    """Count the facts of a card.

    Args:
        rows: All rows of the export, at least one, with `FACT_COLUMNS`, ordered by time.
        examples: Rows to show, with all columns.
        dataset: Name of the dataset.
        version: Of its table.
        format: Of the data files.
        schema: Of the rows that are exported.
        licences: Of models, by name, as far as they are stated.
        funnel: Of all candidates; empty without a table of the rejected ones.
        rejected_version: Of that table.
        left_out: Accepted samples that are not in the export.
        rollouts: What the export keeps of them.
    """
    requirements = rows["requirement"].combine_chunks()
    requirement = {name: pc.struct_field(requirements, name) for name in requirements.type.names}
    return Facts(
        dataset=dataset,
        version=version,
        rows=len(rows),
        format=format,
        features=features_yaml(schema, indent="  "),
        kinds=_shares(rows["kind"]),
        categories=_shares(requirement["category"]),
        complexities=tuple(
            sorted(_shares(requirement["complexity"]), key=lambda share: int(share.name))
        ),
        styles=_shares(requirement["style"]),
        domains=tuple(share for share in _shares(requirement["text"]) if share.name),
        strata=pc.count_distinct(rows["stratum"]).as_py(),
        scenarios=pc.count_distinct(rows["scenario_id"]).as_py(),
        groups=pc.count_distinct(rows["group_id"]).as_py(),
        agents=pc.count_distinct(rows["agent_id"]).as_py(),
        models=tuple(
            (use, share)
            for use, column in MODEL_COLUMNS.items()
            for share in _shares(rows[column])
            if share.name
        ),
        calls=pc.sum(rows["calls"]).as_py(),
        prompt_tokens=pc.sum(rows["prompt_tokens"]).as_py(),
        completion_tokens=pc.sum(rows["completion_tokens"]).as_py(),
        licences=licences,
        rewards=reward_facts(rows),
        verifiable=verifiable_facts(rows),
        rollouts=rollouts,
        funnel=funnel,
        rejected_version=rejected_version,
        left_out=left_out,
        recipes=recipes_of(sorted(set(rows["kind"].to_pylist()))),
        static="nearest_jaccard" in score_names(rows),
        first=rows["created_at"][0].as_py(),
        last=rows["created_at"][-1].as_py(),
        examples=tuple(
            Example(
                row["id"], row["kind"], tuple((m["role"], m["content"]) for m in row["messages"])
            )
            for row in examples.to_pylist()
        ),
    )


def reward_facts(rows: pa.Table) -> RewardFacts | None:
    """Summarise the finite rewards of all rows with a chosen, scored response."""
    taken, gains, responses = [], [], 0
    pairs = zip(rows["rewards"].to_pylist(), rows["chosen"].to_pylist(), strict=True)
    for rewards, chosen in pairs:
        responses += len(rewards)
        if 0 <= chosen < len(rewards) and all(map(isfinite, rewards)):
            taken.append(rewards[chosen])
            gains.append(rewards[chosen] - sum(rewards) / len(rewards))
    if not taken:
        return None
    quantiles = tuple((q, float(np.quantile(taken, q))) for q in QUANTILES)
    return RewardFacts(quantiles, sum(gains) / len(gains), responses)


def verifiable_facts(rows: pa.Table) -> VerifiableFacts | None:
    """Summarise the student's success rates of all rows that have one."""
    rates = scores_named(rows, "success_rate")
    if not rates:
        return None
    expected = tuple(
        (size, sum(no_gradient_chance(rate, size) for rate in rates) / len(rates))
        for size in GROUPS
    )
    return VerifiableFacts(len(rates), sum(rates) / len(rates), expected)


def recipes_of(kinds: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the recipes of kinds, and the kinds of each; those that are not known under ""."""
    found: dict[str, list[str]] = {}
    for kind in kinds:
        found.setdefault(_recipes().get(kind, ""), []).append(kind)
    return tuple((recipe, tuple(of_it)) for recipe, of_it in found.items())


@cache
def _recipes() -> dict[str, str]:
    return {name: kind.recipe for name, kind in load_kinds().items()}


def features_yaml(fields: Iterable[pa.Field], indent: str) -> str:
    """Describe columns as the `features` of a dataset card, each line after `indent`.

    With them JSONL loads with the types of the table: an empty list says nothing of its items.
    """
    return "\n".join(
        f"{indent}- name: {field.name}\n{_feature(field.type, indent + '  ')}" for field in fields
    )


def _feature(kind: pa.DataType, indent: str) -> str:
    if pa.types.is_struct(kind):
        return f"{indent}struct:\n{features_yaml(kind, indent)}"
    if pa.types.is_list(kind):
        item = kind.value_type
        if pa.types.is_struct(item):
            return f"{indent}list:\n{features_yaml(item, indent)}"
        return f"{indent}list: {_dtype(item)}"
    return f"{indent}dtype: {_dtype(kind)}"


def _dtype(kind: pa.DataType) -> str:
    return "float64" if pa.types.is_float64(kind) else str(kind)


def _shares(column: pa.Array | pa.ChunkedArray) -> tuple[Share, ...]:
    """Count each value, most frequent first."""
    counts = [(str(c["values"]), c["counts"]) for c in pc.value_counts(column).to_pylist()]
    return tuple(Share(*count) for count in sorted(counts, key=lambda c: (-c[1], c[0])))
