"""Runs of code, so many at once, each in processes and a folder that are gone afterwards."""

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from services.reward_filtering.sandbox.launching import (
    ENVIRONMENT,
    bubblewrap,
    command,
    work_folder,
)
from services.reward_filtering.sandbox.outcomes import Isolation, Limits, Outcome
from services.reward_filtering.sandbox.removal import remove
from services.reward_filtering.sandbox.reporting import Refused, read_report
from services.runtime.errors import Rejected, Retryable

__all__ = ["Sandbox"]

REPORT_BYTES = 1 << 18
PREFIX = "sandbox-"

START_SECONDS = 30.0
"""Beyond the wall limit, which the supervisor keeps to: for starting it on a busy machine."""

STOP_SECONDS = 5.0
"""For the supervisor to end the code and itself, before both are killed."""

PROBE = Limits(wall_seconds=30.0)


class Sandbox:
    """Runs generated code against generated tests. Make one by `Sandbox.open`."""

    def __init__(
        self, isolation: Isolation, parallel: int, readable_files: bool, folder: Path | None
    ) -> None:
        self.isolation: Isolation = isolation
        """What keeps the code apart; the package's docstring says what each promises."""
        self._slots = asyncio.Semaphore(parallel)
        self._readable_files = readable_files
        self._folder = folder

    @classmethod
    async def open(
        cls,
        parallel: int | None = None,
        isolation: Isolation | None = None,
        readable_files: bool = False,
        folder: Path | None = None,
    ) -> Self:
        """Find the strongest isolation that this machine allows, by trying it out.

        Args:
            parallel: runs at once; the number of processors if not given.
            isolation: take this one or none.
            readable_files: with `rlimits` on a kernel without Landlock, code can read every file
                that the service can, credentials too, and write what it can write: accept that.
            folder: where private folders are made; the system's temporary one if not given.

        Raises:
            Rejected: if code cannot be confined here; the message has each isolation's reason.
        """
        candidates: list[Isolation] = ["bubblewrap", "namespaces", "rlimits"]
        if isolation is not None:
            candidates = [isolation]
        elif bubblewrap() is None:
            candidates.remove("bubblewrap")
        elif os.geteuid() == 0:
            # Root stays root to the kernel in bubblewrap, which limits no threads of root's.
            candidates.sort(key="namespaces bubblewrap rlimits".split().index)
        reasons = []
        slots = parallel or os.cpu_count() or 1
        for candidate in candidates:
            sandbox = cls(candidate, slots, readable_files, folder)
            try:
                outcome = await sandbox._run("x = 1", "assert x == 1", PROBE)
            except Refused as refusal:
                reasons.append(f"{candidate}: {refusal}")
                continue
            if outcome.passed:
                return sandbox
            reasons.append(f"{candidate}: {outcome.verdict} {outcome.detail}")
        raise Rejected(
            f"generated code cannot be confined on this machine ({'; '.join(reasons)}): allow user "
            "namespaces, or use a kernel with seccomp and Landlock (Linux 5.13)"
        )

    async def run_tests(self, solution: str, tests: str, limits: Limits | None = None) -> Outcome:
        """Run tests on a solution, when there is a free slot.

        Both are Python source; the names of the solution's module are known in the tests, which
        may also import it as `solution`. Whatever the two do is an Outcome. Cancelling ends the
        processes before it returns.

        Raises:
            Retryable: if the sandbox could not be started.
        """
        async with self._slots:
            try:
                return await self._run(solution, tests, limits or Limits())
            except Refused as refusal:
                raise Retryable(
                    f"the sandbox ({self.isolation}) did not start: {refusal}"
                ) from None

    async def _run(self, solution: str, tests: str, limits: Limits) -> Outcome:
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._folder))
        except OSError as error:  # No place, or not ours to write: nothing of the code's doing.
            raise Refused(f"no private folder can be made: {error}") from error
        # A task of its own: a start that is cancelled half-way would leave what has been started.
        starting = asyncio.create_task(self._start(folder, limits))
        try:
            process = await asyncio.shield(starting)
            return await self._outcome(process, folder, solution, tests, limits)
        finally:
            await _uninterrupted(_clear(starting, folder))

    async def _start(self, folder: Path, limits: Limits) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *command(self.isolation, limits),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=ENVIRONMENT,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(f"no process can be started: {error}") from error

    async def _outcome(
        self, process: Process, folder: Path, solution: str, tests: str, limits: Limits
    ) -> Outcome:
        sources = [text.encode("utf-8", "surrogatepass") for text in (solution, tests)]
        order = {
            **asdict(limits),
            "isolation": self.isolation,
            "readable_files": self._readable_files,
            "parent": os.getpid(),
            "root": str(folder),
            "work": work_folder(self.isolation, folder),
            "solution": len(sources[0]),
            "tests": len(sources[1]),
        }
        assert process.stdin is not None
        process.stdin.writelines([json.dumps(order).encode() + b"\n", *sources])
        output = asyncio.create_task(_up_to(process.stdout, limits.output_bytes))
        report = asyncio.create_task(_up_to(process.stderr, REPORT_BYTES))
        try:
            async with asyncio.timeout(limits.wall_seconds + START_SECONDS):
                await asyncio.wait((output, report), return_when=asyncio.FIRST_COMPLETED)
                printed = await output
                if printed is None:
                    return Outcome("output", detail=f"printed over {limits.output_bytes} bytes")
                said = await report
        except TimeoutError:
            return Outcome("timeout", detail="the supervisor did not answer")
        finally:
            output.cancel()
            report.cancel()
        return read_report(said or b"", printed)


async def _up_to(stream: asyncio.StreamReader | None, size: int) -> bytes | None:
    """Return all of a stream, or None as soon as it is longer than that."""
    assert stream is not None
    read = bytearray()
    while part := await stream.read(1 << 16):
        read += part
        if len(read) > size:
            return None
    return bytes(read)


async def _clear(starting: asyncio.Task[Process], folder: Path) -> None:
    """End the processes and remove the folder."""
    try:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await _end(starting.result())
    finally:
        await asyncio.to_thread(remove, folder)


async def _end(process: Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    # The supervisor ends the code and reaps it when its input ends; killed at once, it would leave
    # that to the container's first process, which may be a service that reaps nobody.
    process.stdin.close()
    drained = asyncio.gather(_drain(process.stdout), _drain(process.stderr))
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    await drained


async def _drain(stream: asyncio.StreamReader | None) -> None:
    """Read a stream to its end: no process is left that could write to it."""
    assert stream is not None
    while await stream.read(1 << 16):
        pass


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work to end even if cancelled meanwhile; the cancellation follows."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
