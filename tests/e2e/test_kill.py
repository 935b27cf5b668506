"""kill -9 at random moments: nothing lost, nothing doubled, no step skipped."""

import random
import subprocess
import time
from pathlib import Path

from services.events.topics import AGENTS_ACTED, SAMPLES_JUDGED, STEP_COMPLETED
from tests.e2e.conftest import command
from tests.e2e.reading import count, events, rows, steps_by_group

KILLS = 10
SAMPLES = 200
DEADLINE_SECONDS = 120


def _moments(rng: random.Random) -> list[tuple[int, float]]:
    """Return verdicts in the log, and seconds after them, at which to kill.

    Moments are places in the work and not on the clock, so that a fast machine is not done before
    the last kill. The first two strike start-up and import.
    """
    places = sorted(rng.randint(1, SAMPLES - 20) for _ in range(KILLS - 2))
    return [(0, rng.uniform(0.8, 2.5)) for _ in range(2)] + [
        (place, rng.uniform(0.0, 0.1)) for place in places
    ]


def test_ten_kills_leave_exactly_the_samples_that_were_ordered(
    society: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    run = command(
        *("run", "--model", "simulated", "--profiles", society, "--agents", "60"),
        *("--samples", str(SAMPLES), "--out", out),
    )
    for place, later in _moments(random.Random(20)):
        process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while process.poll() is None and count(out, SAMPLES_JUDGED) < place:
                assert time.monotonic() < deadline, f"no {place} verdicts"
                time.sleep(0.01)
            time.sleep(later)
            assert process.poll() is None, f"ended by itself with {process.returncode}"
        finally:
            process.kill()
            process.wait()
    done = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    made = rows(out)
    assert len(made) == len({row["id"] for row in made}) == SAMPLES
    verdicts = events(out, SAMPLES_JUDGED)
    accepted = [e.sample_id for e in verdicts if getattr(e, "accepted", False)]
    assert sorted(accepted) == [row["id"] for row in made]

    acted, routed = steps_by_group(out, AGENTS_ACTED), steps_by_group(out, STEP_COMPLETED)
    for group_id, steps in acted.items():
        assert sorted(steps) == list(range(len(steps))), f"group {group_id} skipped a step"
        for step, repeats in steps.items():
            assert all(event == repeats[0] for event in repeats), f"{group_id}/{step} differs"
        for step, repeats in routed[group_id].items():
            assert all(event == repeats[0] for event in repeats), f"{group_id}/{step} differs"
        assert set(routed[group_id]) <= set(steps)
        assert len(routed[group_id]) >= len(steps) - 1, "a step was not routed"
