"""Servers that a measurement runs against, as processes of their own."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_URL = re.compile(r"http://\S+")
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@asynccontextmanager
async def simulated_model(*options: str) -> AsyncIterator[tuple[str, int]]:
    """Run `matrix simulate-model` with options; gives its base URL and its process id.

    Raises:
        RuntimeError: it does not start.
    """
    async with _served("services.cli", "simulate-model", "--port", "0", *options) as server:
        yield server


@asynccontextmanager
async def fixed_answers() -> AsyncIterator[tuple[str, int]]:
    """Run a server that answers each chat with the same; gives its base URL and its process id.

    Raises:
        RuntimeError: it does not start.
    """
    async with _served("tests.bench.fixed_server") as server:
        yield server


@asynccontextmanager
async def _served(module: str, *options: str) -> AsyncIterator[tuple[str, int]]:
    command = (sys.executable, "-m", module, *options)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode()
        found = _URL.search(line)
        if found is None:
            raise RuntimeError(f"{module} did not start: {line!r}")
        yield found[0], process.pid
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
