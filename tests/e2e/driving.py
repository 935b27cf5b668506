"""A run at work as a child process, and the moments at which something happens to it."""

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.events.topics import SAMPLES_JUDGED
from tests.e2e.conftest import command
from tests.e2e.reading import count

DEADLINE_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    told: str
    """What it wrote, in one line."""


class Running:
    """A command at work, in a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a moment of the command's work."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert self.process.returncode is None, (await self.end()).told
            assert time.monotonic() < deadline, "the moment did not come"
            await asyncio.sleep(0.01)

    async def until_judged(self, out: Path, candidates: int) -> None:
        """Wait until so many candidates have their verdict."""
        await self.until(lambda: count(out, SAMPLES_JUDGED) >= candidates)

    async def end(self) -> Ended:
        """Wait for the end."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            told, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return Ended(self.process.returncode, " ".join(told.decode().split()))

    def send(self, number: signal.Signals) -> None:
        """Send a signal, as a terminal does: to the whole process group."""
        os.killpg(self.process.pid, number)

    @property
    def left_behind(self) -> bool:
        """Whether a process of the group outlives the command."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def biggest_file(size: int) -> Callable[[], None]:
    """Return what makes a disk full, for one child: no file of it grows beyond `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@asynccontextmanager
async def at_work(
    *arguments: str | Path, before: Callable[[], None] | None = None
) -> AsyncIterator[Running]:
    """Start `matrix`; whatever is left of it in the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=before,
    )
    try:
        yield Running(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def ended(*arguments: str | Path, before: Callable[[], None] | None = None) -> Ended:
    """Run `matrix` to its end."""
    async with at_work(*arguments, before=before) as running:
        return await running.end()
