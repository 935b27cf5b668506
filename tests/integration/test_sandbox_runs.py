"""Many runs, cancelled runs, runs whose service dies; what a run costs."""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.reward_filtering.sandbox import Isolation, Sandbox
from tests.integration.sandboxes import LONG, folder, isolation, mark, processes, sandbox

__all__ = ["folder", "isolation", "mark", "sandbox"]

DEADLINE_SECONDS = 60
SLEEPS = "import time; time.sleep(1e6)"

SERVICE = """
import asyncio, sys
from pathlib import Path
from services.reward_filtering.sandbox import Limits, Sandbox
from services.reward_filtering.sandbox.launching import ENVIRONMENT
ENVIRONMENT["MARK"] = sys.argv[2]
sandbox = Sandbox(sys.argv[1], 1, False, Path(sys.argv[3]))
asyncio.run(sandbox.run_tests("import time; time.sleep(1e6)", "assert True", Limits(600, 600)))
"""


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("processes_first", [0, 1, 2])
async def test_cancelling_ends_every_process_and_removes_the_folder(
    sandbox: Sandbox, mark: str, folder: Path, processes_first: int
) -> None:
    run = asyncio.create_task(sandbox.run_tests(SLEEPS, "assert True", LONG))
    await until(lambda: len(processes(mark)) >= processes_first)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert processes(mark) == []
    assert os.listdir(folder) == []


async def test_a_second_cancellation_does_not_hurry_the_first(
    sandbox: Sandbox, mark: str, folder: Path
) -> None:
    run = asyncio.create_task(sandbox.run_tests(SLEEPS, "assert True", LONG))
    await until(lambda: len(processes(mark)) >= 2)
    run.cancel()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert processes(mark) == []
    assert os.listdir(folder) == []


async def test_processes_end_with_a_killed_service(
    isolation: Isolation, mark: str, folder: Path
) -> None:
    arguments = ["-c", SERVICE, isolation, mark, str(folder)]
    service = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        await until(lambda: len(processes(mark)) >= 2)
        service.send_signal(signal.SIGKILL)
        await service.wait()
        await until(lambda: processes(mark) == [])
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()


async def test_twenty_runs_at_once_keep_apart_and_leave_nothing(
    isolation: Isolation, mark: str, folder: Path
) -> None:
    sandbox = Sandbox(isolation, 20, False, folder)
    runs = [
        sandbox.run_tests(
            f"import os\nopen('own', 'x').write('{n}')\nvalue = {n}",
            f"assert open('own').read() == '{n}' and os.listdir() == ['own']\nassert value == {n}"
            + ("" if n % 2 else "\nassert False"),
            LONG,
        )
        for n in range(20)
    ]
    outcomes = await asyncio.gather(*runs)
    assert [outcome.passed for outcome in outcomes] == [bool(n % 2) for n in range(20)], outcomes
    assert {outcome.tests_passed for outcome in outcomes} == {2}
    assert processes(mark) == []
    assert os.listdir(folder) == []


async def test_no_more_runs_at_once_than_there_are_slots(
    isolation: Isolation, mark: str, folder: Path
) -> None:
    sandbox = Sandbox(isolation, 1, False, folder)
    most = 0
    runs = asyncio.gather(*(sandbox.run_tests("x = 1", "assert x", LONG) for _ in range(4)))
    while not runs.done():
        most = max(most, len(os.listdir(folder)))
        await asyncio.sleep(0)
    assert all(outcome.passed for outcome in await runs)
    assert most == 1


async def test_descriptors_are_not_used_up(isolation: Isolation, folder: Path) -> None:
    sandbox = Sandbox(isolation, 1, False, folder)
    await sandbox.run_tests("", "assert True", LONG)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await sandbox.run_tests("", "assert True", LONG)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_trivial_run_costs_this_much(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        outcome = await sandbox.run_tests("x = 1", "assert x == 1", LONG)
        taken.append(1000 * (time.perf_counter() - started))
        assert outcome.passed
    with capsys.disabled():
        print(f"\n{sandbox.isolation}: a trivial run takes {statistics.median(taken):.0f} ms")
