"""The columns that trainers take as they are; chat templates are the trainer's affair.

    sft    `messages`                        supervised fine-tuning (TRL SFTTrainer)
    dpo    `prompt`, `chosen`, `rejected`    preference pairs (TRL DPOTrainer)
    grpo   `prompt`, `answer`, `rewards`     verifiable prompts (TRL GRPOTrainer); `rollouts` are
           those that the rewards are of, chosen by PODS (arXiv 2504.13818)

The other columns of the table stay; those whose names a trainer takes are renamed: SFTTrainer looks
for a completion to any `prompt`, and takes rows whose `chosen` is a number for no conversations.
Rollouts are not called `completions`, since GRPOTrainer passes all columns to the reward function,
beside its own completions.
"""

from typing import Any, Literal, cast, get_args

import pyarrow as pa

from services.reward_filtering.signal.pods import max_variance_subset
from services.runtime.errors import Rejected

Shape = Literal["sft", "dpo", "grpo"]
GRPO_ROLLOUTS = 16
"""Rollouts that an export keeps of each prompt, at most."""
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


def shaped(rows: pa.Table, shape: Shape, rollouts: int = GRPO_ROLLOUTS) -> pa.Table:
    """Return rows of the dataset's table with the columns of a shape, first if they are new.

    Rows that lack what the shape needs (a pair, a rollout) are left out.
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
    responses = row["student_responses"]
    if not responses:
        return None
    rewards = [response["reward"] for response in responses]
    taken = max_variance_subset(rewards, min(rollouts, len(rewards)))
    return {
        "prompt": row["messages"][:1],
        "answer": row["answer"],
        "rewards": [rewards[index] for index in taken],
        "rollouts": [responses[index]["text"] for index in taken],
    }
