"""Where people look: messages and logs go to stderr, data to stdout."""

import atexit
import logging
import sys

import structlog
from rich.console import Console
from rich.text import Text

from services.runtime.log_context import add_context
from services.runtime.log_repeats import HoldRepeats, NamedLogger, Repeats

console = Console(stderr=True)
output = Console()


def tell(message: str) -> None:
    """Print a message in one line however long, so that paths and commands can be copied."""
    console.print(Text(message), soft_wrap=True)


def note(message: str) -> None:
    """Print a message in lines that fit."""
    console.print(Text(message))


def configure_logs(verbose: bool) -> None:
    """Log what happens to stderr, or nothing at all."""
    repeats = Repeats()
    # Its own way of telling of exceptions shows the values of variables: keys and prompts.
    renderer = structlog.dev.ConsoleRenderer(
        colors=console.is_terminal, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.INFO if verbose else logging.CRITICAL
        ),
        processors=[
            add_context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("%H:%M:%S", utc=False),
            HoldRepeats(repeats, [renderer]),
            renderer,
        ],
        # Looked up for each line: the live view puts itself in the place of stderr.
        logger_factory=lambda *names: NamedLogger(sys.stderr, str(names[0]) if names else ""),
    )
    atexit.register(repeats.flush)
