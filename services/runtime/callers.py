"""Who may call what: the callers file.

A TOML file, named by MATRIX_GRPC__CALLERS_FILE:

    [[callers]]
    name = "dashboard"
    token_sha256 = "b3c1..."      # printf %s "$TOKEN" | sha256sum
    permissions = ["read"]

    [[callers]]
    name = "replicas"
    certificate = "agent-state.matrix.svc"    # common name or subject alternative name
    permissions = ["operate"]                  # what may operate may read

Tokens are random (32 characters or more), since their digests are not salted.
"""

import hashlib
import hmac
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.runtime.errors import Rejected

Permission: TypeAlias = Literal["read", "operate"]


class Caller(BaseModel):
    """One caller, known by a token, a certificate or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    token_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$", repr=False)
    """SHA-256 of the bearer token, in hex digits."""
    certificate: str = ""
    """Common name, or a subject alternative name, of the caller's certificate."""
    permissions: frozenset[Permission]

    def may(self, permission: Permission) -> bool:
        """Return whether the caller has a permission; `operate` includes `read`."""
        return permission in self.permissions or "operate" in self.permissions


class Callers(BaseModel):
    """All callers of a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    callers: tuple[Caller, ...]

    def by_token(self, token: str) -> Caller | None:
        """Return whose token it is; takes equally long whoever it is."""
        return self._first("token_sha256", [hashlib.sha256(token.encode()).hexdigest()])

    def by_certificate(self, names: Iterable[str]) -> Caller | None:
        """Return whose certificate has one of the names."""
        return self._first("certificate", names)

    def _first(self, field: str, shown: Iterable[str]) -> Caller | None:
        found: Caller | None = None
        for value in shown:
            for caller in self.callers:
                known: str = getattr(caller, field)
                same = hmac.compare_digest(known.encode(), value.encode())
                found = caller if same and known and found is None else found
        return found


def read_callers(path: Path) -> Callers:
    """Read a callers file.

    Raises:
        Rejected: it cannot be read or used; the message shows nothing of its values.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        where = f" {error}" if isinstance(error, tomllib.TOMLDecodeError) else ""
        raise Rejected(f"callers file {path}: {reason}{where}: it is no readable TOML") from None
    try:
        read = Callers.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_context=False)
        )
        raise Rejected(f"callers file {path}: {problems}") from None
    _check(path, read.callers)
    return read


def _check(path: Path, callers: tuple[Caller, ...]) -> None:
    for caller in callers:
        if not caller.token_sha256 and not caller.certificate:
            raise Rejected(
                f"callers file {path}: caller {caller.name!r} has neither token_sha256 nor "
                "certificate: nobody could ever be it"
            )
    for field in ("name", "token_sha256", "certificate"):
        values = [value for caller in callers if (value := getattr(caller, field))]
        if len(values) != len(set(values)):
            raise Rejected(f"callers file {path}: two callers have the same {field}")
