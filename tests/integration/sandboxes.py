"""Sandboxes of every isolation that this machine allows, and a look at what they leave behind."""

import asyncio
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from services.reward_filtering.sandbox import Isolation, Limits, Outcome, Sandbox
from services.reward_filtering.sandbox.launching import ENVIRONMENT
from services.runtime.errors import Rejected

ISOLATIONS: tuple[Isolation, ...] = get_args(Isolation)
SHORT = Limits(wall_seconds=1.0)
"""For code that does not end by itself."""

LONG = Limits(wall_seconds=120.0, cpu_seconds=60.0)
"""For code that has to get to its end on a busy machine."""


@cache
def refusal(isolation: Isolation) -> str:
    """Return why an isolation is not to be had here, nothing if it is."""
    try:
        asyncio.run(Sandbox.open(isolation=isolation))
    except Rejected as error:
        return str(error)
    return ""


@pytest.fixture(params=ISOLATIONS)
def isolation(request: pytest.FixtureRequest) -> Isolation:
    wanted: Isolation = request.param
    if reason := refusal(wanted):
        pytest.skip(reason)
    return wanted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the sandbox makes its private folders."""
    made = tmp_path / "sandboxes"
    made.mkdir()
    return made


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what only the processes of this test have in their environment."""
    value = uuid.uuid4().hex
    monkeypatch.setitem(ENVIRONMENT, "MARK", value)
    return value


@pytest.fixture
def sandbox(isolation: Isolation, folder: Path, mark: str) -> Iterator[Sandbox]:
    """A sandbox; whatever the test did, no process and no file of it may be left."""
    yield Sandbox(isolation, 2, False, folder)
    assert processes(mark) == []
    assert list(folder.iterdir()) == []


def processes(mark: str) -> list[int]:
    """Return the ids of living processes that have the mark."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if mark.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue
    return found


async def verdict(sandbox: Sandbox, solution: str, tests: str = "assert True") -> Outcome:
    """Run code that ends by itself."""
    return await sandbox.run_tests(solution, tests, LONG)
