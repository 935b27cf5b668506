"""What a report says of a dataset, counted from its tables: the candidates taken, and the others.

A pure function of two tables. Its counts add up: candidates = accepted + refused at any stage.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.reward_filtering.histograms import histogram
from services.reward_filtering.recipes.desk import UNJUDGED
from services.reward_filtering.report_facts import Picture, Report, ReportExample, Split, Stage
from services.reward_filtering.score_columns import MODEL_COLUMNS, score_names, scores_named
from services.reward_filtering.static_filters import words
from services.runtime.errors import Rejected

STAGES = ("static", "response", "verifiable", "rip", "margin", "quota")
"""In the order in which a candidate passes them."""
EXAMPLES = 6
EXAMPLE_REASONS = 3
"""Of the examples so many are refused ones, each of another reason."""

_EVIDENCE = {
    "static": "nearest_jaccard",
    "verifiable": "agreement",
    "rip": "rejected_reward_rank",
    "margin": "length_ratio",
}
"""A score that only candidates have which reached the stage; the other stages are never off."""
_FIRST_OF_STRATUM = 2.0
"""`nearest_distance` of a candidate without anything accepted before it."""
REPORT_COLUMNS = (
    "id",
    "kind",
    "dataset",
    "stratum",
    "messages",
    "requirement",
    "rewards",
    "chosen",
    "student_responses",
    "rejected",
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
"""The columns that a report is made of."""
FUNNEL_COLUMNS = ("stage", "reason", "scores")
"""The columns that a funnel is made of."""


def report_of(dataset: str, accepted: pa.Table, rejected: pa.Table) -> Report:
    """Count the facts of a report.

    Args:
        dataset: Its name.
        accepted: Candidates in the dataset, with `REPORT_COLUMNS`, in any order.
        rejected: Candidates that are not, likewise.

    Raises:
        Rejected: There is no candidate at all.
    """
    order = [("created_at", "ascending"), ("id", "ascending")]
    taken = accepted.select(REPORT_COLUMNS).sort_by(order)
    others = rejected.select(REPORT_COLUMNS).sort_by(order)
    every = pa.concat_tables([taken, others])
    if not len(every):
        raise Rejected(f"dataset {dataset!r} has no candidates yet; report on it when it has some")
    times = pc.min_max(every["created_at"]).as_py()
    return Report(
        dataset=dataset,
        kinds=tuple(sorted(set(every["kind"].to_pylist()))),
        first=f"{times['min']:%Y-%m-%d %H:%M}",
        last=f"{times['max']:%Y-%m-%d %H:%M}",
        accepted=len(taken),
        candidates=len(every),
        calls=pc.sum(every["calls"]).as_py(),
        prompt_tokens=pc.sum(every["prompt_tokens"]).as_py(),
        completion_tokens=pc.sum(every["completion_tokens"]).as_py(),
        models=tuple(
            (use, names)
            for use, column in MODEL_COLUMNS.items()
            if (names := tuple(sorted(filter(None, set(every[column].to_pylist())))))
        ),
        funnel=funnel_of(taken, others),
        pictures=tuple(_pictures(taken, others)),
        origins=tuple(
            Split(name, *(pc.count_distinct(rows[column]).as_py() for rows in (taken, every)))
            for name, column in (
                ("strata", "stratum"),
                ("groups", "group_id"),
                ("agents", "agent_id"),
                ("scenarios", "scenario_id"),
            )
        ),
        requirements=tuple(
            (name, _splits(_part(taken, name), _part(every, name)))
            for name in ("category", "complexity", "style")
        ),
        examples=tuple(_examples(taken, others)),
    )


def funnel_of(accepted: pa.Table, rejected: pa.Table) -> tuple[Stage, ...]:
    """Count how many candidates each stage refused, in the order in which they pass the stages.

    The first stage is entered by all candidates, and the last one leaves the accepted ones.

    Args:
        accepted: Candidates in the dataset, with `FUNNEL_COLUMNS`.
        rejected: Candidates that are not, likewise.
    """
    columns = [rejected[name].to_pylist() for name in ("stage", "reason")]
    refused = Counter(zip(*columns, strict=True))
    measured = score_names(accepted) | score_names(rejected)
    names = [
        *STAGES,
        *sorted({stage for stage, _ in refused} - set(STAGES)),
    ]
    stages, left = [], len(accepted) + len(rejected)
    for name in names:
        reasons = [(reason, count) for (stage, reason), count in refused.items() if stage == name]
        if reasons or _EVIDENCE.get(name, "") in {"", *measured}:
            ordered = sorted(reasons, key=lambda each: (-each[1], each[0]))
            stages.append(Stage(name, left, tuple(ordered)))
            left = stages[-1].left
    return tuple(stages)


def _pictures(taken: pa.Table, others: pa.Table) -> Iterable[Picture]:
    measures: tuple[tuple[str, str, Any], ...] = (
        ("Reward of the response taken", "nats", _rewards),
        (
            "Held-out reward of the response taken, which has no say",
            "nats",
            lambda rows: scores_named(rows, "held_out_reward"),
        ),
        ("Length of the instruction", "words", lambda rows: _lengths(rows, "user")),
        ("Length of the last response", "words", lambda rows: _lengths(rows, "assistant")),
        (
            "Distance to the nearest accepted instruction, by embedding",
            "1 - cosine",
            _distances,
        ),
        (
            "Likeness to the nearest accepted instruction, by words",
            "Jaccard similarity",
            lambda rows: scores_named(rows, "nearest_words"),
        ),
    )
    for title, unit, measure in measures:
        accepted, rejected = measure(taken), measure(others)
        if (made := histogram(accepted, rejected, 1.0 if unit == "words" else 0.0)) is not None:
            total = len(taken) + len(others)
            yield Picture(title, unit, made, total - len(accepted) - len(rejected))


def _rewards(rows: pa.Table) -> list[float]:
    pairs = zip(rows["rewards"].to_pylist(), rows["chosen"].to_pylist(), strict=True)
    found = (_reward(rewards, chosen) for rewards, chosen in pairs)
    return [reward for reward in found if reward is not None]


def _reward(rewards: Sequence[float], chosen: int) -> float | None:
    """Return the reward of the response taken, None when the judge gave no verdict on it."""
    if not 0 <= chosen < len(rewards) or not isfinite(rewards[chosen]):
        return None
    return rewards[chosen] if rewards[chosen] != UNJUDGED else None


def _distances(rows: pa.Table) -> list[float]:
    found = scores_named(rows, "nearest_distance")
    return [distance for distance in found if distance < _FIRST_OF_STRATUM]


def _lengths(rows: pa.Table, role: str) -> list[float]:
    """Count the words of the first message of a user, or of the last of an assistant."""
    found = []
    for messages in rows["messages"].to_pylist():
        if said := [message["content"] for message in messages if message["role"] == role]:
            found.append(float(len(words(said[0 if role == "user" else -1]))))
    return found


def _part(rows: pa.Table, name: str) -> Counter[Any]:
    return Counter(pc.struct_field(rows["requirement"].combine_chunks(), name).to_pylist())


def _splits(accepted: Counter[Any], every: Counter[Any]) -> tuple[Split, ...]:
    if all(isinstance(value, int) for value in every):
        values = sorted(every)
    else:
        values = sorted(every, key=lambda value: (-every[value], value))
    return tuple(Split(str(value), accepted[value], every[value]) for value in values)


def _examples(taken: pa.Table, others: pa.Table) -> Iterable[ReportExample]:
    """Give accepted ones at even distances, and one of each most frequent reason: its middle."""
    frequent = sorted(
        Counter(others["reason"].to_pylist()).items(), key=lambda each: (-each[1], each[0])
    )
    room = max(EXAMPLE_REASONS, EXAMPLES - len(taken))
    reasons = [reason for reason, _ in frequent][:room]
    wanted = min(len(taken), EXAMPLES - len(reasons))
    for place in range(wanted):
        yield _example(taken.slice(place * (len(taken) - 1) // max(1, wanted - 1), 1))
    for reason in reasons:
        rows = others.filter(pc.equal(others["reason"], reason))
        yield _example(rows.slice(len(rows) // 2, 1))


def _example(one: pa.Table) -> ReportExample:
    row = one.to_pylist()[0]
    asked, student, rejected = row["requirement"], row["student_responses"], row["rejected"]
    wanted = (asked["category"], asked["style"], f"complexity {asked['complexity']}", asked["text"])
    return ReportExample(
        id=row["id"],
        kind=row["kind"],
        stratum=row["stratum"],
        stage=row["stage"],
        reason=row["reason"],
        requirement=", ".join(filter(None, wanted)),
        messages=tuple((message["role"], message["content"]) for message in row["messages"]),
        against=student[rejected]["text"] if 0 <= rejected < len(student) else "",
        reward=_reward(row["rewards"], row["chosen"]),
        scores=tuple((score["name"], score["value"]) for score in row["scores"]),
    )
