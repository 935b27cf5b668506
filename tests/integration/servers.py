"""Real servers of this test session: started by the first test that needs them, ended with it."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.local.servers.process import ServerProcess
from services.local.servers.seaweedfs import Credentials, SeaweedFS
from services.local.servers.tansu import Tansu
from services.runtime.object_store import prepare_bucket
from services.runtime.settings import ObjectStoreSettings

CREDENTIALS = Credentials("test-access-key", "test-secret-4f1c9b27")


def wait_for(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end what no test's event loop is to know."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def freeze(process: ServerProcess) -> None:
    """Stop every thread of a server; it answers nothing until it is thawed."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 20
    threads = Path(f"/proc/{process.pid}/task")
    while not all(_state(thread) == "T" for thread in threads.iterdir()):
        assert time.monotonic() < deadline, f"{process.name} does not stop"


def thaw(process: ServerProcess) -> None:
    """Let a frozen server go on."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def fresh_name(prefix: str) -> str:
    """Return a name that no other test uses, fit for buckets, topics and consumer groups."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def fresh_bucket(server: SeaweedFS, versioned: bool = True) -> ObjectStoreSettings:
    """Make a bucket of its own for a test."""
    settings = server.settings(fresh_name("bucket"))
    wait_for(prepare_bucket(settings, versioned))
    return settings


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """An S3 server; tests that stop or break it start their own."""
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"), CREDENTIALS)
    wait_for(server.start())
    yield server
    wait_for(server.kill())


@pytest.fixture(scope="session")
def tansu(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    """A broker that keeps its messages on `seaweedfs`; tests that kill it start their own."""
    log = fresh_bucket(seaweedfs, versioned=False)
    server = Tansu(tmp_path_factory.mktemp("tansu"), log)
    wait_for(server.start())
    yield server
    wait_for(server.kill())


@pytest.fixture(scope="session")
def tansu_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    """A broker that keeps its messages in memory, the quicker one."""
    server = Tansu(tmp_path_factory.mktemp("tansu-memory"))
    wait_for(server.start())
    yield server
    wait_for(server.kill())


@pytest.fixture
def bucket(seaweedfs: SeaweedFS) -> ObjectStoreSettings:
    """A fresh bucket with versioning."""
    return fresh_bucket(seaweedfs)
