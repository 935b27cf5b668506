"""The callers file: what it says, and what it refuses without showing its values."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.callers import Caller, Callers, read_callers
from services.runtime.errors import Rejected

TOKEN = "0123456789abcdef"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


def written(folder: Path, text: str) -> Path:
    path = folder / "callers.toml"
    path.write_text(text)
    return path


def test_a_caller_is_found_by_its_token_or_its_certificate(tmp_path: Path) -> None:
    callers = read_callers(
        written(
            tmp_path,
            f"[[callers]]\nname = 'a'\ntoken_sha256 = '{DIGEST}'\npermissions = ['read']\n"
            "[[callers]]\nname = 'b'\ncertificate = 'b.test'\npermissions = ['operate']\n",
        )
    )
    by_token = callers.by_token(TOKEN)
    assert by_token is not None
    assert (by_token.name, by_token.may("read"), by_token.may("operate")) == ("a", True, False)
    by_name = callers.by_certificate(["other.test", "b.test"])
    assert by_name is not None
    assert (by_name.name, by_name.may("read"), by_name.may("operate")) == ("b", True, True)
    assert callers.by_certificate(["a", ""]) is None


@given(st.text())
def test_no_other_text_is_the_token_and_none_is_a_missing_one(shown: str) -> None:
    callers = Callers(
        callers=(
            Caller(name="a", token_sha256=DIGEST, permissions=frozenset({"read"})),
            Caller(name="b", certificate="b.test", permissions=frozenset({"read"})),
        )
    )
    assert (callers.by_token(shown) is not None) == (shown == TOKEN)
    assert (callers.by_certificate([shown]) is not None) == (shown == "b.test")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[callers]\n", "TOML"),
        ("", "callers: Field required"),
        ("[[callers]]\nname = 'a'\npermissions = ['read']\n", "neither token_sha256 nor"),
        (f"[[callers]]\nname = 'a'\ntoken = '{TOKEN}'\npermissions = []\n", "0.token"),
        (
            f"[[callers]]\nname = 'a'\ntoken_sha256 = '{TOKEN}'\npermissions = ['read']\n",
            "0.token_sha256",
        ),
        (
            f"[[callers]]\nname = 'a'\ntoken_sha256 = '{DIGEST}'\npermissions = ['write']\n",
            "0.permissions",
        ),
        (
            f"[[callers]]\nname = 'a'\ntoken_sha256 = '{DIGEST}'\npermissions = ['read']\n"
            f"[[callers]]\nname = 'b'\ntoken_sha256 = '{DIGEST}'\npermissions = ['read']\n",
            "two callers have the same token_sha256",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_place_and_without_its_values(
    tmp_path: Path, text: str, words: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(Rejected) as caught:
        read_callers(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert DIGEST not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"none\.toml: No such file"):
        read_callers(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "callers.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Rejected, match="UnicodeDecodeError"):
        read_callers(path)
