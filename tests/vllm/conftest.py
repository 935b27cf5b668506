"""One vLLM server for all that is asked of it."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime.errors import MatrixError
from tests.vllm.install import MISSING, python_of
from tests.vllm.server import ENVIRONMENT, VllmServer, safetensors

LOG = Path(__file__).parents[2] / "data" / "vllm" / "vllm.log"


def missing() -> str:
    """Return what this machine lacks for a vLLM server; empty when there is nothing."""
    note = ENVIRONMENT / MISSING
    if note.exists():
        return note.read_text().strip()
    if not python_of(ENVIRONMENT).exists():
        return f"{ENVIRONMENT} is not there: `make test-vllm` makes it"
    return ""


@pytest.fixture(scope="session")
def server() -> Iterator[VllmServer]:
    """A server that answers; tests are skipped, and say why, where there can be none."""
    if reason := missing():
        pytest.skip(f"vLLM cannot run here: {reason}")
    try:
        model = safetensors(ENVIRONMENT)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"the weights cannot be written as safetensors:\n{error.stdout.decode()}")
    except MatrixError as error:
        pytest.skip(f"no weights to serve: {error}")
    print(f"\nstarting vLLM with {model.name}; its log: {LOG}", flush=True)
    found = VllmServer(ENVIRONMENT, model, LOG)
    try:
        asyncio.run(found.start())
        yield found
    finally:
        asyncio.run(found.stop())
