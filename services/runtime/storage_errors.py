"""What disks and object stores raise, as the errors that cross borders."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EAGAIN, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC, EPERM, EROFS
from pathlib import Path

import pyarrow as pa

from services.runtime.errors import MatrixError, Rejected, Retryable

_FULL = {EAGAIN, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC}
_FORBIDDEN = {EACCES, EPERM, EROFS}
# Native libraries give the code of the operating system in their text only.
_CODE = re.compile(r"(?:os error |\[Errno |(?<!status )code: )(\d+)")
_LOST_RACE = re.compile(r"^Failed to commit transaction")
_REMOTE = re.compile(r"Generic (?!DeltaTable|delta|LocalFileSystem)\w+ error")
_DENIED = re.compile(
    r"necessary privileges|valid authentication|\b40[13] [FU]|NoSuchBucket|AccessDenied"
    r"|URL scheme is not allowed|invalid peer certificate|InvalidCertificate"
)
_NO_ROOM = re.compile(r"\b507 |StorageFull|QuotaExceeded|[Nn]o space left|[Nn]o writable volumes")
_MISSING = re.compile(r"\b404 Not Found")
_XML = re.compile(r"<(?:\?xml|Error)\b.*?(?:</Error>|$)", re.DOTALL)


class AccessDenied(Rejected):
    """Storage as a whole refuses us: wrong credentials, no permission, no such bucket."""


@contextmanager
def storage_errors(place: str | Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what storage raises at `place` into `Retryable` or `Rejected`.

    Args:
        place: The path or URI in use; begins the message.
        kinds: Exceptions of a storage library to turn, besides those of Python and Arrow.

    Raises:
        Retryable: Another commit won, storage is full, the object store does not answer.
        AccessDenied: No permission, wrong credentials, no such bucket.
        Rejected: A path that cannot be, damaged files.
    """
    try:
        yield
    except MatrixError:
        raise
    except (OSError, pa.ArrowException, *kinds) as error:
        raise storage_error(place, error) from error


def storage_error(place: str | Path, error: Exception) -> Retryable | Rejected:
    """Classify one exception of storage, by its code if it has one and else by its text."""
    reason, whole = _reason(error), str(error)
    if _LOST_RACE.search(reason):
        return Retryable(f"{place}: another commit won: {reason}; try again")
    remote, code = _REMOTE.search(whole) is not None, os_error_code(error)
    if _DENIED.search(whole) or isinstance(error, PermissionError) or code in _FORBIDDEN:
        hint = "check the permissions; of a bucket also the credentials and that it exists"
        return AccessDenied(f"{place}: {reason}; {hint}")
    if (code in _FULL and not remote) or _NO_ROOM.search(whole):
        hint = "make room (disk space, quota, open files) and try again"
        return Retryable(f"{place}: {reason}; {hint}")
    missing = isinstance(error, FileNotFoundError) or (remote and _MISSING.search(whole))
    if (remote or (isinstance(error, OSError) and code is None)) and not missing:
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
    """The message on one line, without the colours and the inner structures of native libraries."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = re.sub(r"\n\s*\d+: .*", "", text, flags=re.DOTALL)
    text = text.partition("\n\nDebug source:")[0]
    # Of a store's own answer only what is wrong: some stores put signed requests into it.
    text = _XML.sub(lambda found: _store_answer(found[0]), text)
    return " ".join(text.replace("↳", "<-").split()) or type(error).__name__


def _store_answer(xml: str) -> str:
    parts = (re.search(rf"<{tag}>([^<]*)", xml) for tag in ("Code", "Message"))
    return ": ".join(part[1] for part in parts if part)
