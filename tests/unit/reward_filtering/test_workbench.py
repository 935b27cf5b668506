"""Where code is run: nowhere, until there is a sandbox; then in that one."""

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from services.reward_filtering.sandbox import Isolation, Limits, Outcome
from services.reward_filtering.workbench import REOPEN_SECONDS, Workbench
from services.runtime.errors import Rejected, Retryable

REASON = "generated code cannot be confined on this machine (no luck): allow user namespaces"


class Opened:
    """A sandbox in which everything passes."""

    isolation: Isolation = "rlimits"

    async def run_tests(self, solution: str, tests: str, limits: Limits | None = None) -> Outcome:
        return Outcome("passed")


@dataclass
class Machine:
    """A machine that has a sandbox to offer or not, and its clock."""

    offers: bool = False
    seconds: float = 0.0
    looks: list[float] = field(default_factory=list)

    async def open(self) -> Opened:
        self.looks.append(self.seconds)
        if not self.offers:
            raise Rejected(REASON)
        return Opened()

    def bench(self) -> Workbench:
        return Workbench(open_sandbox=self.open, clock=lambda: self.seconds)


async def test_a_sandbox_is_opened_once_and_when_it_is_needed() -> None:
    machine = Machine(offers=True)
    bench = machine.bench()
    assert machine.looks == []
    await bench.ready()
    assert await bench.run_tests("x = 1", "assert x") == "passed"
    assert machine.looks == [0.0]


async def test_without_a_sandbox_nothing_is_run_and_the_reason_is_logged_once() -> None:
    machine = Machine()
    bench = machine.bench()
    with capture_logs() as logged:
        for seconds in (0.0, 1.0, REOPEN_SECONDS - 1, REOPEN_SECONDS, 2 * REOPEN_SECONDS):
            machine.seconds = seconds
            with pytest.raises(Retryable, match="allow user namespaces"):
                await bench.ready()
            with pytest.raises(Retryable, match="allow user namespaces"):
                await bench.run_tests("x = 1", "assert x")
    assert machine.looks == [0.0, REOPEN_SECONDS, 2 * REOPEN_SECONDS]
    assert [(line["log_level"], line["reason"]) for line in logged] == [("error", REASON)]


async def test_a_machine_that_is_mended_runs_code_without_a_restart() -> None:
    machine = Machine()
    bench = machine.bench()
    with pytest.raises(Retryable):
        await bench.ready()
    machine.offers, machine.seconds = True, REOPEN_SECONDS
    with capture_logs() as logged:
        assert await bench.run_tests("x = 1", "assert x") == "passed"
    assert [line["log_level"] for line in logged] == ["warning"]
