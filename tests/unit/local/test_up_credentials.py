"""Secrets of a platform: made once, for their owner's eyes only, known to the services."""

import stat
from pathlib import Path

import pytest

from services.local.up.credentials import platform_credentials
from services.runtime.callers import read_callers
from services.runtime.errors import Rejected


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_found_again(tmp_path: Path) -> None:
    first = platform_credentials(tmp_path / "credentials")
    again = platform_credentials(tmp_path / "credentials")
    assert again == first
    other = platform_credentials(tmp_path / "other")
    assert other.s3.secret_key != first.s3.secret_key
    assert other.replicas != first.replicas


def test_only_their_owner_can_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    platform_credentials(folder)
    loose = folder / "operator-token"
    loose.chmod(0o644)
    platform_credentials(folder)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        name: 0o600
        for name in (
            *("s3-access-key", "s3-secret-key", "callers.toml"),
            *("replicas-token", "operator-token", "reader-token"),
        )
    }


def test_services_know_the_callers_and_a_reader_may_only_read(tmp_path: Path) -> None:
    made = platform_credentials(tmp_path)
    callers = read_callers(made.callers_file)
    replica = callers.by_token(made.replicas.get_secret_value())
    operator = callers.by_token(made.operator_token_file.read_text().strip())
    reader = callers.by_token((tmp_path / "reader-token").read_text().strip())
    assert replica is not None
    assert operator is not None
    assert reader is not None
    assert (replica.may("operate"), operator.may("operate"), reader.may("operate")) == (
        *(True, True),
        False,
    )
    assert reader.may("read")


def test_no_secret_stands_in_the_callers_file_or_in_a_representation(tmp_path: Path) -> None:
    made = platform_credentials(tmp_path)
    secrets = [
        path.read_text().strip() for path in tmp_path.iterdir() if path.name != "callers.toml"
    ]
    assert len(secrets) == 5
    assert len({*secrets}) == 5
    shown = repr(made) + made.callers_file.read_text()
    assert not any(secret in shown for secret in secrets)


def test_an_empty_secret_is_refused_and_not_used(tmp_path: Path) -> None:
    platform_credentials(tmp_path)
    (tmp_path / "s3-secret-key").write_text("\n")
    with pytest.raises(Rejected, match="s3-secret-key is empty"):
        platform_credentials(tmp_path)
