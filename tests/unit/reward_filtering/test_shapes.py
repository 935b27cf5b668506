"""Exports have the columns that trainers take as they are."""

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.shapes import (
    Shape,
    checked_rollouts,
    find_shape,
    shaped,
    usual_shape,
)
from services.runtime.errors import Rejected
from tests.unit.reward_filtering.test_export import sample

TALK = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]


def responses(*rewards: float) -> list[dict[str, Any]]:
    return [{"text": f"said {n}", "reward": r, "outcome": ""} for n, r in enumerate(rewards)]


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([sample(n, **row) for n, row in enumerate(rows)], SAMPLE_SCHEMA)


def test_only_names_change_for_supervised_training() -> None:
    rows = table({}, {})
    assert usual_shape(rows) == "sft"
    made = shaped(rows, "sft")
    assert made.columns == rows.columns
    # Of these names TRL makes something else than conversations.
    assert set(made.column_names).isdisjoint({"prompt", "completion", "chosen", "rejected"})
    assert made["instruction_prompt"] == rows["prompt"]


def test_a_pair_is_prompt_chosen_and_rejected() -> None:
    rows = table(
        {"messages": TALK, "student_responses": responses(1.0, -2.0), "rejected": 1, "chosen": 0}
    )
    assert usual_shape(rows) == "dpo"
    made = shaped(rows, "dpo")
    (row,) = made.to_pylist()
    assert row["prompt"] == TALK[:1]
    assert row["chosen"] == TALK[1:]
    assert row["rejected"] == [{"role": "assistant", "content": "said 1"}]
    assert (row["chosen_index"], row["rejected_index"]) == (0, 1)
    assert row["instruction_prompt"] == sample(0)["prompt"]
    # TRL refuses rows that have both a prompt and messages.
    assert "messages" not in made.column_names


def test_what_is_no_pair_is_left_out_of_pairs() -> None:
    rows = table({"rejected": -1}, {"student_responses": responses(0.5), "rejected": 0})
    assert len(shaped(rows, "dpo")) == 1


def test_a_verifiable_prompt_keeps_the_rollouts_whose_rewards_differ_most() -> None:
    rewards = [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    rows = table({"messages": TALK, "answer": "42", "student_responses": responses(*rewards)})
    assert usual_shape(rows) == "grpo"
    (row,) = shaped(rows, "grpo", rollouts=4).to_pylist()
    assert row["prompt"] == TALK[:1]
    assert row["answer"] == "42"
    assert sorted(row["rewards"]) == [0.0, 0.0, 1.0, 1.0]
    assert {"said 3", "said 5"} < set(row["rollouts"])
    # TRL passes every column to the reward function, beside arguments of these names.
    assert {"prompts", "completions", "completion_ids"}.isdisjoint(row)
    assert row["response_rewards"] == sample(0)["rewards"]


def group(*rewards: float, most: int = 16) -> dict[str, Any]:
    """A verifiable prompt with rollouts of these rewards, as an export has it."""
    rows = table({"messages": TALK, "answer": "42", "student_responses": responses(*rewards)})
    (row,) = shaped(rows, "grpo", most).to_pylist()
    found: dict[str, Any] = row
    return found


@given(st.floats(-1e300, 1e300), st.integers(1, 40), st.integers(2, 256))
def test_equal_rewards_have_the_advantage_0_and_keep_the_rollouts_sampled_first(
    reward: float, count: int, most: int
) -> None:
    made = group(*[reward] * count, most=most)
    kept = min(count, most)
    assert made["advantages"] == [0.0] * kept
    assert made["rewards"] == [reward] * kept
    assert made["rollouts"] == [f"said {n}" for n in range(kept)]


@pytest.mark.parametrize("reward", [0.0, 1.0, -100.0])
def test_one_rollout_is_kept_with_the_advantage_0(reward: float) -> None:
    made = group(reward, most=2)
    assert (made["rollouts"], made["advantages"]) == (["said 0"], [0.0])


def test_advantages_are_of_the_rollouts_that_are_kept() -> None:
    made = group(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, most=2)
    assert made["rewards"] == [1.0, 0.0]
    assert made["advantages"] == pytest.approx([1.0, -1.0], abs=1e-5)
    every = group(1.0, 0.0, 0.0, 0.0)["advantages"]
    assert every == pytest.approx([3**0.5, *[-(3**-0.5)] * 3], abs=1e-5)


@given(st.lists(st.floats(), max_size=20), st.integers(2, 20))
def test_whatever_the_rewards_advantages_are_numbers(rewards: list[float], most: int) -> None:
    rows = table({"messages": TALK, "student_responses": responses(*rewards)})
    made = shaped(rows, "grpo", most).to_pylist()
    finite = [reward for reward in rewards if math.isfinite(reward)]
    assert len(made) == bool(finite)
    for row in made:
        assert len(row["advantages"]) == len(row["rewards"]) == len(row["rollouts"])
        assert len(row["rewards"]) == min(most, len(finite))
        assert all(map(math.isfinite, row["advantages"] + row["rewards"]))
        if len(set(row["rewards"])) == 1:
            assert not any(row["advantages"])


def test_the_number_of_rollouts_is_checked() -> None:
    assert checked_rollouts(None, "sft") == checked_rollouts(None, "grpo") == 16
    assert [checked_rollouts(number, "grpo") for number in (2, 64, 256)] == [2, 64, 256]
    for wrong in (-(2**40), -1, 0, 1, 257):
        with pytest.raises(Rejected, match=f"^{wrong} rollouts of a prompt: give 2 to 256$"):
            checked_rollouts(wrong, "grpo")
    without: tuple[Shape, ...] = ("sft", "dpo")
    for shape in without:
        with pytest.raises(Rejected, match=f"shape {shape} has none; leave the number out, or ask"):
            checked_rollouts(8, shape)


@pytest.mark.parametrize("shape", ["dpo", "grpo"])
def test_an_empty_table_has_the_columns_too(shape: Any) -> None:
    made = shaped(SAMPLE_SCHEMA.empty_table(), shape)
    assert len(made) == 0
    assert made.column_names[0] == "prompt"
    assert len(set(made.column_names)) == len(made.column_names)


def test_an_unknown_shape_is_refused_with_the_known_ones() -> None:
    assert find_shape("") is None
    assert find_shape("dpo") == "dpo"
    with pytest.raises(Rejected, match="shape 'ppo' is unknown; known: sft, dpo, grpo"):
        find_shape("ppo")
