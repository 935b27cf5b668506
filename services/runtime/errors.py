"""The three kinds of error that cross a border; anything else is a bug and ends the process.

Messages say what was wrong, with which value, and what to do about it.
"""


class MatrixError(Exception):
    """What a caller can act upon."""


class Retryable(MatrixError):
    """The same request may succeed later: a busy model, a broken connection."""


class NotOwner(Retryable):
    """The state that was to be written is somebody else's now: what is in work for it is void."""


class Rejected(MatrixError):
    """The same request will never succeed: bad input, a refused prompt, a full quota."""


class Unprepared(Rejected):
    """The request may succeed once something else is done first; the message says what."""


class NotFound(MatrixError):
    """What was asked for is not here."""
