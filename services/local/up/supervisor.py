"""Starts processes, restarts those that die, and ends all of them: what a cluster does for pods."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from services.local.up.backoff import Backoff
from services.local.up.children import Child, Program, State
from services.runtime.errors import MatrixError, Rejected, Retryable

_READY_CHECK_SECONDS = 0.25
_MISSED = 3
"""So many checks in a row without an answer, and what was ready is not; a busy machine misses one.
"""
_FAILED_STARTS = 3
"""So many deaths in a row without having been ready, and the process counts as failing."""
_TAIL_BYTES = 8192


class Supervisor:
    """Keeps programs running until it is stopped.

    Use it in one event loop, in the main thread: processes die with the thread that started them.
    """

    def __init__(
        self,
        changed: Callable[[Child], None] = lambda child: None,
        backoff: Backoff | None = None,
        check_seconds: float = 1.0,
    ) -> None:
        """Set up.

        Args:
            changed: told of each change of a child's state.
            backoff: pauses before restarts.
            check_seconds: between two looks at whether a program that was ready still is.
        """
        self.children: list[Child] = []
        self._changed = changed
        self._backoff = backoff or Backoff()
        self._check_seconds = check_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, program: Program) -> Child:
        """Start a program and keep it running."""
        child = Child(program)
        self.children.append(child)
        task = asyncio.create_task(self._keep(child), name=program.name)
        task.add_done_callback(lambda _: child.changed.set())
        self._tasks[program.name] = task
        return child

    async def until_ready(self, *children: Child, patient: bool = False) -> None:
        """Wait until programs have been ready.

        Args:
            children: the programs.
            patient: wait on for one that keeps dying at its start.

        Raises:
            Rejected: one keeps dying at its start; with its last words.
            Retryable: one was stopped meanwhile.
        """
        for child in children:
            while child.state is not State.ready:
                if child.state is State.failed and not patient:
                    log = child.program.process.log
                    raise Rejected(f"{child.name} does not start: {child.trouble}; see {log}")
                if self._tasks[child.name].done():
                    raise Retryable(f"{child.name} was stopped before it was ready")
                child.changed.clear()
                await child.changed.wait()

    async def keep(self) -> None:
        """Wait for ever, or until keeping a program running fails by a defect, which is raised."""
        while True:
            tasks = set(self._tasks.values())
            done, _ = await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()

    async def stop(self, *names: str) -> None:
        """End programs in order, all at once: SIGTERM, after their grace SIGKILL.

        Args:
            names: of the programs; none means all.
        """
        chosen = [child for child in self.children if not names or child.name in names]
        await asyncio.gather(*(self._end(child) for child in chosen))

    async def kill(self) -> None:
        """End everything by SIGKILL."""
        await self._let_go(*self.children)
        await asyncio.gather(*(child.program.process.kill() for child in self.children))

    async def _end(self, child: Child) -> None:
        await self._let_go(child)
        if child.state is not State.stopped:
            self._move(child, State.stopping)
            await child.program.process.stop(child.program.grace_seconds)
            self._move(child, State.stopped)

    async def _let_go(self, *children: Child) -> None:
        tasks = {self._tasks[child.name] for child in children}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self, child: Child) -> None:
        pause = 0.0
        while True:
            ready_seconds = await self._run(child)
            if ready_seconds is None:
                child.failures += 1
            else:
                child.failures = 0
            pause = self._backoff.after(pause, ready_seconds or 0.0)
            failing = child.failures >= _FAILED_STARTS
            self._move(child, State.failed if failing else State.restarting)
            await asyncio.sleep(pause)

    async def _run(self, child: Child) -> float | None:
        """Run the program once; return how long it was ready, None when it never was."""
        child.starts += 1
        child.started_at = time.monotonic()
        self._move(child, State.starting)
        process = child.program.process
        try:
            await child.program.start()
        except MatrixError as error:
            # What a process said when it died comes behind the error's own words.
            said = str(error).splitlines()
            child.trouble = ": ".join([said[0].partition("; the end of")[0], *said[1:][-1:]])
            return None
        ended = asyncio.create_task(process.wait())
        try:
            ready_at = await self._watch(child, ended)
        finally:
            ended.cancel()
        code = process.exit_code
        ending = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
        words = f": {line}" if ready_at is None and (line := last_line(process.log)) else ""
        child.trouble = f"ended with {ending}{words}"
        return None if ready_at is None else time.monotonic() - ready_at

    async def _watch(self, child: Child, ended: asyncio.Task[int]) -> float | None:
        """Follow a process to its end; return when it was first ready."""
        ready_at, missed = None, 0
        while True:
            ready = asyncio.ensure_future(child.program.ready())
            try:
                await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return ready_at
                if await ready:
                    ready_at = ready_at or time.monotonic()
                    child.failures, child.trouble, missed = 0, "", 0
                    self._move(child, State.ready)
                elif ready_at is not None and (missed := missed + 1) >= _MISSED:
                    self._move(child, State.unready)
            finally:
                ready.cancel()
            pause = _READY_CHECK_SECONDS if ready_at is None else self._check_seconds
            await asyncio.wait({ended}, timeout=pause)

    def _move(self, child: Child, state: State) -> None:
        if child.state is not state:
            child.state = state
            child.changed.set()
            self._changed(child)


def last_line(log: Path) -> str:
    """Return the last line of a log that says something; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
