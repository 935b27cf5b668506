import math
from typing import Any

import pyarrow as pa

from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.score_columns import score_names, scores_named
from tests.unit.reward_filtering.test_export import sample


def scored(*rows: dict[str, float]) -> pa.Table:
    lists: list[list[dict[str, Any]]] = [
        [{"name": name, "value": value} for name, value in row.items()] for row in rows
    ]
    made = [sample(number, scores=scores) for number, scores in enumerate(lists)]
    return pa.Table.from_pylist(made, SAMPLE_SCHEMA).select(["scores"])


def test_scores_are_found_by_name_where_there_are_any() -> None:
    rows = scored({"gap": 1.0, "turns": 2.0}, {}, {"gap": math.nan}, {"gap": 3.0})
    assert score_names(rows) == {"gap", "turns"}
    assert scores_named(rows, "gap") == [1.0, 3.0]
    assert scores_named(rows, "other") == []
    assert score_names(scored()) == set()
    assert scores_named(pa.concat_tables([scored(), rows]), "turns") == [2.0]
