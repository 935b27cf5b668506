"""Logs of a service process: one line an event, to stderr."""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["json", "console"]


def configure_service_logs(service: str, form: LogFormat) -> None:
    """Log from `info` on as JSON (for a cluster) or as text (for a person).

    What libraries log from `warning` on joins in. Nobody may log a prompt or a secret.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
        processors=[*shared, *last],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*_of_library, *last], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # It warns of every callback that takes a tenth of a second, which on a busy node many do.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)


_of_library = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
