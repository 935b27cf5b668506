"""A run's directory: whose it is, who is at work in it, and what a broken one is told."""

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.local.run_directory import Identity, Manifest, RunDirectory
from services.runtime.errors import Rejected, Retryable

IDENTITY = Identity(25, "built-in", "simulated", 7, "structured")

HOLDER = """
import sys
from pathlib import Path
from services.local.run_directory import RunDirectory

with RunDirectory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def claimed(path: Path, identity: Identity = IDENTITY) -> Manifest:
    with RunDirectory(path) as directory:
        return directory.claim(identity)


def test_a_directory_is_made_with_its_parents_and_remembers_its_run(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with RunDirectory(out) as directory:
        assert directory.manifest() is None
        assert directory.claim(IDENTITY) == Manifest(IDENTITY)
    assert claimed(out) == Manifest(IDENTITY)


def test_finished_orders_are_remembered_by_dataset(tmp_path: Path) -> None:
    claimed(tmp_path)
    with RunDirectory(tmp_path) as directory:
        for name in ("sft", "domain", "sft"):
            directory.mark(name, True)
        directory.mark("domain", False)
    assert claimed(tmp_path).finished == ("sft",)


def test_two_processes_cannot_work_in_one_directory(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Rejected, match=f"another run is at work in {tmp_path}"):
            claimed(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    assert claimed(tmp_path) == Manifest(IDENTITY)


def test_one_process_cannot_enter_twice_and_can_enter_again(tmp_path: Path) -> None:
    with RunDirectory(tmp_path), pytest.raises(Rejected, match="another run is at work"):
        claimed(tmp_path)
    with pytest.raises(ZeroDivisionError), RunDirectory(tmp_path):
        raise ZeroDivisionError
    claimed(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"agents": 26}, "agents is 25 there, 26 here"),
        ({"profiles": "ab12"}, "profiles is 'built-in' there, 'ab12' here"),
        ({"model": "big"}, "model is 'simulated' there, 'big' here"),
        ({"seed": 8, "deterministic": True}, "seed is 7 there, 8 here; deterministic is False"),
        ({"communication": "none"}, "communication is 'structured' there, 'none' here"),
    ],
)
def test_other_settings_are_named_and_change_nothing(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    claimed(tmp_path)
    with pytest.raises(Rejected) as caught:
        claimed(tmp_path, replace(IDENTITY, **change))
    assert told in str(caught.value)
    assert "another --out" in str(caught.value)
    assert claimed(tmp_path) == Manifest(IDENTITY)


def test_a_directory_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(Rejected, match=r"holds no run \(found 'thesis.tex'\)"):
        claimed(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("left", ["run.lock", "run.new", "llama.log"])
def test_what_a_run_leaves_that_broke_off_at_its_start_is_no_obstacle(
    tmp_path: Path, left: str
) -> None:
    (tmp_path / left).write_text('{"iden')
    assert claimed(tmp_path) == Manifest(IDENTITY)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"identity": {"agents": 25',
        "[]",
        "{}",
        '{"identity": {"agents": 25}, "finished": []}',
        json.dumps({"identity": {"colour": "red"}, "finished": []}),
    ],
)
def test_a_damaged_manifest_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    claimed(tmp_path)
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(Rejected, match=r"run\.json is damaged .*another --out"):
        claimed(tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(Rejected, match=r"run\.json: .*directory"):
        claimed(tmp_path)


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Rejected, match=f"{tmp_path / out}: .*another --out"):
        claimed(tmp_path / out)


def test_a_full_disk_is_told_and_keeps_what_was_noted(tmp_path: Path) -> None:
    claimed(tmp_path / "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(Retryable, match=r"run\.json: .*make room"):
            claimed(tmp_path / "new")
        with RunDirectory(tmp_path / "old") as directory, pytest.raises(Retryable):
            directory.mark("sft", True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert claimed(tmp_path / "new") == claimed(tmp_path / "old") == Manifest(IDENTITY)
