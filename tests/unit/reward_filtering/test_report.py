"""The facts of a report: they add up, and say what the tables say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.report import EXAMPLES, STAGES, report_of
from services.reward_filtering.report_facts import Split, Stage
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.errors import Rejected

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def candidate(
    index: int, stage: str = "response", reason: str = "", **change: Any
) -> dict[str, Any]:
    """A candidate, accepted unless there is a reason."""
    return {
        "id": f"c{index:04d}",
        "kind": "dpo",
        "dataset": "pairs",
        "stratum": f"r{index % 2:02}",
        "messages": [
            {"role": "user", "content": "Which bus goes to the harbour?"},
            {"role": "assistant", "content": f"Number {index} does."},
        ],
        "requirement": {
            "id": "r000",
            "category": ("planning", "writing", "writing")[index % 3],
            "complexity": 1 + index % 5,
            "style": "brief",
            "text": "",
        },
        "rewards": [-1.0, float(index)],
        "chosen": 1,
        "student_responses": [{"text": "No idea.", "reward": -2.0, "outcome": ""}],
        "rejected": 0,
        "answer": "",
        "tests": "",
        "accepted": not reason,
        "stage": stage,
        "reason": reason,
        "scores": [
            {"name": "nearest_distance", "value": 0.25},
            {"name": "nearest_jaccard", "value": 0.1},
        ],
        "persona": "A nurse.",
        "scenario_id": f"scenario-{index % 7}",
        "group_id": "group",
        "agent_id": f"agent-{index % 5}",
        "agent_ids": [],
        "action_ids": [],
        "prompt": "Ask.",
        "instruction_model": "teacher",
        "response_model": "teacher",
        "student_model": "student",
        "held_out_model": "",
        "reward_model": "judge",
        "calls": 3,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "created_at": START + timedelta(minutes=index),
    } | change


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), SAMPLE_SCHEMA)


REFUSALS = st.lists(
    st.tuples(st.sampled_from([*STAGES, "later"]), st.sampled_from("abcd")), max_size=30
)


@given(st.integers(0, 12), REFUSALS)
def test_candidates_are_the_accepted_and_the_refused_of_all_stages(
    taken: int, refusals: list[tuple[str, str]]
) -> None:
    accepted = table(*map(candidate, range(taken)))
    rejected = table(*(candidate(100 + i, *why) for i, why in enumerate(refusals)))
    if not taken and not refusals:
        with pytest.raises(Rejected, match="'pairs' has no candidates yet"):
            report_of("pairs", accepted, rejected)
        return
    report = report_of("pairs", accepted, rejected)
    assert report.candidates == taken + len(refusals)
    assert report.candidates == report.accepted + sum(s.refused for s in report.funnel)
    assert report.funnel[0].entered == report.candidates
    assert report.funnel[-1].left == report.accepted == taken
    assert len(report.examples) <= EXAMPLES
    shown = [example.id for example in report.examples]
    assert len(set(shown)) == len(shown)
    for _, splits in report.requirements:
        assert sum(split.accepted for split in splits) == taken
        assert sum(split.candidates for split in splits) == report.candidates


def test_a_stage_without_a_refusal_is_shown_when_a_score_tells_that_it_was_on() -> None:
    refused = (candidate(7, "margin", "gap_band"), candidate(8, "margin", "length_ratio"))
    more = candidate(9, "margin", "gap_band")
    report = report_of("pairs", table(candidate(1)), table(*refused, more))
    assert report.funnel == (
        Stage("static", 4, ()),
        Stage("response", 4, ()),
        Stage("margin", 4, (("gap_band", 2), ("length_ratio", 1))),
        Stage("quota", 1, ()),
    )


def test_tokens_are_those_of_all_candidates_over_the_accepted() -> None:
    report = report_of(
        "pairs", table(candidate(1), candidate(2)), table(candidate(3, "static", "pii"))
    )
    assert report.tokens_per_accepted == 3 * 120 / 2
    assert report.acceptance == 2 / 3
    assert report_of("pairs", table(), table(candidate(3, "static", "pii"))).acceptance == 0
    assert (
        report_of("pairs", table(), table(candidate(3, "static", "pii"))).tokens_per_accepted
        is None
    )
    assert dict(report.models)["rewards"] == ("judge",)


def test_what_was_not_measured_is_no_value() -> None:
    asked = [{"role": "user", "content": "Which bus?"}]
    unanswered = candidate(2, "static", "pii", messages=asked, rewards=[], chosen=-1)
    unjudged = candidate(3, "response", "no_reward", rewards=[-100.0], chosen=0)
    first = candidate(4, scores=[{"name": "nearest_distance", "value": 2.0}])
    report = report_of("pairs", table(candidate(1), first), table(unanswered, unjudged))
    pictures = {picture.title.split()[0] + picture.unit: picture for picture in report.pictures}
    rewards, distances = pictures["Rewardnats"], pictures["Distance1 - cosine"]
    assert (sum(rewards.histogram.accepted), sum(rewards.histogram.rejected)) == (2, 0)
    assert rewards.without == 2
    assert rewards.histogram.medians == (2.5, None)
    assert (sum(distances.histogram.accepted), distances.without) == (1, 1)
    assert [picture.without for picture in report.pictures if picture.unit == "words"] == [0, 1]
    assert [example.reward for example in report.examples] == [1.0, 4.0, None, None]


def test_shares_are_by_frequency_and_complexity_by_size() -> None:
    rows = [candidate(index) for index in range(3)]
    report = report_of("pairs", table(*rows), table(candidate(3, "quota", "quota_full")))
    parts = dict(report.requirements)
    assert parts["category"] == (Split("planning", 1, 2), Split("writing", 2, 2))
    assert [split.name for split in parts["complexity"]] == ["1", "2", "3", "4"]
    assert Split("agents", 3, 4) in report.origins


def test_examples_are_by_position_and_of_the_most_frequent_reasons() -> None:
    reasons = "aaaabbbccd"
    rejected = [candidate(100 + i, "response", reason) for i, reason in enumerate(reasons)]
    report = report_of("pairs", table(*map(candidate, range(9))), table(*rejected))
    assert [(example.id, example.reason) for example in report.examples] == [
        ("c0000", ""),
        ("c0004", ""),
        ("c0008", ""),
        ("c0102", "a"),
        ("c0105", "b"),
        ("c0108", "c"),
    ]
    assert report.examples[0].against == "No idea."
    only = report_of("pairs", table(), table(*rejected))
    assert [example.reason for example in only.examples] == list("abcd")
