"""A TCP proxy whose connections can be cut, and a platform whose broker is behind one."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.local.servers.process import LOOPBACK, free_port
from services.local.servers.tansu import Tansu
from services.local.simulator import Simulator, SimulatorSettings
from tests.cluster.platform import PARTITIONS, SESSION_SECONDS, Platform
from tests.e2e.conftest import command, write_society

_CHUNK = 64 * 1024


class Proxy:
    """Passes bytes on in both directions, until it is cut."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        self.severed = 0
        """Connections that were broken by `cut`."""
        self._target = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, target: int) -> None:
        """Pass on to a port."""
        self._target = target
        await self.mend()

    async def mend(self) -> None:
        """Take connections (again)."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    def cut(self) -> None:
        """Break all connections, and refuse new ones until mended."""
        if self._server is not None:
            self._server.close()
        self._server = None
        self.severed += len(self._open) // 2
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, up_writer}
        self._open |= ends
        try:
            if self._server is not None:
                await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    # One end has gone: so does the other, and the pump in the other direction ends by it.
    writer.close()


@asynccontextmanager
async def platform_behind_proxy(
    folder: Path, replicas: int, agents: int = 100, **model: Any
) -> AsyncIterator[tuple[Platform, Proxy]]:
    """Run a platform that reaches its broker, which is not its own, by a proxy only."""
    people = write_society(folder / "people.jsonl", agents)
    simulator = Simulator(SimulatorSettings(seed=1, **model), record=True)
    url = await simulator.start()
    proxy = Proxy()
    broker = Tansu(folder, advertised=proxy.address)
    await broker.start()
    await proxy.start(int(broker.bootstrap_servers.rpartition(":")[2]))
    log = folder / "up.log"
    environment = {
        **os.environ,
        "MATRIX_KAFKA__SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        "MATRIX_MODELS__EMBEDDING__URL": url,
        "MATRIX_MODELS__EMBEDDING__NAME": "simulated",
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command("up", "--dir", folder / "up", "--model", url, "--kafka", proxy.address),
            *("--profiles", str(people), "--agents", str(agents)),
            *("--replicas", str(replicas), "--partitions", str(PARTITIONS)),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    made = Platform(folder / "up", simulator, process, log)
    try:
        await made.until(lambda: "Next:" in made.told, "the platform", 120)
        yield made, proxy
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        proxy.cut()
        await broker.stop()
        await simulator.stop()
