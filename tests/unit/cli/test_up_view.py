"""How a platform looks: each process in a row or a line, with what is wrong."""

import os
import sys
from pathlib import Path

from rich.console import Console

from services.cli.up_view import change_line, process_table, resident_bytes
from services.local.up.calls import DatasetLine
from services.local.up.children import Child, State, program


async def ready() -> bool:
    return True


def child(state: State, starts: int = 1, trouble: str = "") -> Child:
    made = program("agent_state-0", [sys.executable], Path("/logs/a.log"), {}, ready)
    return Child(made, state, starts=starts, trouble=trouble)


def shown(*children: Child) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(process_table(children, 100.0))
    return capture.get()


def test_a_row_says_what_a_process_does_and_what_ended_it_last() -> None:
    text = shown(child(State.restarting, starts=4, trouble="ended with code 1: no [bucket]"))
    row = text.splitlines()[1].split()
    assert row[:3] == ["agent_state-0", "restarting", "3"]
    assert "ended with code 1: no [bucket]" in text


def test_a_line_tells_a_change() -> None:
    assert change_line(child(State.starting)) == "agent_state-0 starts"
    assert change_line(child(State.starting, starts=3)) == "agent_state-0 starts again (2)"
    killed = child(State.restarting, trouble="ended with signal 9")
    assert change_line(killed) == "agent_state-0 ended with signal 9; it is started again"
    failed = change_line(child(State.failed, trouble="ended with code 2: no such setting"))
    assert failed == (
        "agent_state-0 keeps failing: ended with code 2: no such setting; see /logs/a.log"
    )


def test_a_dataset_is_told_with_its_size_when_it_has_one() -> None:
    assert str(DatasetLine("qa", "active", 1200, 5000, 30)) == (
        "dataset qa: 1,200 of 5,000 samples, active, 30 rejected"
    )
    assert str(DatasetLine("all", "paused", 7, 0)) == "dataset all: 7 samples, paused"


def test_memory_is_that_of_the_process_and_none_of_one_that_is_gone() -> None:
    assert resident_bytes(os.getpid()) > 1 << 20
    assert resident_bytes(2**22 + 1) == 0
