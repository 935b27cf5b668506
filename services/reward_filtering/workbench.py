"""Where generated code is run: one sandbox for the process, opened when the first code comes."""

import asyncio

import structlog

from services.reward_filtering.sandbox import Limits, Sandbox
from services.runtime.errors import Rejected

_log = structlog.get_logger(__name__)
NO_SANDBOX = "no_sandbox"
"""Verdict where this machine has no isolation to offer."""


class Workbench:
    """Runs tests on solutions, in a sandbox and nowhere else."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Set up; nothing is opened before it is needed."""
        self._limits = limits or Limits()
        self._opening = asyncio.Lock()
        self._sandbox: Sandbox | None = None
        self._refused = False

    async def run_tests(self, solution: str, tests: str) -> str:
        """Return how tests on a solution ended: `passed`, `failed`, `error`, `timeout` ...

        `NO_SANDBOX` where code cannot be isolated: then none is run, and it is logged once.
        """
        sandbox = await self._open()
        if sandbox is None:
            return NO_SANDBOX
        return (await sandbox.run_tests(solution, tests, self._limits)).verdict

    async def _open(self) -> Sandbox | None:
        async with self._opening:
            if self._sandbox is None and not self._refused:
                try:
                    self._sandbox = await Sandbox.open()
                    _log.info("sandbox for generated code", isolation=self._sandbox.isolation)
                except Rejected as error:
                    self._refused = True
                    _log.error("generated code is not run here", reason=str(error))
        return self._sandbox
