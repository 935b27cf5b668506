"""Lines of the log that repeat: from some number on they are held back, and counted.

Of each event of each logger the first lines of a window are told as they come; when the window has
passed, or the process ends, the last one that was held back is told with `repeated`, how many there
were of it.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

WINDOW_SECONDS = 60.0
MOST = 20
"""Lines of one event that are told in a window."""
MOST_ERRORS = 100
"""The same for errors."""
MOST_EVENTS = 1000
"""Events that are counted at once."""

Tell = Callable[[int], None]
"""Tells a line that was held back, and how many of its like were."""


@dataclass(slots=True)
class _Window:
    ends: float
    told: int = 0
    held: int = 0
    tell: Tell | None = None


class Repeats:
    """Counts lines by event; may be used by several threads."""

    def __init__(
        self,
        window_seconds: float = WINDOW_SECONDS,
        most: int = MOST,
        most_errors: int = MOST_ERRORS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = window_seconds
        self._most = most
        self._most_errors = most_errors
        self._clock = clock
        self._windows: OrderedDict[tuple[str, str, str], _Window] = OrderedDict()
        """In the order in which they end."""
        self._lock = threading.Lock()
        self.lines: Counter[str] = Counter()
        """Lines by level, those held back too."""

    def __len__(self) -> int:
        """Return how many events are counted now."""
        return len(self._windows)

    def admit(self, logger: str, level: str, event: str, tell: Tell) -> bool:
        """Return whether a line is to be told now; else `tell` may be called later."""
        now = self._clock()
        key = logger, level, event
        with self._lock:
            self.lines[level] += 1
            due = self._passed(now)
            window = self._windows.get(key)
            if window is None:
                if len(self._windows) >= MOST_EVENTS:
                    due.append(self._windows.popitem(last=False)[1])
                window = self._windows[key] = _Window(now + self._seconds)
            most = self._most_errors if level in ("error", "critical") else self._most
            admitted = window.told < most
            if admitted:
                window.told += 1
            else:
                window.held, window.tell = window.held + 1, tell
        _tell(due)
        return admitted

    def flush(self) -> None:
        """Tell all that is held back; at the end of a process."""
        with self._lock:
            due = list(self._windows.values())
            self._windows.clear()
        _tell(due)

    def _passed(self, now: float) -> list[_Window]:
        passed = []
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends > now:
                break
            del self._windows[key]
            passed.append(window)
        return passed


def _tell(windows: Sequence[_Window]) -> None:
    for window in windows:
        if window.tell is not None:
            # At the very end there may be nothing left to tell it to.
            with suppress(ValueError, OSError):
                window.tell(window.held)


class HoldRepeats:
    """A processor of structlog: the last before those that render."""

    def __init__(self, repeats: Repeats, render: Sequence[structlog.typing.Processor]) -> None:
        """Set up; lines that were held back are told through `render`."""
        self._repeats = repeats
        self._render = render

    def __call__(
        self, logger: Any, method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Return a line that is to be told now.

        Raises:
            structlog.DropEvent: it is held back.
        """

        def tell(times: int) -> None:
            rendered: Any = {**line, "repeated": times}
            for processor in self._render:
                rendered = processor(logger, method, rendered)
            getattr(logger, method)(rendered)

        name = getattr(logger, "name", "")
        if self._repeats.admit(name, str(line.get("level", method)), str(line.get("event")), tell):
            return line
        raise structlog.DropEvent


class HoldLibraryRepeats(logging.Filter):
    """The same for what libraries log: a filter of the handler; events are told by their form."""

    def __init__(self, repeats: Repeats, handler: logging.Handler) -> None:
        super().__init__()
        self._repeats = repeats
        self._handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be told now."""

        def tell(times: int) -> None:
            record.msg, record.args = f"{record.getMessage()} (repeated={times})", ()
            self._handler.emit(record)

        return self._repeats.admit(record.name, record.levelname.lower(), str(record.msg), tell)


class NamedLogger(structlog.PrintLogger):
    """Prints lines, and knows whose they are."""

    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file)
        self.name = name
