"""Logs of a service process: one line an event, to stderr."""

import atexit
import logging
import sys
from typing import Literal

import structlog

from services.runtime.log_context import add_context
from services.runtime.log_repeats import HoldLibraryRepeats, HoldRepeats, NamedLogger, Repeats

LogFormat = Literal["json", "console"]


def configure_service_logs(
    service: str, form: LogFormat, repeats: Repeats | None = None
) -> Repeats:
    """Log from `info` on as JSON (for a cluster) or as text (for a person).

    What libraries log from `warning` on joins in. Nobody may log a prompt or a secret. Returns what
    holds repeated lines back, which tells the last of them when the process ends.
    """
    repeats = Repeats() if repeats is None else repeats
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_context,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            # Its own way of telling of exceptions shows the values of variables: keys and prompts.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[*shared, HoldRepeats(repeats, last), *last],
        logger_factory=lambda *names: NamedLogger(sys.stderr, str(names[0]) if names else ""),
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*_of_library, *last], foreign_pre_chain=shared
        )
    )
    handler.addFilter(HoldLibraryRepeats(repeats, handler))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # It warns of every callback that takes a tenth of a second, which on a busy node many do.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    atexit.register(repeats.flush)
    return repeats


_of_library = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
