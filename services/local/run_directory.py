"""A run's directory: one run at a time, and the same run again after a break."""

import fcntl
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

import orjson

from services.runtime.errors import Rejected
from services.runtime.storage_errors import storage_errors

_MANIFEST = "run.json"
_LOCK = "run.lock"
_SCRATCH = "run.new"
_BEFORE_MANIFEST = {_LOCK, _SCRATCH, "llama.log"}
"""What a run that broke off at its start leaves behind; the last is the local model's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two runs the same run: they may share a directory."""

    agents: int
    profiles: str
    """`built-in`, or a fingerprint of the profile file."""
    model: str
    seed: int
    communication: str
    deterministic: bool = False
    embedding: str = ""
    """Model of the server of embeddings; empty for the one in the process."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a directory is about."""

    identity: Identity
    finished: tuple[str, ...] = ()
    """Datasets whose last order was filled and shown."""


class RunDirectory:
    """Holds the lock of a directory while entered.

    Raises:
        Rejected: it cannot be made, another process is at work in it, or it is not a run's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def log_path(self) -> Path:
        """The file of the embedded log."""
        return self.path / "log.db"

    @property
    def datasets(self) -> Path:
        """The folder of the dataset tables."""
        return self.path / "datasets"

    def __enter__(self) -> "RunDirectory":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self.path.iterdir()}
            foreign = sorted(names - _BEFORE_MANIFEST)
            if foreign and _MANIFEST not in names:
                raise Rejected(
                    f"{self.path} is not empty and holds no run (found {foreign[0]!r}); "
                    "choose another directory with --out"
                )
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._release()
            raise Rejected(
                f"another run is at work in {self.path}; wait for it, or use another --out"
            ) from error
        except OSError as error:
            self._release()
            raise Rejected(
                f"{self.path}: {error.strerror or error}; mend that, or choose another --out"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def manifest(self) -> Manifest | None:
        """Return what the directory is about; None when it is new.

        Raises:
            Rejected: the manifest cannot be read.
        """
        path = self.path / _MANIFEST
        with storage_errors(path):
            if not path.exists():
                return None
            content = path.read_bytes()
        try:
            fields = orjson.loads(content)
            return Manifest(Identity(**fields["identity"]), tuple(fields["finished"]))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Rejected(f"{path} is damaged ({error}); use another --out") from error

    def claim(self, identity: Identity) -> Manifest:
        """Make the directory this run's, or find that it is.

        Raises:
            Rejected: it belongs to a run with other settings, which the message names.
            Retryable: the disk is full.
        """
        known = self.manifest()
        if known is None:
            known = Manifest(identity)
            self._write(known)
        if known.identity != identity:
            old, new = asdict(known.identity), asdict(identity)
            differing = [
                f"{k} is {old[k]!r} there, {new[k]!r} here" for k in old if old[k] != new[k]
            ]
            raise Rejected(
                f"{self.path} belongs to another run: {'; '.join(differing)}. "
                "Use the same settings to go on with it, or another --out"
            )
        return known

    def grow(self, identity: Identity) -> None:
        """Note that the run has more people now.

        Raises:
            Rejected: the directory holds no run.
            Retryable: the disk is full.
        """
        known = self.manifest()
        if known is None:
            raise Rejected(f"{self.path} holds no run")
        self._write(replace(known, identity=identity))

    def mark(self, dataset: str, finished: bool) -> None:
        """Note whether a dataset's order was filled and shown.

        Raises:
            Rejected: the directory holds no run.
            Retryable: the disk is full.
        """
        known = self.manifest()
        if known is None:
            raise Rejected(f"{self.path} holds no run")
        others = tuple(name for name in known.finished if name != dataset)
        self._write(replace(known, finished=(*others, dataset) if finished else others))

    def _write(self, manifest: Manifest) -> None:
        path, scratch = self.path / _MANIFEST, self.path / _SCRATCH
        with storage_errors(path):
            scratch.write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
            scratch.replace(path)
