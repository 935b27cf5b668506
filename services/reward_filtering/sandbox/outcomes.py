"""What is asked of the sandbox and what it answers."""

from dataclasses import dataclass
from typing import Literal, get_args

from services.runtime.errors import Rejected

__all__ = ["VERDICTS", "Isolation", "Limits", "Outcome", "Verdict"]

Isolation = Literal["bubblewrap", "namespaces", "rlimits"]

Verdict = Literal[
    "passed",
    "failed",
    "error",
    "timeout",
    "memory",
    "output",
    "files",
    "threads",
    "killed",
    "forged",
]
"""passed: all tests did. failed: all were run, and some did not pass. error: solution or tests did
not load, there are no tests, or the process ended itself before the tests did. timeout: wall or
processor time. memory: an allocation was refused. output, files, threads: more than the limit.
killed: ended by a signal (a crash). forged: the solution wrote to the channel of results."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SMALLEST_MEMORY = 64 << 20
"""Bytes of address space that the interpreter needs before the code has any."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use. Processes are not among it: a run is one process."""

    wall_seconds: float = 10.0
    """From the start of the code; starting the sandbox is not counted."""
    cpu_seconds: float = 5.0
    """Of all threads together; the kernel counts whole seconds, so it is rounded up."""
    memory_bytes: int = 512 << 20
    """Address space."""
    output_bytes: int = 64 << 10
    """Standard output and standard error together."""
    file_bytes: int = 64 << 20
    """Any one file, and all files together; they are kept in memory where the file system is
    private."""
    threads: int = 64
    """At once. By address space there can be about `memory_bytes` / 8 MiB."""
    open_files: int = 64

    def __post_init__(self) -> None:
        """Raise Rejected if nothing could run."""
        for name in ("wall_seconds", "cpu_seconds", "output_bytes", "file_bytes"):
            if not getattr(self, name) > 0:
                raise Rejected(f"{name} is {getattr(self, name)}: it has to be above 0")
        if self.memory_bytes < SMALLEST_MEMORY:
            raise Rejected(f"memory_bytes is {self.memory_bytes}: at least {SMALLEST_MEMORY}")
        if self.threads < 4 or self.open_files < 16:
            raise Rejected(
                f"threads is {self.threads}, open_files {self.open_files}: at least 4 and 16"
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. A test is an assertion outside of functions, or a `test_*` function."""

    verdict: Verdict
    tests_run: int = 0
    tests_passed: int = 0
    detail: str = ""
    """For people: the first failure, and the end of what the code printed. The code has a say in
    it, so nothing is to be concluded from it."""
    seconds: float = 0.0
    """Wall time from the start of the code."""

    @property
    def passed(self) -> bool:
        """Whether there are tests and all of them passed."""
        return self.verdict == "passed"
