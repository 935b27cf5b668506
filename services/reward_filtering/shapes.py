"""The columns that trainers take as they are; chat templates are the trainer's affair.

    sft    `messages`                        supervised fine-tuning (TRL SFTTrainer)
    dpo    `prompt`, `chosen`, `rejected`    preference pairs (TRL DPOTrainer)
    grpo   `prompt`, `answer`, `rewards`     verifiable prompts (TRL GRPOTrainer); `rollouts` are
           those that the rewards are of, chosen by PODS (arXiv 2504.13818), and `advantages` are
           what GRPO (arXiv 2402.03300) makes of these rewards

The other columns of the table stay; those whose names a trainer takes are renamed: SFTTrainer looks
for a completion to any `prompt`, and takes rows whose `chosen` is a number for no conversations.
Rollouts are not called `completions`, since GRPOTrainer passes all columns to the reward function,
beside its own completions.

A prompt all of whose rollouts have the same reward keeps those that were sampled first, and a
prompt with one rollout keeps that one: their advantages are 0, and they teach nothing. They are
exported nevertheless, since a trainer samples rollouts of its own.
"""

from math import isfinite
from typing import Any, Literal, cast, get_args

import pyarrow as pa

from services.reward_filtering.signal.learnability import group_advantages
from services.reward_filtering.signal.pods import max_variance_subset
from services.runtime.errors import Rejected

Shape = Literal["sft", "dpo", "grpo"]
GRPO_ROLLOUTS = 16
"""Rollouts that an export keeps of each prompt, at most, unless it is told another number."""
FEWEST_ROLLOUTS, MOST_ROLLOUTS = 2, 256
"""What other numbers there can be: one rollout has no group."""
_RENAMED = {
    "prompt": "instruction_prompt",
    "rewards": "response_rewards",
    "chosen": "chosen_index",
    "rejected": "rejected_index",
}


def find_shape(name: str) -> Shape | None:
    """Return a shape by its name; None for an empty one.

    Raises:
        Rejected: there is none of that name.
    """
    for shape in get_args(Shape):
        if name == shape:
            return cast(Shape, shape)
    if name:
        raise Rejected(f"shape {name!r} is unknown; known: {', '.join(get_args(Shape))}")
    return None


def usual_shape(rows: pa.Table) -> Shape:
    """Return the shape of a dataset, by the columns `student_responses` and `rejected`.

    A pair has a rejected response, and a verifiable prompt has rollouts without one.
    """
    found = rows.to_pylist()
    if found and all(row["rejected"] >= 0 for row in found):
        return "dpo"
    if found and all(row["student_responses"] for row in found):
        return "grpo"
    return "sft"


def checked_rollouts(rollouts: int | None, shape: Shape) -> int:
    """Return how many rollouts of each prompt an export of a shape keeps at most.

    Args:
        rollouts: As asked for; None: the default.
        shape: Of the export.

    Raises:
        Rejected: The number is out of range, or the shape has no rollouts.
    """
    if rollouts is None:
        return GRPO_ROLLOUTS
    if not FEWEST_ROLLOUTS <= rollouts <= MOST_ROLLOUTS:
        raise Rejected(
            f"{rollouts} rollouts of a prompt: give {FEWEST_ROLLOUTS} to {MOST_ROLLOUTS}"
        )
    if shape != "grpo":
        raise Rejected(
            f"{rollouts} rollouts of a prompt: an export of shape {shape} has none; leave the "
            "number out, or ask for shape grpo"
        )
    return rollouts


def shaped(rows: pa.Table, shape: Shape, rollouts: int = GRPO_ROLLOUTS) -> pa.Table:
    """Return rows of the dataset's table with the columns of a shape, first if they are new.

    Rows that lack what the shape needs (a pair, a rollout) are left out, and so are rollouts
    whose reward is no finite number.

    Args:
        rows: With all columns of the table.
        shape: Of the export.
        rollouts: Kept of each prompt at most, in shape grpo.
    """
    if shape == "sft":
        return _renamed(rows)
    messages = rows.schema.field("messages").type
    taken = _pair if shape == "dpo" else _group
    fields = (
        [("prompt", messages), ("chosen", messages), ("rejected", messages)]
        if shape == "dpo"
        else [
            ("prompt", messages),
            ("answer", pa.string()),
            ("rewards", pa.list_(pa.float64())),
            ("rollouts", pa.list_(pa.string())),
            ("advantages", pa.list_(pa.float64())),
        ]
    )
    made = [taken(row, rollouts) for row in rows.to_pylist()]
    rows = rows.filter(pa.array([each is not None for each in made], pa.bool_()))
    kept = [each for each in made if each is not None]
    names = [name for name, _ in fields]
    rest = _renamed(rows.drop_columns("messages"))
    rest = rest.drop_columns([name for name in rest.column_names if name in names])
    columns = [pa.array([each[name] for each in kept], kind) for name, kind in fields]
    return pa.table(
        [*columns, *rest.columns],
        schema=pa.schema([*(pa.field(*field) for field in fields), *rest.schema]),
    )


def _renamed(rows: pa.Table) -> pa.Table:
    return rows.rename_columns([_RENAMED.get(name, name) for name in rows.column_names])


def _pair(row: dict[str, Any], rollouts: int) -> dict[str, Any] | None:
    if row["rejected"] < 0 or row["chosen"] < 0:
        return None
    rejected = row["student_responses"][row["rejected"]]["text"]
    return {
        "prompt": row["messages"][:-1],
        "chosen": row["messages"][-1:],
        "rejected": [{"role": "assistant", "content": rejected}],
    }


def _group(row: dict[str, Any], rollouts: int) -> dict[str, Any] | None:
    responses = [each for each in row["student_responses"] if isfinite(each["reward"])]
    if not responses:
        return None
    every = [response["reward"] for response in responses]
    taken = max_variance_subset(every, min(rollouts, len(every)))
    rewards = [every[index] for index in taken]
    return {
        "prompt": row["messages"][:1],
        "answer": row["answer"],
        "rewards": rewards,
        "rollouts": [responses[index]["text"] for index in taken],
        "advantages": group_advantages(rewards),
    }
