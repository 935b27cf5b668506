"""`matrix up`: comes up, survives deaths of its processes, keeps its secrets, leaves nothing."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import command
from tests.e2e.driving import ended
from tests.prometheus import program

DEADLINE_SECONDS = 120
SERVICES = (
    *("agent_state", "message_modulation", "scenario_extraction"),
    *("instruction_generation", "reward_filtering"),
)


class Up:
    """A platform at work, and what it has told."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.told: list[str] = []

    async def until_told(self, *words: str) -> str:
        """Wait for a line that holds all the words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                self.told.append(line)
                if all(word in line for word in words):
                    return line
        raise AssertionError(f"{words} was not told: {''.join(self.told)}")

    async def end(self) -> int:
        """Wait for the end, and return the exit code."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            rest, _ = await self.process.communicate()
        self.told.append(rest.decode())
        assert self.process.returncode is not None
        return self.process.returncode

    def children(self) -> dict[int, str]:
        """Return the command lines of the processes that it has started."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and parent_of(int(entry.name)) == self.process.pid:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
        return found

    def child(self, name: str) -> int:
        """Return the process whose command line holds a name."""
        return next(pid for pid, line in self.children().items() if name in line)

    def addresses(self) -> dict[str, list[str]]:
        """Return where the services listen."""
        fields = json.loads((self.folder / "endpoints.json").read_text())
        return {name: fields[name] for name in SERVICES}

    def secrets(self) -> set[str]:
        """Return all that nobody else may see."""
        files = (self.folder / "credentials").iterdir()
        return {path.read_text().strip() for path in files if path.name != "callers.toml"}


def installed() -> str:
    """Return the path of a Prometheus; empty where none can be had."""
    try:
        return program("prometheus")
    except pytest.skip.Exception:
        return ""


@asynccontextmanager
async def platform(folder: Path, *more: str, prometheus: str = "") -> AsyncIterator[Up]:
    options = ("--model", "simulated", "--agents", "12", "--partitions", "4", *more)
    # Where there is none, one on PATH would not be none.
    path = os.environ["PATH"] if prometheus else str(Path(sys.executable).parent)
    process = await asyncio.create_subprocess_exec(
        *command("up", "--dir", folder, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "MATRIX_PROMETHEUS": prometheus, "PATH": path},
    )
    try:
        yield Up(process, folder)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def parent_of(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[1])


async def until_gone(pids: dict[int, str]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while left := [pid for pid in pids if parent_of(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        await asyncio.sleep(0.02)


def is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


async def test_a_platform_comes_up_heals_and_ends_with_nothing_left(tmp_path: Path) -> None:
    folder, prometheus = tmp_path / "up", installed()
    processes = 3 + len(SERVICES) + bool(prometheus)
    async with platform(folder, prometheus=prometheus) as up:
        looked_at = await up.until_told("metrics:")
        assert ("Prometheus at" if prometheus else "no Prometheus is installed") in looked_at
        await up.until_told("society: 12 people in")
        await up.until_told("Next: matrix datasets create", f"--server {folder}/endpoints.json")
        addresses, children, secrets = up.addresses(), up.children(), up.secrets()
        assert len(children) == processes
        assert len(secrets) == 5
        assert not any(secret in line for secret in secrets for line in children.values())
        for path in (folder / "credentials").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

        second = await ended("up", "--dir", folder, "--model", "simulated")
        assert second.code == 2
        assert "another `matrix up` is at work in" in second.told

        await figures_are_shown(folder / "endpoints.json")
        if prometheus:
            await metrics_are_collected(up)

        os.kill(up.child("message_modulation"), signal.SIGKILL)
        await up.until_told("message_modulation-0 ended with signal 9; it is started again")
        await up.until_told("message_modulation-0 is ready")
        assert up.addresses() == addresses

        children |= up.children()
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
        await until_gone(children)
    assert all(is_free(address) for replicas in addresses.values() for address in replicas)
    assert not prometheus or is_free(looked_at.partition("http://")[2].partition(",")[0])
    assert not (folder / "endpoints.json").exists()
    logs = [path.read_text(errors="replace") for path in (folder / "logs").iterdir()]
    assert len(logs) == processes
    assert not any(secret in text for secret in secrets for text in (*logs, *up.told))


async def figures_are_shown(endpoints: Path) -> None:
    """An order is seen to fill, by a person and by a script."""
    where = ("--server", endpoints)
    ordered = await ended("datasets", "create", "seen", "--kind", "sft", "--size", "200", *where)
    assert ordered.code == 0, ordered.told
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        told = await ended("top", "--once", "--json", *where)
        assert told.code == 0, told.told
        now = json.loads(told.told)
        (seen,) = now["datasets"] or [{"samples": 0}]
        if seen["samples"] and now["store"]["commits"]:
            break
        assert time.monotonic() < deadline, told.told
    assert (seen["name"], seen["size"], seen["acceptance_since_start"] > 0) == ("seen", 200, True)
    assert seen["tokens_per_sample"] > 0
    assert {each["service"]: each["ready"] for each in now["services"]} == dict.fromkeys(
        SERVICES, 1
    )
    assert all(each["memory_bytes"] and each["restores"] for each in now["services"])
    assert now["society"]["agents"] == 12
    assert {each["role"] for each in now["models"]["roles"]} >= {"simulator", "teacher"}
    assert now["models"]["servers"]
    assert (now["models"]["given_up"], now["silent"]) == (0, [])
    shown = await ended("top", "--once", *where)
    assert shown.code == 0
    assert "seen " in shown.told
    assert "12 agents" in shown.told


async def metrics_are_collected(up: Up) -> None:
    """Prometheus finds each replica and the model server, and is back soon after it was killed."""
    fields = json.loads((up.folder / "endpoints.json").read_text())
    expected = {(name, "0", address) for name in SERVICES for address in fields["metrics"][name]}
    await until_collected(fields["prometheus"], expected)
    killed = up.child("--storage.tsdb.path")
    os.kill(killed, signal.SIGKILL)
    await up.until_told("prometheus ended with signal 9; it is started again")
    await up.until_told("prometheus is ready")
    assert up.child("--storage.tsdb.path") != killed
    await until_collected(fields["prometheus"], expected)


async def until_collected(url: str, expected: set[tuple[str, str, str]]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        targets = await asyncio.to_thread(targets_of, url)
        if targets and all(target["health"] == "up" for target in targets):
            break
        assert time.monotonic() < deadline, targets
        await asyncio.sleep(0.2)
    labels = [target["labels"] for target in targets]
    assert expected == {
        (each["component"], each["replica"], each["instance"])
        for each in labels
        if each["job"] == "matrix"
    }
    (model,) = [each for each in labels if each["job"] == "matrix-models"]
    assert model["role"] == "simulator"
    answer = await asyncio.to_thread(read, f"{url}/api/v1/query?query=sum(matrix_ready)")
    assert [float(each["value"][1]) for each in answer["data"]["result"]] == [len(SERVICES)]
    answer = await asyncio.to_thread(read, f"{url}/api/v1/query?query=vllm:num_requests_running")
    assert len(answer["data"]["result"]) == 1


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def targets_of(url: str) -> list[Any]:
    """Return what a Prometheus asks; nothing while it is starting."""
    try:
        found: list[Any] = read(f"{url}/api/v1/targets?state=active")["data"]["activeTargets"]
    except OSError:
        return []
    return found


async def test_a_killed_platform_takes_its_processes_along_and_comes_back_with_its_society(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "up"
    async with platform(folder, "--no-prometheus", prometheus="/dev/null") as up:
        society = (await up.until_told("society: 12 people in")).strip()
        children = up.children()
        assert len(children) == 3 + len(SERVICES)
        up.process.kill()
        await up.end()
        await until_gone(children)
    async with platform(folder) as up:
        assert (await up.until_told("society: 12 people")).strip() == f"{society}, found again"
        children = up.children()
        # One that cannot drain is waited for, unless Ctrl-C comes again.
        os.kill(up.child("reward_filtering"), signal.SIGSTOP)
        up.process.send_signal(signal.SIGTERM)
        await up.until_told("reward_filtering-0 is stopping")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
        await until_gone(children)


async def test_what_cannot_be_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    refused = await ended("up", "--dir", tmp_path / "foreign", "--model", "simulated")
    assert (refused.code, "holds no platform" in refused.told) == (2, True)
    refused = await ended("up", "--dir", tmp_path / "up", "--model", "http://127.0.0.1:1")
    assert (refused.code, "http://127.0.0.1:1: " in refused.told) == (2, True)
    assert not list((tmp_path / "up" / "logs").iterdir())
