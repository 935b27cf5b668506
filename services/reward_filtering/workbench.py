"""Where generated code is run: one sandbox for the process, opened when the first code comes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from services.reward_filtering.sandbox import Isolation, Limits, Outcome, Sandbox
from services.runtime.errors import Rejected, Retryable

REOPEN_SECONDS = 30.0
"""Between two looks whether a machine that had no isolation to offer has one now."""

_log = structlog.get_logger(__name__)


class Tester(Protocol):
    """What runs tests on solutions; see `Sandbox`."""

    isolation: Isolation

    async def run_tests(self, solution: str, tests: str, limits: Limits | None = None) -> Outcome:
        """Run tests on a solution."""


class Workbench:
    """Runs tests on solutions, in a sandbox and nowhere else."""

    def __init__(
        self,
        limits: Limits | None = None,
        open_sandbox: Callable[[], Awaitable[Tester]] = Sandbox.open,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up; nothing is opened before it is needed.

        Args:
            limits: Of a run.
            open_sandbox: Gives the sandbox, or raises Rejected with the reason.
            clock: Seconds, for `REOPEN_SECONDS`.
        """
        self._limits = limits or Limits()
        self._open_sandbox = open_sandbox
        self._clock = clock
        self._opening = asyncio.Lock()
        self._sandbox: Tester | None = None
        self._refusal = ""
        self._look_again = 0.0

    async def ready(self) -> None:
        """See to it that code can be run, before anything is paid for code.

        Raises:
            Retryable: this machine has no isolation to offer; the message has the reasons and the
                remedy. Logged as an error once, and looked at again every `REOPEN_SECONDS`.
        """
        await self._opened()

    async def run_tests(self, solution: str, tests: str) -> str:
        """Return how tests on a solution ended: `passed`, `failed`, `error`, `timeout` ...

        Raises:
            Retryable: as `ready`, or the sandbox could not be started; no code was run.
        """
        sandbox = await self._opened()
        return (await sandbox.run_tests(solution, tests, self._limits)).verdict

    async def _opened(self) -> Tester:
        async with self._opening:
            if self._sandbox is None:
                self._sandbox = await self._open()
            return self._sandbox

    async def _open(self) -> Tester:
        if self._refusal and self._clock() < self._look_again:
            raise Retryable(self._refusal)
        try:
            sandbox = await self._open_sandbox()
        except Rejected as error:
            if not self._refusal:
                _log.error("generated code is not run here, and waits", reason=str(error))
            self._refusal = str(error)
            self._look_again = self._clock() + REOPEN_SECONDS
            raise Retryable(self._refusal) from None
        if self._refusal:
            _log.warning("generated code is run again", isolation=sandbox.isolation)
            self._refusal = ""
        else:
            _log.info("sandbox for generated code", isolation=sandbox.isolation)
        return sandbox
