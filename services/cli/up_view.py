"""How the processes of a platform look: a table on a terminal, else a line for each change."""

import os
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from services.cli.wording import clock
from services.local.up.children import Child, State

_COLOURS = {
    State.ready: "green",
    State.unready: "yellow",
    State.restarting: "yellow",
    State.failed: "bold red",
}
_MIB = 1 << 20


def process_table(children: Sequence[Child], now: float) -> Table:
    """Return all processes as a table.

    Args:
        children: the processes.
        now: on the monotonic clock.
    """
    table = Table("process", "pid", "state", box=None, pad_edge=False)
    for column in ("restarts", "uptime", "memory"):
        table.add_column(column, justify="right")
    table.add_column("", overflow="ellipsis", no_wrap=True, style="dim")
    for child in children:
        pid = child.pid
        memory = resident_bytes(pid) if pid is not None else 0
        table.add_row(
            child.name,
            str(pid or ""),
            Text(child.state, style=_COLOURS.get(child.state, "")),
            str(child.restarts or ""),
            clock(now - child.started_at) if pid is not None else "",
            f"{memory / _MIB:,.0f} MiB" if memory else "",
            Text(child.trouble),
        )
    return table


def change_line(child: Child) -> str:
    """Return a child's new state in a line."""
    match child.state:
        case State.starting if not child.restarts:
            return f"{child.name} starts"
        case State.starting:
            return f"{child.name} starts again ({child.restarts})"
        case State.ready | State.unready:
            return f"{child.name} is {child.state} (pid {child.pid})"
        case State.restarting:
            return f"{child.name} {child.trouble}; it is started again"
        case State.failed:
            return f"{child.name} keeps failing: {child.trouble}; see {child.program.process.log}"
        case _:
            return f"{child.name} is {child.state}"


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has in use; 0 where that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
