"""Processes that a supervisor keeps running, and how they fare."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from services.local.servers.process import Probe, ServerProcess


class State(StrEnum):
    """What a process is doing."""

    waiting = "waiting"
    """Its turn has not come."""
    starting = "starting"
    ready = "ready"
    unready = "not ready"
    """It was ready since it was started, and does not answer now."""
    restarting = "restarting"
    """It died and is started again after a pause."""
    failed = "failed"
    """It keeps dying at its start, and is started again all the same."""
    stopping = "stopping"
    stopped = "stopped"


@dataclass(frozen=True, slots=True)
class Program:
    """A process to be kept running."""

    name: str
    process: ServerProcess
    ready: Probe
    start: Callable[[], Awaitable[None]]
    grace_seconds: float = 10.0
    """From SIGTERM to SIGKILL."""


def program(
    name: str,
    command: Sequence[str],
    log: Path,
    environment: dict[str, str],
    ready: Probe,
    grace_seconds: float = 10.0,
) -> Program:
    """Return a program that may take its time to become ready, however long."""

    async def runs() -> bool:
        return process.pid is not None

    # As far as its start is concerned it is ready at once: what it waits for then is told by its
    # state, and is no reason to end it.
    process = ServerProcess(name, command, log, runs, environment)
    return Program(name, process, ready, process.start, grace_seconds)


@dataclass(slots=True)
class Child:
    """A program and how it fares."""

    program: Program
    state: State = State.waiting
    starts: int = 0
    started_at: float = 0.0
    """On the monotonic clock; 0 before the first start."""
    failures: int = 0
    """Deaths in a row without having been ready."""
    trouble: str = ""
    """Why it last died, until it is ready again."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """Of the program."""
        return self.program.name

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(self.starts - 1, 0)

    @property
    def pid(self) -> int | None:
        """Of the process; None when there is none."""
        return self.program.process.pid
