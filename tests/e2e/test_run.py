"""`matrix run` and the commands around it, as a user types them."""

import json
import re
from pathlib import Path

import pytest

from services.events.topics import SCENARIOS_EXTRACTED
from tests.e2e.conftest import Matrix
from tests.e2e.reading import events, rows


def test_two_runs_make_twice_as_many_samples_and_commands_show_them(
    matrix: Matrix, society: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    run = ("run", "--model", "simulated", "--profiles", society, "--agents", "25", "--out", out)
    first = matrix(*run)
    assert first.returncode == 0, first.stderr
    before = {row["id"] for row in rows(out)}
    assert len(before) == 12
    assert "12 of 12 samples" in first.stderr
    assert str(out / "datasets" / "sft") in first.stderr.replace("\n", "")

    second = matrix(*run)
    assert second.returncode == 0, second.stderr
    after = rows(out)
    assert len(after) == len({row["id"] for row in after}) == 24
    assert before < {row["id"] for row in after}

    listed = matrix("datasets", "list", "--out", out)
    assert re.search(r"sft.*24", listed.stdout)
    shown = matrix("datasets", "show", "sft", "--out", out, "--samples", "1")
    assert shown.returncode == 0
    assert shown.stdout.count("user: ") == shown.stdout.count("assistant: ") == 1

    scenarios = {scenario.scenario_id: scenario for scenario in events(out, SCENARIOS_EXTRACTED)}
    for row in after:
        scenario = scenarios[row["scenario_id"]]
        assert row["agent_id"] in {card.agent_id for card in scenario.agents}
        assert row["action_ids"] == [routed.action.action_id for routed in scenario.actions]
        assert row["rewards"][row["chosen"]] == max(row["rewards"])

    traced = matrix("trace", after[0]["id"], "--out", out)
    assert traced.returncode == 0
    assert after[0]["scenario_id"] in traced.stdout


@pytest.mark.parametrize("format_", ["parquet", "jsonl"])
def test_an_export_is_what_datasets_loads(
    matrix: Matrix, society: Path, tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, target = tmp_path / "data", tmp_path / "export"
    matrix("run", "--model", "simulated", "--profiles", society, "--agents", "12", "--out", out)
    export = ("datasets", "export", "sft", "--format", format_, "--to", target, "--out", out)
    exported = matrix(*export)
    assert exported.returncode == 0, exported.stderr
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    load_dataset = pytest.importorskip("datasets").load_dataset
    loaded = load_dataset(str(target), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["id"]) == [row["id"] for row in rows(out)]
    assert [m["role"] for m in loaded[0]["messages"]] == ["user", "assistant"]


def test_domain_requirement_reaches_every_sample(
    matrix: Matrix, society: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    done = matrix(
        *("run", "--model", "simulated", "--profiles", society, "--agents", "12", "--out", out),
        *("--kind", "domain", "--requirement", "hospital pharmacy, Portuguese", "--samples", "4"),
    )
    assert done.returncode == 0, done.stderr
    made = rows(out, "domain")
    assert len(made) == 4
    assert {row["requirement"]["text"] for row in made} == {"hospital pharmacy, Portuguese"}
    assert all("hospital pharmacy" in row["prompt"] for row in made)


def test_bad_profiles_are_told_by_line_and_do_not_stop_the_run(
    matrix: Matrix, society: Path, tmp_path: Path
) -> None:
    lines = society.read_text().splitlines()
    broken = ["{not json", json.dumps({"id": "x", "name": "No Description"}), lines[0]]
    society.write_text("\n".join([lines[0], *broken, *lines[1:12]]) + "\n")
    done = matrix(
        *("run", "--model", "simulated", "--profiles", society, "--agents", "12"),
        *("--samples", "3", "--out", tmp_path / "data"),
    )
    assert done.returncode == 0, done.stderr
    told = done.stderr.replace("\n", " ")
    assert "people.jsonl:2: line: is not JSON" in told
    assert "people.jsonl:3: description: is missing" in told
    assert "people.jsonl:4: id: 'p0' stands in line 1 too" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profiles", "nowhere.jsonl"), "no such file"),
        (("--model", "http://127.0.0.1:9"), "127.0.0.1:9"),
        (("--model", "gpt"), "neither 'local', 'simulated' nor an address"),
        (("--kind", "poetry"), "unknown dataset kind 'poetry'; known: code, domain, dpo"),
        (("--kind", "domain"), "needs a requirement text"),
        (("--out", "/dev/null/x"), "/dev/null/x"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    matrix: Matrix, society: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    usual = {"--model": "simulated", "--profiles": str(society), "--out": str(tmp_path / "data")}
    usual.update(zip(arguments[::2], arguments[1::2], strict=True))
    done = matrix("run", "--agents", "6", *(word for pair in usual.items() for word in pair))
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_another_runs_directory_is_refused_and_left_alone(
    matrix: Matrix, society: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    run = ("run", "--model", "simulated", "--profiles", society, "--samples", "3", "--out", out)
    assert matrix(*run, "--agents", "12").returncode == 0
    refused = matrix(*run, "--agents", "11")
    assert refused.returncode == 2
    assert "agents is 12 there, 11 here" in " ".join(refused.stderr.split())
    assert len(rows(out)) == 3
