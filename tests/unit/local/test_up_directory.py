"""A platform's directory: one platform at a time, and always the same one."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from services.local.up.directory import Identity, UpDirectory
from services.runtime.errors import Rejected

IDENTITY = Identity(partitions=8, kafka="own", s3="own")


def test_a_second_platform_in_the_same_directory_is_refused_until_the_first_ends(
    tmp_path: Path,
) -> None:
    with UpDirectory(tmp_path / "up"):
        with pytest.raises(Rejected, match="another `matrix up` is at work in"):
            UpDirectory(tmp_path / "up").__enter__()
        with pytest.raises(Rejected, match="another `matrix up` is at work in"):
            UpDirectory(tmp_path / "up").__enter__()
    with UpDirectory(tmp_path / "up"):
        pass


def test_a_refused_second_platform_leaves_the_first_ones_endpoints(tmp_path: Path) -> None:
    with UpDirectory(tmp_path / "up") as directory:
        directory.endpoints.write_text("{}")
        with pytest.raises(Rejected):
            UpDirectory(tmp_path / "up").__enter__()
        assert directory.endpoints.exists()
    assert not directory.endpoints.exists()


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(Rejected, match=r"is not empty and holds no platform \(found 'thesis.tex'"):
        UpDirectory(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(IDENTITY, partitions=4), "--partitions is 8 there, 4 here"),
        (replace(IDENTITY, kafka="broker:9092"), "--kafka is 'own' there, 'broker:9092' here"),
        (replace(IDENTITY, s3="http://s3:9000"), "--s3 is 'own' there, 'http://s3:9000' here"),
    ],
)
def test_what_cannot_change_is_refused_with_both_values(
    changed: Identity, message: str, tmp_path: Path
) -> None:
    with UpDirectory(tmp_path / "up") as directory:
        directory.claim(IDENTITY)
        directory.claim(IDENTITY)
        with pytest.raises(Rejected, match=message):
            directory.claim(changed)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"partitions": 8}'])
def test_a_damaged_manifest_is_told(content: bytes, tmp_path: Path) -> None:
    with UpDirectory(tmp_path / "up") as directory:
        (directory.path / "up.json").write_bytes(content)
        with pytest.raises(Rejected, match="is damaged"):
            directory.claim(IDENTITY)


def test_nobody_else_can_look_into_it(tmp_path: Path) -> None:
    with UpDirectory(tmp_path / "up") as directory:
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_a_log_goes_on_until_it_has_grown_large(tmp_path: Path) -> None:
    with UpDirectory(tmp_path / "up") as directory:
        log = directory.log("agent_state-0")
        log.write_text("before")
        assert directory.log("agent_state-0").read_text() == "before"
        with log.open("wb") as file:
            file.truncate(11 * 1024 * 1024)
        assert not directory.log("agent_state-0").exists()
        assert (directory.logs / "agent_state-0.log.1").exists()
