"""The directory of a platform: one platform at a time, and the same one again after a break."""

import fcntl
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import orjson

from services.runtime.errors import Rejected
from services.runtime.storage_errors import storage_errors

_LOCK = "up.lock"
_MANIFEST = "up.json"
_LOG_BYTES = 10 * 1024 * 1024
"""A log that is larger when the platform starts makes room for a new one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What cannot change under a society: where its messages and data are, and in what order."""

    partitions: int
    kafka: str
    """Address of the broker, or `own`."""
    s3: str
    """Address of the object store, or `own`."""


class UpDirectory:
    """Holds the lock of a directory while entered; only its owner can look into it.

    Raises:
        Rejected: it cannot be made, another process is at work in it, or it is no platform's.
    """

    def __init__(self, path: Path) -> None:
        # Processes of the platform must not depend on where they are started.
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def credentials(self) -> Path:
        """Folder of the secrets."""
        return self.path / "credentials"

    @property
    def logs(self) -> Path:
        """Folder of the logs, one a process."""
        return self.path / "logs"

    @property
    def endpoints(self) -> Path:
        """File that tells commands where the services listen; there while the platform runs."""
        return self.path / "endpoints.json"

    def __enter__(self) -> "UpDirectory":
        try:
            with storage_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                self._take()
                self.path.chmod(0o700)
                for folder in (self.credentials, self.logs):
                    folder.mkdir(exist_ok=True, mode=0o700)
                self.endpoints.unlink(missing_ok=True)  # of a platform that was killed
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.endpoints.unlink(missing_ok=True)
        self._release()

    def log(self, name: str) -> Path:
        """Return a process's log file, emptied if it had grown large; the old one is kept once."""
        path = self.logs / f"{name}.log"
        with storage_errors(path):
            if path.exists() and path.stat().st_size > _LOG_BYTES:
                path.replace(path.with_suffix(".log.1"))
        return path

    def claim(self, identity: Identity) -> None:
        """Make the directory this platform's, or find that it is.

        Raises:
            Rejected: it belongs to one with other settings, which the message names.
            Retryable: the disk is full.
        """
        path = self.path / _MANIFEST
        with storage_errors(path):
            known = path.read_bytes() if path.exists() else None
            if known is None:
                scratch = path.with_suffix(".new")
                scratch.write_bytes(orjson.dumps(identity, option=orjson.OPT_INDENT_2))
                scratch.replace(path)
                return
        try:
            old = asdict(Identity(**orjson.loads(known)))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise Rejected(f"{path} is damaged ({error}); use another --dir") from error
        new = asdict(identity)
        differing = [
            f"--{key} is {old[key]!r} there, {new[key]!r} here"
            for key in old
            if old[key] != new[key]
        ]
        if differing:
            raise Rejected(
                f"{self.path} holds another platform: {'; '.join(differing)}. "
                "Use the same settings to go on with it, or another --dir"
            )

    def _take(self) -> None:
        names = {entry.name for entry in self.path.iterdir()}
        if names and _LOCK not in names:
            raise Rejected(
                f"{self.path} is not empty and holds no platform (found {min(names)!r}); "
                "choose another directory with --dir"
            )
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Rejected(
                f"another `matrix up` is at work in {self.path}; use that one, end it, or choose "
                "another --dir"
            ) from None

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
