"""Candidates of a run are filtered again for another student, and as a random control."""

import asyncio
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from services.local.simulator import Simulator, SimulatorSettings
from tests.e2e.conftest import Matrix
from tests.e2e.reading import rows


def candidates(out: Path, dataset: str) -> dict[str, dict[str, Any]]:
    found = rows(out, dataset)
    rejected = out / "datasets" / "_rejected" / dataset
    if rejected.exists():
        found += DeltaTable(str(rejected)).to_pyarrow_table().to_pylist()
    return {row["id"]: row for row in found}


async def test_another_student_gets_its_own_verdicts_on_the_same_candidates(
    matrix: Matrix, tmp_path: Path
) -> None:
    async def run(*arguments: str | Path) -> "tuple[int, str]":
        done = await asyncio.to_thread(matrix, *arguments)
        return done.returncode, done.stdout + done.stderr

    out = tmp_path / "out"
    model = ("--model", "simulated")
    code, told = await run(
        "run", *model, "--kind", "dpo", "--samples", "15", "--agents", "30", "--out", out
    )
    assert code == 0, told
    first = candidates(out, "dpo")

    server = Simulator(SimulatorSettings(seed=9, model="apprentice"))
    url = await server.start()
    again = ("datasets", "refilter", "dpo", "--out", out, *model)
    try:
        code, told = await run(*again, "--to", "dpo-2", "--student", url)
    finally:
        await server.stop()
    assert code == 0, told
    second = candidates(out, "dpo-2")
    assert second.keys() == first.keys()
    assert f"of {len(first)} candidates in dpo-2" in told
    for name, row in second.items():
        assert row["messages"] == first[name]["messages"]
        assert row["rewards"] == first[name]["rewards"]
        assert row["dataset"] == "dpo-2"
        if row["student_responses"]:
            assert row["student_model"] == "apprentice"
            assert row["student_responses"] != first[name]["student_responses"]
    assert {row["student_model"] for row in rows(out, "dpo-2")} == {"apprentice"}
    # No quota: what only found no room before is judged on its merits.
    assert not any(row["reason"] == "quota_full" and row["rewards"] for row in second.values())

    code, told = await run(*again, "--to", "control", "--random", "--seed", "3")
    assert code == 0, told
    control = rows(out, "control")
    assert len(control) == 15
    assert {row["stage"] for row in control} == {"random"}
    assert {row["id"] for row in control} != {row["id"] for row in rows(out, "dpo")}

    for wrong, reason in (
        (("--to", "control"), "dataset 'control' is in"),
        (("--to", "more", "--filter", "rip_quantile=2"), "rip_quantile is 2.0: give 0.0 to 0.99"),
        (("--to", "../more"), "cannot be a folder's name"),
    ):
        code, told = await run(*again, *wrong)
        assert code == 2
        assert reason in told
    there = {path.name for path in (out / "datasets").iterdir()}
    assert there == {"_rejected", "control", "dpo", "dpo-2"}
