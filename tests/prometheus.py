"""Debian's Prometheus for tests: found on PATH, or unpacked from its package into a cache."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.local.servers.process import free_ports

Target = tuple[str, Mapping[str, str]]
"""`host:port`, and the labels of what answers there."""
_FETCH_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as Prometheus has evaluated it."""

    name: str
    expression: str
    alerts: bool
    """False of one that records."""
    state: str
    """`pending` or `firing` of an alert; else empty."""
    error: str


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`; skip the test, with the reason, without it."""
    if found := shutil.which(name):
        return found
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = caches / "matrix" / "prometheus"
    path = cache / "usr" / "bin" / name
    if not path.is_file():
        if reason := _unpack(cache):
            pytest.skip(f"{name} is not on PATH and its package cannot be had: {reason}")
        if not path.is_file():
            pytest.skip(f"Debian's package of prometheus has no {name}")
    return str(path)


def _unpack(cache: Path) -> str:
    """Download and unpack the package, which needs no rights; return why that cannot be."""
    cache.mkdir(parents=True, exist_ok=True)
    for command in (["apt-get", "download", "prometheus"], ["dpkg", "-x", "*.deb", "."]):
        found = [str(path) for word in command for path in _expanded(cache, word)]
        try:
            done = subprocess.run(
                found, cwd=cache, capture_output=True, text=True, timeout=_FETCH_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return done.stderr.strip()[-300:]
    return ""


def _expanded(cache: Path, word: str) -> Sequence[Path | str]:
    return sorted(cache.glob(word))[-1:] if "*" in word else [word]


@asynccontextmanager
async def prometheus(
    folder: Path, jobs: Mapping[str, Sequence[Target]], rules: Sequence[Path] = ()
) -> AsyncIterator[str]:
    """Run a Prometheus that asks the targets of each job every second; yields its address."""
    binary = program("prometheus")
    folder.mkdir()  # noqa: ASYNC240 - nothing else goes on in the loop
    (port,) = free_ports(1)
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": job,
                "static_configs": [
                    {"targets": [address], "labels": dict(labels)} for address, labels in targets
                ],
            }
            for job, targets in jobs.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(_ready, url):
                assert process.returncode is None, (folder / "prometheus.log").read_text()[-2000:]
                await asyncio.sleep(0.1)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def rules(url: str) -> list[Rule]:
    """Return the rules of a Prometheus, evaluated at least once."""
    async with asyncio.timeout(60):
        while True:
            groups = await asyncio.to_thread(_rule_groups, url)
            found = [rule for group in groups for rule in group["rules"]]
            if all(rule["health"] != "unknown" for rule in found):
                break
            await asyncio.sleep(0.2)
    return [
        Rule(
            rule["name"],
            rule["query"],
            rule["type"] == "alerting",
            rule.get("state", "").replace("inactive", ""),
            rule.get("lastError", ""),
        )
        for rule in found
    ]


def _rule_groups(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=30) as answer:
        return json.load(answer)["data"]["groups"]


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
            return True
    except OSError:
        return False
