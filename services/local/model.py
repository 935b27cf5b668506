"""A real small LLM in this process: SmolLM2-135M-Instruct on llama.cpp, reached by HTTP."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services.local.minilm import INSTALL
from services.local.weights import fast_weights, weights
from services.runtime.errors import Rejected

SLOTS = 8
"""Calls at once; more do not raise the throughput of two cores."""
_CONTEXT = 2048
"""Tokens of prompt and answer of one call."""


@contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """Send what native code writes to stderr to a file: it would tear the live view."""
    sys.stderr.flush()
    saved = os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(target)


class LocalModel:
    """The server of the embedded model, on a free loopback port."""

    name = "SmolLM2-135M-Instruct"

    def __init__(self, log_path: Path, threads: int | None = None) -> None:
        self._log_path = log_path
        self._threads = threads or os.cpu_count() or 1
        self._server: Any = None

    async def start(self) -> str:
        """Load the model, and return the base address of its server.

        Raises:
            Rejected: llama.cpp or the weights are not installed, or do not load.
        """
        if find_spec("xllamacpp") is None:
            raise Rejected(f"--model local needs llama.cpp, which is not installed: {INSTALL}")
        return await asyncio.to_thread(self._load, fast_weights(weights()))

    def _load(self, path: Path) -> str:
        # llama.cpp's threads meet after every operation. By default they wait for each other by
        # spinning, and when anything else keeps one of them from its processor (our own event loop
        # will do) the others burn theirs: measured beside two busy processes, 6 times slower.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = _CONTEXT * SLOTS
        parameters.n_parallel = SLOTS
        parameters.port = 0
        parameters.model_alias = {self.name}
        parameters.cpuparams.n_threads = self._threads
        parameters.cpuparams_batch.n_threads = self._threads
        parameters.verbosity = 0
        # Left alone, so small a model falls into loops; callers that ask for sampling of their own
        # get it.
        parameters.sampling.top_p = 0.9
        parameters.sampling.min_p = 0.1
        parameters.sampling.penalty_repeat = 1.1
        parameters.sampling.dry_multiplier = 0.8
        try:
            with _quiet(self._log_path):
                self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise Rejected(f"{path} does not load: {error}; see {self._log_path}") from error
        return str(self._server.listening_address)

    async def stop(self) -> None:
        """Free the model; calls in flight break off."""
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(_drop, server, self._log_path)


def _drop(server: Any, log_path: Path) -> None:
    with _quiet(log_path):
        del server
