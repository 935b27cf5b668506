"""Processes under a supervisor: started again when they die, and none left when it ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.local.up.backoff import Backoff
from services.local.up.children import Child, Program, State, program
from services.local.up.supervisor import Supervisor
from services.runtime.errors import Rejected

DEADLINE_SECONDS = 20
QUICK = Backoff(first_seconds=0.01, longest_seconds=0.02)
SERVES = "import pathlib, time; pathlib.Path('{ready}').touch(); time.sleep(60)"
DRAINS = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path('{drained}').touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path('{ready}').touch()
time.sleep(60)
"""
STUBBORN = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path('{ready}').touch()
time.sleep(60)
"""


def python(name: str, code: str, folder: Path, grace_seconds: float = 10.0) -> Program:
    ready = folder / f"{name}.ready"
    source = code.format(ready=ready, drained=folder / f"{name}.drained", folder=folder)

    async def is_ready() -> bool:
        return ready.exists()

    command = [sys.executable, "-Sc", source]
    return program(name, command, folder / f"{name}.log", {}, is_ready, grace_seconds)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the moment did not come"
        await asyncio.sleep(0.01)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(backoff=QUICK, check_seconds=0.05)
    yield supervisor
    await supervisor.kill()


async def until_ready(supervisor: Supervisor, *children: Child) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        await supervisor.until_ready(*children)


async def test_a_killed_process_is_started_again_and_counted(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = supervisor.add(python("victim", SERVES, tmp_path))
    await until_ready(supervisor, child)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.state is State.ready)
    assert child.pid not in (None, first)
    assert not alive(first)


async def test_a_process_that_ends_by_itself_is_started_again_whatever_its_code(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = supervisor.add(python("short", "open('{ready}', 'a').close()", tmp_path))
    await until(lambda: child.restarts >= 2)


async def test_one_that_keeps_dying_is_shown_with_its_last_line_and_tried_on(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = "import sys; print('first', file=sys.stderr); sys.exit('settings: MATRIX_X cannot be Y')"
    child = supervisor.add(python("broken", code, tmp_path))
    with pytest.raises(Rejected, match=r"broken does not start: .*MATRIX_X cannot be Y; see .*log"):
        await until_ready(supervisor, child)
    assert child.trouble == "ended with code 1: settings: MATRIX_X cannot be Y"
    before = child.starts
    await until(lambda: child.starts > before)


async def test_a_patient_wait_outlives_failed_starts(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = (
        "import pathlib, sys, time\n"
        "tries = pathlib.Path('{folder}/tries')\n"
        "tries.open('a').write('x')\n"
        "len(tries.read_text()) > 4 or sys.exit('not yet')\n" + SERVES
    )
    child = supervisor.add(python("late", code, tmp_path))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await supervisor.until_ready(child, patient=True)
    assert (child.restarts, child.failures, child.trouble) == (4, 0, "")


async def test_one_that_no_longer_answers_is_not_ready_and_is_left_alone(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = supervisor.add(python("frozen", SERVES, tmp_path))
    await until_ready(supervisor, child)
    (tmp_path / "frozen.ready").unlink()
    await until(lambda: child.state is State.unready)
    (tmp_path / "frozen.ready").touch()
    await until(lambda: child.state is State.ready)
    assert child.restarts == 0


async def test_ending_lets_a_process_drain_and_does_not_start_it_again(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    children = [supervisor.add(python(name, DRAINS, tmp_path)) for name in ("one", "two")]
    await until_ready(supervisor, *children)
    pids = [child.pid for child in children]
    await supervisor.stop("one")
    assert (tmp_path / "one.drained").exists()
    assert children[1].state is State.ready
    await supervisor.stop()
    assert (tmp_path / "two.drained").exists()
    assert all(child.state is State.stopped for child in children)
    assert [child.starts for child in children] == [1, 1]
    assert not any(alive(pid) for pid in pids if pid is not None)


async def test_one_that_does_not_end_is_killed_after_its_grace(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = supervisor.add(python("stubborn", STUBBORN, tmp_path, grace_seconds=0.1))
    await until_ready(supervisor, child)
    await supervisor.stop()
    assert child.program.process.exit_code == -signal.SIGKILL


async def test_killing_ends_one_that_is_being_given_its_grace(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = supervisor.add(python("stubborn", STUBBORN, tmp_path, grace_seconds=600))
    await until_ready(supervisor, child)
    stopping = asyncio.create_task(supervisor.stop())
    await until(lambda: child.state is State.stopping)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await supervisor.kill()
        await stopping
    assert child.pid is None


async def test_ending_during_the_pause_before_a_restart_starts_nothing(tmp_path: Path) -> None:
    supervisor = Supervisor(backoff=Backoff(first_seconds=600))
    child = supervisor.add(python("broken", "raise SystemExit(1)", tmp_path))
    await until(lambda: child.state is State.restarting)
    await supervisor.stop()
    assert (child.starts, child.pid) == (1, None)


async def test_a_defect_of_a_probe_is_raised_and_not_passed_over(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    good = python("fine", SERVES, tmp_path)

    async def broken() -> bool:
        raise ZeroDivisionError

    supervisor.add(Program("fine", good.process, broken, good.start))
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(ZeroDivisionError):
            await supervisor.keep()


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_supervisor import SERVES, python
from services.local.up.supervisor import Supervisor

async def main():
    supervisor = Supervisor()
    folder = Path(sys.argv[1])
    children = [supervisor.add(python(name, SERVES, folder)) for name in ("one", "two")]
    await supervisor.until_ready(*children)
    print(*(child.pid for child in children), flush=True)
    await supervisor.keep()

asyncio.run(main())
"""


async def test_all_processes_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path)), stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
    finally:
        parent.kill()
        await parent.communicate()
    await until(lambda: not any(alive(pid) for pid in pids))
