"""What lines of the log are about: fields that hold for all that happens inside a `with`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

from services.runtime import tracing

_NOTHING: Mapping[str, str] = {}
_bound: ContextVar[Mapping[str, str]] = ContextVar("matrix_log_context", default=_NOTHING)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every line that is logged inside, by whomever."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def add_context(
    _: object, method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Give a line the fields that are bound, and the ids of the span that it was logged in."""
    for name, value in _bound.get().items():
        line.setdefault(name, value)
    for name, value in (tracing.exemplar() or {}).items():
        line.setdefault(name, value)
    return line
