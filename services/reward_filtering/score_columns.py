"""Columns of the dataset tables that name what they hold: scores and models."""

from math import isfinite

import pyarrow as pa
import pyarrow.compute as pc

MODEL_COLUMNS = {
    "instructions": "instruction_model",
    "responses": "response_model",
    "student": "student_model",
    "rewards": "reward_model",
    "held-out rewards": "held_out_model",
}
"""What models are used for, and the columns that name them."""


def score_names(rows: pa.Table) -> set[str]:
    """Return the names of all scores that any row has."""
    return set(pc.unique(_flat(rows, "name")).to_pylist())


def scores_named(rows: pa.Table, name: str) -> list[float]:
    """Return the finite values of a score in the order of the rows, of those that have one."""
    values = _flat(rows, "value").filter(pc.equal(_flat(rows, "name"), name))
    return [value for value in values.to_pylist() if isfinite(value)]


def _flat(rows: pa.Table, field: str) -> pa.Array:
    return pc.struct_field(pc.list_flatten(rows["scores"].combine_chunks()), field)
