"""Prometheus: keeps the metrics of processes on this machine for a while, and answers queries.

It is no Python package: it is used where it is installed.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from services.local.servers.process import (
    LOOPBACK,
    ServerProcess,
    free_port,
    inherited_environment,
)
from services.runtime.errors import Rejected
from services.runtime.storage_errors import storage_errors

PROGRAM_VARIABLE = "MATRIX_PROMETHEUS"
"""Path of the program, where it is not on PATH."""
RETENTION_VARIABLE = "MATRIX_PROMETHEUS_RETENTION"
"""How long it keeps what it has seen, as 24h or 15d."""
HOW_TO_GET_IT = (
    f"no Prometheus is installed: apt-get install prometheus, or {PROGRAM_VARIABLE}=/its/path"
)
PLATFORM_JOB, MODELS_JOB = "matrix", "matrix-models"

_RETENTION = "24h"
_DURATION = re.compile(r"[1-9]\d*(ms|s|m|h|d|w|y)")
_SCRAPE_SECONDS = 5
_READY_SECONDS = 1.0
RULES = Path(__file__).parents[3] / "ops" / "alerts.yaml"
"""There in a checkout; an installed package has none."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process whose metrics are collected."""

    address: str
    """`host:port`."""
    labels: dict[str, str]
    job: str = PLATFORM_JOB
    path: str = "/metrics"
    scheme: str = "http"


def replica_target(component: str, replica: int, address: str) -> Target:
    """Return the target that a replica of a service is."""
    return Target(address, {"component": component, "replica": str(replica)})


def model_target(role: str, url: str) -> Target:
    """Return the target that a model server is, given its base address."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    path = f"{parts.path.rstrip('/').removesuffix('/v1')}/metrics"
    return Target(f"{host}:{port}", {"role": role}, MODELS_JOB, path, parts.scheme)


def prometheus_program() -> Path | None:
    """Return the path of an installed Prometheus; None where there is none.

    Raises:
        Rejected: MATRIX_PROMETHEUS names something else than a program.
    """
    named = os.environ.get(PROGRAM_VARIABLE, "")
    found = shutil.which(named or "prometheus")
    if named and found is None:
        raise Rejected(f"{PROGRAM_VARIABLE} is {named!r}: there is no such program")
    return Path(found).absolute() if found else None


def retention() -> str:
    """Return how long metrics are kept.

    Raises:
        Rejected: the environment says something else than a duration.
    """
    given = os.environ.get(RETENTION_VARIABLE, "") or _RETENTION
    if _DURATION.fullmatch(given) is None:
        raise Rejected(f"{RETENTION_VARIABLE} is {given!r}: give a duration as 24h or 15d")
    return given


@dataclass(slots=True)
class Prometheus:
    """A Prometheus on loopback; it keeps its port over restarts, and its data in a directory."""

    program: Path
    directory: Path
    """Of its configuration and its data."""
    targets: Sequence[Target]
    kept: str = _RETENTION
    port: int = field(default_factory=free_port)
    rules: Path | None = None
    """Of recording and alerting rules; None: no rules."""
    process: ServerProcess = field(init=False)

    def __post_init__(self) -> None:
        self.process = ServerProcess(
            "Prometheus",
            [
                str(self.program),
                f"--config.file={self.directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                f"--storage.tsdb.retention.time={self.kept}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                # Exemplars lead from a histogram to a trace.
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            self.directory / "prometheus.log",
            # Reading what it has kept may take long, and is no reason to end it.
            self._runs,
            # Without a limit, Go lets garbage pile up to several times what is needed.
            inherited_environment() | {"GOMEMLIMIT": "256MiB"},
        )

    @property
    def url(self) -> str:
        """Where people and programs look."""
        return f"http://{LOOPBACK}:{self.port}"

    async def ready(self) -> bool:
        """Return whether it answers queries: it listens before it has read what it has kept."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_READY_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                try:
                    writer.write(b"GET /-/ready HTTP/1.0\r\n\r\n")
                    return b" 200 " in await reader.readline()
                finally:
                    writer.close()
        return False

    def prepare(self) -> None:
        """Write what it reads.

        Raises:
            Rejected: the directory cannot be written.
            Retryable: the disk is full.
        """
        with storage_errors(self.directory):
            (self.directory / "data").mkdir(parents=True, exist_ok=True)
            for job in (PLATFORM_JOB, MODELS_JOB):
                _write(self._file(job), [_static(each) for each in self.targets if each.job == job])
            # JSON is YAML as well.
            _write(self.directory / "prometheus.yml", self.configuration())

    async def start(self) -> None:
        """Write what it needs, and start it; `ready` says when it answers.

        Raises:
            Rejected: it runs already, or the directory cannot be written.
            Retryable: the disk is full.
        """
        self.prepare()
        await self.process.start()

    async def stop(self) -> None:
        """End it in order."""
        await self.process.stop()

    async def _runs(self) -> bool:
        return self.process.pid is not None

    def configuration(self) -> dict[str, object]:
        """Return what it is told to do."""
        return {
            "global": {
                "scrape_interval": f"{_SCRAPE_SECONDS}s",
                "evaluation_interval": f"{_SCRAPE_SECONDS}s",
            },
            "rule_files": [str(self.rules)] if self.rules is not None else [],
            "scrape_configs": [
                {"job_name": job, "file_sd_configs": [{"files": [str(self._file(job))]}]}
                for job in (PLATFORM_JOB, MODELS_JOB)
            ],
        }

    def _file(self, job: str) -> Path:
        return self.directory / f"{job}.json"


def _static(target: Target) -> dict[str, object]:
    own = {"__metrics_path__": target.path, "__scheme__": target.scheme}
    return {"targets": [target.address], "labels": {**target.labels, **own}}


def _write(path: Path, content: object) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    scratch.replace(path)
