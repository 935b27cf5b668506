"""What disks and object stores raise, as the errors that cross borders."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EAGAIN, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC
from pathlib import Path

import pyarrow as pa

from services.runtime.errors import MatrixError, Rejected, Retryable

_PASSING = {EAGAIN, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC}
# Native libraries give the code of the operating system in their text only.
_CODE = re.compile(r"(?:os error |\[Errno |code: )(\d+)")
_LOST_RACE = re.compile(r"^Failed to commit transaction")
_REFUSED = re.compile(r"necessary privileges|valid authentication|\b40[13] [FU]")
_OBJECT_STORE = re.compile(r"Generic (?!DeltaTable|delta)\w+ error")


@contextmanager
def storage_errors(place: str | Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what storage raises at `place` into `Retryable` or `Rejected`.

    Args:
        place: The path or URI in use; begins the message.
        kinds: Exceptions of a storage library to turn, besides those of Python and Arrow.

    Raises:
        Retryable: Another commit won, the disk is full, the object store does not answer.
        Rejected: No permission, a path that cannot be, damaged files.
    """
    try:
        yield
    except MatrixError:
        raise
    except (OSError, pa.ArrowException, *kinds) as error:
        raise storage_error(place, error) from error


def storage_error(place: str | Path, error: Exception) -> Retryable | Rejected:
    """Classify one exception of storage, by its code if it has one and else by its text."""
    reason = _reason(error)
    code = os_error_code(error)
    if _LOST_RACE.search(reason):
        return Retryable(f"{place}: another commit won: {reason}; try again")
    if code in _PASSING:
        hint = "make room (disk space, quota, open files) and try again"
        return Retryable(f"{place}: {reason}; {hint}")
    remote = isinstance(error, OSError) or _OBJECT_STORE.search(reason)
    refused = isinstance(error, FileNotFoundError | PermissionError) or _REFUSED.search(reason)
    if remote and code is None and not refused:
        return Retryable(f"{place}: storage did not answer: {reason}; try again")
    hint = "check the path, the permissions and that nothing else wrote there"
    return Rejected(f"{place}: {reason}; {hint}")


def os_error_code(error: Exception) -> int | None:
    """Give the operating system's code of an error, None when it comes from elsewhere."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _CODE.search(str(error))
    return int(found[1]) if found else None


def _reason(error: Exception) -> str:
    """The message on one line, without the colours and the stack frames of native libraries."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = re.sub(r"\n\s*\d+: .*", "", text, flags=re.DOTALL)
    return " ".join(text.replace("↳", "<-").split()) or type(error).__name__
