"""What commands say where there is nothing, something else, or a wrong name."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.cli import main
from services.local.servers.process import free_port
from services.local.up.endpoints import Endpoints, write_endpoints
from tests.e2e.conftest import command
from tests.e2e.driving import Ended
from tests.e2e.reading import rows

Here = Callable[..., Ended]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """Run `matrix` in this process, which spares its start."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["matrix", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        code, told = end.value.code, capfd.readouterr()
        assert isinstance(code, int)
        return Ended(code, " ".join((told.out + told.err).split()))

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that made three samples."""
    out = tmp_path_factory.mktemp("made") / "data"
    order = ("--agents", "6", "--samples", "3", "--out", out)
    subprocess.run(command("run", "--model", "simulated", *order), capture_output=True, check=True)
    return out


COMMANDS = (
    ("datasets", "list"),
    ("datasets", "show", "sft"),
    ("datasets", "export", "sft", "--to", "export"),
    ("trace", "some-id"),
)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_directory_without_a_run_is_named_and_nothing_is_made_there(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign" / "datasets" / "photos").mkdir(parents=True)
    (tmp_path / "foreign" / "datasets" / "photos" / "cat.jpg").write_text("cat")
    before = sorted(tmp_path.rglob("*"))
    for out in ("missing", "empty", "foreign"):
        told = f"error: {out} holds no run; give the directory of one with --out"
        assert here(*arguments, "--out", out) == Ended(2, told)
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_run_and_a_platform_both_ways_out_are_told(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MATRIX_SERVER", raising=False)
    for arguments in COMMANDS:
        refused = here(*arguments)
        assert refused.code == 2
        assert "no `matrix up` runs in data/up, and data holds no run" in refused.told
    assert not list(tmp_path.iterdir())


def test_a_platform_that_was_killed_is_told_with_the_file_that_names_it(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MATRIX_SERVER", raising=False)
    address = f"127.0.0.1:{free_port()}"
    services = ("instruction_generation", "reward_filtering")
    (tmp_path / "data" / "up").mkdir(parents=True)
    write_endpoints(
        tmp_path / "data" / "up" / "endpoints.json",
        Endpoints(dict.fromkeys(services, (address,))),
    )
    for arguments in COMMANDS:
        refused = here(*arguments)
        assert refused.code == 2
        assert f"at {address} cannot be reached" in refused.told
        assert "address from data/up/endpoints.json: does `matrix up` still run?" in refused.told
    both = here("datasets", "list", "--out", tmp_path, "--server", address)
    assert (both.code, "give one of them" in both.told) == (2, True)


def test_a_log_of_another_program_is_named_and_left_alone(here: Here, tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("Dear diary")
    refused = here("trace", "some-id", "--out", tmp_path)
    assert refused.code == 2
    assert f"error: {tmp_path / 'log.db'}: file is not a database" in refused.told
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]
    assert (tmp_path / "log.db").read_text() == "Dear diary"


@pytest.mark.parametrize("name", ["domain", "../data", ".", ""])
def test_an_unknown_dataset_is_told_with_those_there_are(here: Here, made: Path, name: str) -> None:
    for arguments in (("show", name), ("export", name, "--to", made.parent / "export")):
        refused = here("datasets", *arguments, "--out", made)
        assert refused == Ended(2, f"error: no dataset {name!r} in {made}; there are: sft")
    assert not (made.parent / "export").exists()


def test_an_unknown_sample_is_told_with_one_that_is_known(here: Here, made: Path) -> None:
    refused = here("trace", "704cb4fa", "--out", made)
    assert refused.code == 2
    assert f"no sample '704cb4fa' in {made}; there are 3 in sft, for instance " in refused.told
    known = refused.told.partition("for instance ")[2].partition(";")[0]
    assert known in {row["id"] for row in rows(made)}
    traced = here("trace", known, "--out", made)
    assert traced.code == 0
    assert "actions and messages" in traced.told


def test_a_run_that_has_made_nothing_yet_is_no_error(here: Here, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    listed = here("datasets", "list", "--out", tmp_path)
    assert listed == Ended(0, f"no datasets in {tmp_path} yet")
    assert here("datasets", "show", "sft", "--out", tmp_path).code == 2


def test_an_export_replaces_an_earlier_one_and_nothing_else(
    here: Here, made: Path, tmp_path: Path
) -> None:
    export = ("datasets", "export", "sft", "--out", made, "--to")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for target in (mine, made, tmp_path / "file"):
        refused = here(*export, target)
        assert refused.code == 2
        assert f"error: {target}: " in refused.told
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]
    for _ in range(2):
        exported = here(*export, tmp_path / "export", "--format", "jsonl")
        assert exported == Ended(0, f"3 samples in {tmp_path / 'export'}")
    lines = (tmp_path / "export" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--name", "../elsewhere"), "dataset name '../elsewhere' cannot be a folder's name"),
        (("--name", "a/b"), "dataset name 'a/b' cannot be a folder's name"),
        (("--kind", "poetry"), "unknown dataset kind 'poetry'; known: code, domain, dpo"),
        (("--kind", "domain"), "kind 'domain' needs a requirement text"),
        (("--requirement", "ships"), "kind 'sft' takes no requirement"),
    ],
)
def test_an_order_that_cannot_be_filled_is_refused_before_anything_is_made(
    here: Here, tmp_path: Path, wrong: tuple[str, str], told: str
) -> None:
    refused = here("run", "--model", "simulated", *wrong, "--out", tmp_path / "data")
    assert refused.code == 2
    assert told in refused.told
    assert not list(tmp_path.iterdir())


def test_a_simulated_model_that_cannot_be_served_is_refused(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = here("simulate-model", "--port", str(port))
    assert refused.code == 2
    assert f"cannot listen on 127.0.0.1:{port}: " in refused.told
    assert "address already in use" in refused.told
    refused = here("simulate-model", "--garbage", "0.7", "--hang", "0.7")
    assert refused.code == 2
    assert "at most 1 together, got 1.4" in refused.told
