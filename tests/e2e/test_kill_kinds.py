"""kill -9 amid a run of kinds whose candidates take many calls: the tables add up afterwards."""

import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from services.events import InstructionGenerated, SampleJudged
from services.events.topics import INSTRUCTIONS_GENERATED, SAMPLES_JUDGED
from tests.e2e.conftest import command
from tests.e2e.driving import DEADLINE_SECONDS
from tests.e2e.reading import count, events, rows

KILLS = 2


def kill_amid(run: list[str], out: Path, judged: int) -> None:
    """Start a run, and kill it when it has more verdicts than that."""
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while process.poll() is None and count(out, SAMPLES_JUDGED) <= judged:
            assert time.monotonic() < deadline, f"no more than {judged} verdicts"
            time.sleep(0.01)
        assert process.poll() is None, f"ended by itself with {process.returncode}"
    finally:
        process.kill()
        process.wait()


def verdicts(out: Path) -> dict[str, SampleJudged]:
    found = [e for e in events(out, SAMPLES_JUDGED) if isinstance(e, SampleJudged)]
    by_id = {verdict.sample_id: verdict for verdict in found}
    assert len(by_id) == len(found), "a candidate has two verdicts"
    return by_id


@pytest.mark.parametrize(("kind", "samples"), [("dpo", 40), ("code", 4)])
def test_a_killed_run_of_a_kind_goes_on_to_tables_that_add_up(
    tmp_path: Path, kind: str, samples: int
) -> None:
    out = tmp_path / "data"
    ordered = ("run", "--model", "simulated", "--agents", "30", "--kind", kind)
    run = command(*ordered, "--samples", samples, "--out", out)
    for _ in range(KILLS):
        kill_amid(run, out, count(out, SAMPLES_JUDGED))
    kept = verdicts(out)
    assert kept
    done = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    judged = verdicts(out)
    assert {name: judged.get(name) for name in kept} == kept
    made = [e for e in events(out, INSTRUCTIONS_GENERATED) if isinstance(e, InstructionGenerated)]
    assert judged.keys() <= {each.candidate_id for each in made}
    accepted = sorted(name for name, verdict in judged.items() if verdict.accepted)
    reasons = Counter(verdict.reason for verdict in judged.values() if not verdict.accepted)
    assert len(judged) == samples + reasons.total()
    assert "" not in reasons
    assert [row["id"] for row in rows(out, kind)] == accepted
    rejected = rows(out, f"_rejected/{kind}")
    assert Counter(row["reason"] for row in rejected) == reasons
    assert len({row["id"] for row in rejected}) == len(rejected)
