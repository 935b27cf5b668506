"""Who we are to a platform: token and certificates.

The token comes from MATRIX_TOKEN, the file of MATRIX_TOKEN_FILE or the one that `matrix up` wrote;
it is never an argument, because arguments are seen by everybody on a machine.
"""

import os
from pathlib import Path

from pydantic import SecretStr

from services.runtime.errors import Rejected
from services.runtime.grpc_channels import Access


def own_access(token_file: Path | None, ca: Path | None) -> Access:
    """Return what to show to servers, and whom to trust.

    Args:
        token_file: what `matrix up` wrote, if anything; the environment comes before it.
        ca: authorities of the servers' certificates; else MATRIX_CA_FILE.

    Raises:
        Rejected: the token's file cannot be read.
    """
    return Access(
        ca or _file("MATRIX_CA_FILE"),
        _file("MATRIX_CERT_FILE"),
        _file("MATRIX_KEY_FILE"),
        _token(token_file),
    )


def _file(variable: str) -> Path | None:
    named = os.environ.get(variable, "")
    return Path(named) if named else None


def _token(written: Path | None) -> SecretStr:
    if token := os.environ.get("MATRIX_TOKEN", ""):
        return SecretStr(token)
    named = _file("MATRIX_TOKEN_FILE")
    path = named or written
    if path is None:
        return SecretStr("")
    try:
        return SecretStr(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        where = "MATRIX_TOKEN_FILE" if named else "the endpoints file"
        raise Rejected(f"token file {path} (named by {where}): {reason}") from None
