"""Runs that are stopped, run out of disk, or are not let in, and what the next one makes of it."""

import asyncio
import ctypes
import re
import signal
from pathlib import Path

import pytest

from services.events.topics import SAMPLES_JUDGED
from tests.e2e.driving import Ended, at_work, biggest_file, ended
from tests.e2e.reading import count, ids, rows

GOING_ON = r"going on: [1-9]\d* of 110 samples; 24 agents, [1-9]\d* steps, [1-9]\d* scenarios"
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


def obey_permissions() -> None:
    """Let permissions hold for one child, though the tests may run as root."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def order(out: Path, samples: int, agents: int = 24) -> tuple[str | Path, ...]:
    sizes = ("--agents", str(agents), "--samples", str(samples))
    return ("run", "--model", "simulated", *sizes, "--out", out)


def assert_complete(run: Ended, out: Path, samples: int) -> None:
    assert run.code == 0, run.told
    made = rows(out)
    assert len(made) == len({row["id"] for row in made}) == samples


async def test_ctrl_c_and_sigterm_end_a_run_quietly_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    run = order(tmp_path, 110)
    for signals in ([signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 5):
        judged = count(tmp_path, SAMPLES_JUDGED)
        async with at_work(*run) as running:
            await running.until_judged(tmp_path, judged + 4)
            for number in signals:
                running.send(number)
            stopped = await running.end()
            assert not running.left_behind
        assert "Traceback" not in stopped.told
        if len(signals) == 1:
            interrupted = (
                r"interrupted with \d+ of 110 samples; the same command goes on where it was"
            )
            assert re.fullmatch(f"({GOING_ON} )?{interrupted}", stopped.told), stopped.told
            assert stopped.code == 130
    completed = await ended(*run)
    assert re.match(GOING_ON, completed.told), completed.told
    assert_complete(completed, tmp_path, 110)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
async def test_ctrl_c_while_the_command_loads_is_quiet(tmp_path: Path) -> None:
    async with at_work(*order(tmp_path, 3)) as running:
        loaded = Path(f"/proc/{running.process.pid}/maps")
        await running.until(lambda: "numpy" in loaded.read_text())
        running.send(signal.SIGINT)
        assert await running.end() == Ended(130, "")
    assert not (tmp_path / "run.json").exists()


async def test_a_full_disk_is_told_with_the_path_and_room_lets_the_run_go_on(
    tmp_path: Path,
) -> None:
    run, made = order(tmp_path, 30), set[str]()
    # Each time the log gets some megabytes further: at last it strikes in the middle of the work.
    for size, path in ((100, "run.json"), *[(3_000_000, "log.db")] * 5):
        full = await ended(*run, before=biggest_file(size))
        assert full.code == 2, full.told
        assert f"error: {tmp_path / path}: " in full.told
        assert "disk space" in full.told
        assert "Traceback" not in full.told
        if made := ids(tmp_path):
            break
    assert 0 < len(made) < 30
    assert_complete(await ended(*run), tmp_path, 30)
    assert made < ids(tmp_path)


async def test_a_run_at_work_keeps_others_out_and_lets_them_look(tmp_path: Path) -> None:
    run = order(tmp_path, 30)
    async with at_work(*run) as running:
        await running.until(lambda: bool(ids(tmp_path)))
        running.send(signal.SIGSTOP)
        refused, listed, traced = await asyncio.gather(
            ended(*run),
            ended("datasets", "list", "--out", tmp_path),
            ended("trace", "unknown", "--out", tmp_path),
        )
        running.send(signal.SIGCONT)
        assert_complete(await running.end(), tmp_path, 30)
    assert refused.code == 2
    assert f"another run is at work in {tmp_path}; wait for it" in refused.told
    assert listed.code == 0
    assert "sft" in listed.told
    assert traced.code == 2
    assert "no sample 'unknown'" in traced.told


async def test_where_nothing_may_be_written_a_run_is_refused_and_an_old_one_can_be_looked_at(
    tmp_path: Path,
) -> None:
    out = tmp_path / "done"
    assert_complete(await ended(*order(out, 1, agents=3)), out, 1)
    sample = rows(out)[0]["id"]
    before = {path: path.read_bytes() for path in out.glob("*.*")}
    (out / "run.lock").chmod(0o444)
    for folder in (out, tmp_path):
        folder.chmod(0o555)
    try:
        places = (out, tmp_path / "new")
        traced, *refusals = await asyncio.gather(
            ended("trace", sample, "--out", out, before=obey_permissions),
            *(ended(*order(place, 1, agents=3), before=obey_permissions) for place in places),
        )
        assert traced.code == 0, traced.told
        for place, refused in zip(places, refusals, strict=True):
            assert refused.code == 2
            assert f"error: {place}: Permission denied; mend that, or choose" in refused.told
        assert {path: path.read_bytes() for path in before} == before
    finally:
        for folder in (tmp_path, out):
            folder.chmod(0o755)
