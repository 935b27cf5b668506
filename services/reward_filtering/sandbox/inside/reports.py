"""What the runner said and how it ended, made into a verdict."""

import os
import signal
from typing import TypedDict

from .units import Unit

__all__ = ["Records", "Report", "verdict_of"]

HEADER_DIGITS = 4


class Report(TypedDict, total=False):
    """What the service is told."""

    refused: str
    verdict: str
    tests_run: int
    tests_passed: int
    detail: str
    seconds: float


class Records:
    """The runner's records, as far as they bear the key."""

    def __init__(self, key: bytes, units: list[Unit]) -> None:
        self._key = key
        self._labels = ["", *(label for label, _, _ in units)]
        self._buffer = b""
        self._letters: list[str] = []
        self.confined = False
        self.unconfinable = False
        self.loaded = False
        self.done = False
        self.forged = False
        self.passed = 0
        self.run = 0
        self.out_of_memory = False
        self.broken = ""
        self.failed = ""

    def take(self, data: bytes) -> bool:
        """Take what was read; returns whether it is the runner's."""
        self._buffer += data
        head = len(self._key) + 1 + HEADER_DIGITS
        while self._buffer and not self.forged:
            if self._buffer[: len(self._key)] != self._key[: len(self._buffer)]:
                self.forged = True
            if len(self._buffer) < head:
                break
            size = int(self._buffer[head - HEADER_DIGITS : head], 16)
            if len(self._buffer) < head + size:
                break
            letter = chr(self._buffer[len(self._key)])
            detail = self._buffer[head : head + size].decode("utf-8", "replace")
            self._buffer = self._buffer[head + size :]
            self._note(letter, detail)
        return not self.forged

    def take_rest(self, source: int) -> None:
        """Take what is left in the pipe of a process that has ended."""
        os.set_blocking(source, False)
        while True:
            try:
                data = os.read(source, 1 << 16)
            except BlockingIOError:
                return
            if not data or not self.take(data):
                return

    def _note(self, letter: str, detail: str) -> None:
        if letter == "c":
            self.confined = True
        elif letter == "x":
            self.unconfinable = True
        elif letter == "d":
            self.done = len(self._letters) == len(self._labels)
        elif len(self._letters) == len(self._labels):
            self.forged = True
        else:
            label = self._labels[len(self._letters)]
            self._letters.append(letter)
            self._note_outcome(letter, label, detail)

    def _note_outcome(self, letter: str, label: str, detail: str) -> None:
        if letter == "m":
            self.out_of_memory = True
        if len(self._letters) == 1:
            self.loaded = letter == "p"
        if label:
            self.run += 1
            self.passed += letter == "p"
        if letter != "p":
            if label:
                self.failed = self.failed or f"{label}\n{detail}"
            else:
                self.broken = self.broken or detail or "the solution or the tests did not load"


def verdict_of(records: Records, wrong: str, ended: str, status: int, cpu_spent: bool) -> Report:
    """Return the report on a runner.

    `wrong` says why nothing was run, `ended` why the supervisor ended it, `status` is its wait
    status, `cpu_spent` whether it used up its processor time.
    """
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    verdict, detail = "error", ""
    if records.unconfinable or not (records.confined or ended or wrong):
        return {"refused": "the process could not be confined"}
    if records.forged:
        verdict, detail = "forged", "the solution wrote to the channel of results"
    elif wrong:
        detail = wrong
    elif records.done and (not ended and status == 0):
        if records.passed == records.run:
            verdict = "passed"
        else:
            verdict = "memory" if records.out_of_memory else "failed"
            detail = records.failed
    elif records.out_of_memory:
        verdict, detail = "memory", records.failed or "out of memory"
    elif records.broken:
        detail = records.broken
    elif ended:
        verdict, detail = ended, f"ended by the supervisor: {ended}"
    elif signalled and cpu_spent:
        verdict, detail = "timeout", "used up its processor time"
    elif signalled:
        verdict, detail = "killed", f"ended by {signal.Signals(signalled).name}"
    else:
        code = os.WEXITSTATUS(status)
        detail = f"the process ended by itself, with status {code}, before all tests had run"
    return {
        "verdict": verdict,
        "tests_run": records.run,
        "tests_passed": records.passed,
        "detail": detail,
    }
