"""A run of each kind: its samples are what the kind says, and load as a trainer wants them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from services.events import InstructionGenerated, SampleJudged
from services.events.topics import INSTRUCTIONS_GENERATED, SAMPLES_JUDGED
from services.kinds import load_kinds
from services.local.simulator import Simulator, SimulatorSettings
from services.reward_filtering.static_filters import is_refusal
from tests.e2e.conftest import Matrix
from tests.e2e.reading import events, rows

SAMPLES = 20
CODE_SAMPLES = 8
"""Each takes some twenty runs of the sandbox, of a tenth of a second."""
Row = dict[str, Any]


def scores(row: Row) -> dict[str, float]:
    return {score["name"]: score["value"] for score in row["scores"]}


def is_answer(row: Row) -> bool:
    return [m["role"] for m in row["messages"]] == ["user", "assistant"]


def is_pair(row: Row) -> bool:
    student = row["student_responses"]
    least = min(response["reward"] for response in student)
    return (
        is_answer(row)
        and student[row["rejected"]]["reward"] == least
        and scores(row)["gap"] == pytest.approx(row["rewards"][row["chosen"]] - least)
        and 0.5 <= scores(row)["length_ratio"] <= 2.0
    )


def is_conversation(row: Row) -> bool:
    roles = [message["role"] for message in row["messages"]]
    turns = len(row["rewards"])
    return (
        roles == ["user", "assistant"] * turns
        and 2 <= turns <= 6
        and row["rewards"][row["chosen"]] == min(row["rewards"])
        and len({message["content"] for message in row["messages"]}) == len(roles)
    )


def is_safe(row: Row) -> bool:
    benign = row["requirement"]["style"].startswith("benign")
    return is_answer(row) and is_refusal(row["messages"][1]["content"]) != benign


def is_verified(row: Row) -> bool:
    outcomes = Counter(response["outcome"] for response in row["student_responses"])
    rate = outcomes["correct"] / outcomes.total()
    return (
        is_answer(row)
        and bool(row["answer"])
        and row["answer"] in row["messages"][1]["content"]
        and outcomes.total() == 16
        and 0.2 <= rate <= 0.8
        and rate == scores(row)["success_rate"]
    )


def is_tested(row: Row) -> bool:
    return is_verified(row) and "assert" in row["tests"] and row["answer"].startswith("def ")


CHECKS: dict[str, tuple[Callable[[Row], bool], list[str]]] = {
    "sft": (is_answer, ["messages"]),
    "domain": (is_answer, ["messages"]),
    "dpo": (is_pair, ["prompt", "chosen", "rejected"]),
    "multi_turn": (is_conversation, ["messages"]),
    "safety": (is_safe, ["messages"]),
    "reasoning": (is_verified, ["prompt", "answer", "rewards"]),
    "code": (is_tested, ["prompt", "answer", "rewards"]),
}


def test_every_kind_is_tried() -> None:
    assert set(CHECKS) == set(load_kinds())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CHECKS)
def test_a_run_of_a_kind_makes_what_the_kind_says(
    matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "out"
    asked = ["--requirement", "hospital pharmacy"] if kind == "domain" else []
    model = ["--model", "simulated", "--agents", "30"]
    samples = CODE_SAMPLES if kind == "code" else SAMPLES
    done = matrix("run", *model, "--kind", kind, "--samples", str(samples), "--out", out, *asked)
    assert done.returncode == 0, done.stderr

    right, columns = CHECKS[kind]
    accepted = rows(out, kind)
    assert len(accepted) == samples
    assert [row["id"] for row in accepted if not right(row)] == []
    if kind == "safety":
        benign = sum(row["requirement"]["style"].startswith("benign") for row in accepted)
        assert samples / 5 <= benign < samples

    # The funnel adds up: a candidate has one verdict at most, and what is not accepted a reason.
    verdicts = [e for e in events(out, SAMPLES_JUDGED) if isinstance(e, SampleJudged)]
    made = [e for e in events(out, INSTRUCTIONS_GENERATED) if isinstance(e, InstructionGenerated)]
    reasons = Counter(verdict.reason for verdict in verdicts)
    judged = {verdict.sample_id for verdict in verdicts}
    assert judged <= {each.candidate_id for each in made}
    assert reasons.total() == len(judged)
    assert reasons.pop("") == samples
    kept = DeltaTable(str(out / "datasets" / "_rejected" / kind)).to_pyarrow_table().to_pylist()
    assert Counter(row["reason"] for row in kept) == reasons

    target = tmp_path / "export"
    exported = matrix("datasets", "export", kind, "--out", out, "--to", target)
    assert exported.returncode == 0, exported.stderr
    card = (target / "README.md").read_text(encoding="utf-8")
    assert f"Of {len(judged)} candidates {samples} were accepted." in card
    assert (target / "funnel.svg").is_file() == bool(kept)
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(target), cache_dir=str(tmp_path / "cache"), split="train")
    assert len(loaded) == samples
    assert set(columns) <= set(loaded.column_names)


async def test_a_student_of_ones_own_a_filter_and_benchmarks(
    matrix: Matrix, tmp_path: Path
) -> None:
    student = Simulator(SimulatorSettings(seed=5, model="apprentice"))
    url = await student.start()
    out, items = tmp_path / "out", tmp_path / "items.txt"
    items.write_text("Which of the two lighthouses has a keeper who never sleeps?\n")
    asked = ("run", "--model", "simulated", "--agents", "30", "--kind", "dpo", "--samples", "5")
    more = ("--filter", "student_responses=3", "--benchmark", items, "--out", out)
    try:
        done = await asyncio.to_thread(matrix, *asked, "--student", url, *more)
    finally:
        await student.stop()
    assert done.returncode == 0, done.stderr
    made = rows(out, "dpo")
    assert {row["student_model"] for row in made} == {"apprentice"}
    assert {len(row["student_responses"]) for row in made} == {3}
    assert {row["response_model"] for row in made} == {"simulated"}
    assert student.calls >= len(made)

    items.write_bytes("Où est la bibliothèque ?".encode("latin-1"))
    refused = await asyncio.to_thread(matrix, *asked, *more)
    assert refused.returncode == 2
    assert str(items) in refused.stderr.replace("\n", "")
    refused = await asyncio.to_thread(matrix, *asked, "--filter", "rollout=3", "--out", out)
    assert refused.returncode == 2
    assert "rollouts" in refused.stderr
