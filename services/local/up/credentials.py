"""The secrets of a platform on one machine: made once, kept in files that only we can read."""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from services.local.servers.seaweedfs import Credentials
from services.runtime.errors import Rejected
from services.runtime.storage_errors import storage_errors

_TOKENS = {"replicas": "operate", "operator": "operate", "reader": "read"}
"""Callers of the services, and what they may do."""


@dataclass(frozen=True, slots=True)
class PlatformCredentials:
    """Keys of the object store, and tokens of those who call the services."""

    s3: Credentials
    replicas: SecretStr
    """What the services show each other."""
    callers_file: Path
    """Who may call them; holds digests, no tokens."""
    operator_token_file: Path
    """For the commands of this user."""


def platform_credentials(folder: Path) -> PlatformCredentials:
    """Return the secrets in `folder`, made if they are not there yet.

    Raises:
        Rejected: they cannot be kept there, or what is there is empty.
        Retryable: the disk is full.
    """
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        s3 = Credentials(
            _secret(folder / "s3-access-key", 12), _secret(folder / "s3-secret-key", 32)
        )
        tokens = {name: _secret(folder / f"{name}-token", 32) for name in _TOKENS}
        callers = folder / "callers.toml"
        _write(callers, "\n".join(_caller(name, token) for name, token in tokens.items()))
    return PlatformCredentials(
        s3, SecretStr(tokens["replicas"]), callers, folder / "operator-token"
    )


def _secret(path: Path, size: int) -> str:
    """Return the secret in a file, or a new one of `size` random bytes."""
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        found = secrets.token_hex(size)
        _write(path, found + "\n")
    if not found:
        raise Rejected(f"{path} is empty; restore it, or use another --dir")
    path.chmod(0o600)
    return found


def _write(path: Path, content: str) -> None:
    # Whole or not at all: a secret cut short by a full disk would be used for ever.
    scratch = path.with_name(path.name + ".new")
    with open(scratch, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
    scratch.replace(path)


def _caller(name: str, token: str) -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return (
        f'[[callers]]\nname = "{name}"\ntoken_sha256 = "{digest}"\n'
        f'permissions = ["{_TOKENS[name]}"]\n'
    )
