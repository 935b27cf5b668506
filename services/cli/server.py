"""How commands reach a platform that runs: where it is, and what to say when that fails.

Where its services listen is said by `--server`, MATRIX_SERVER, or what `matrix up` left in
`data/up`.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import grpc.aio
import typer
from matrix.agent_state.v1.service_pb2_grpc import AgentStateServiceStub
from matrix.instruction_generation.v1.service_pb2_grpc import InstructionGenerationServiceStub
from matrix.reward_filtering.v1.service_pb2_grpc import RewardFilteringServiceStub
from matrix.scenario_extraction.v1.service_pb2_grpc import ScenarioExtractionServiceStub

from services.cli.access import own_access
from services.cli.console import note
from services.local.up.endpoints import ENDPOINTS_FILE, Endpoints, find_endpoints
from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_statuses import explained
from services.runtime.settings import read_tracing
from services.runtime.tracing import root, traced

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="WHERE",
        help="host:port, service=host:port,..., or an endpoints.json; else MATRIX_SERVER, "
        "else the platform in data/up.",
        show_default=False,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="Authorities (PEM) of the servers' certificates, for TLS; else MATRIX_CA_FILE.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object a line.")]

DEFAULT_OUT = Path("data")
"""Where `matrix run` leaves a run."""
READ_SECONDS = 30.0
"""Patience with calls that only look something up, or change an order."""
MODEL_SECONDS = 300.0
"""Patience with calls that a model works on."""
_REACH_SECONDS = 5.0
"""How long all replicas together may take to be reached."""
_PAUSE_SECONDS = 1.0
_LOST_SECONDS = 60.0
"""How long a stream that broke off is begun anew."""
_STUBS: Mapping[str, Callable[[grpc.aio.Channel], Any]] = {
    "agent_state": AgentStateServiceStub,
    "scenario_extraction": ScenarioExtractionServiceStub,
    "instruction_generation": InstructionGenerationServiceStub,
    "reward_filtering": RewardFilteringServiceStub,
}


class Server:
    """The services of one platform; connects to each when it is first asked."""

    def __init__(self, endpoints: Endpoints, access: Access, source: str = "") -> None:
        """Set up.

        Args:
            endpoints: where the services listen.
            access: certificates and token to show.
            source: where the addresses come from, for messages.
        """
        self._endpoints = endpoints
        self._access = access
        self._source = source
        self._channels: dict[str, tuple[str, grpc.aio.Channel]] = {}
        self._left: dict[str, str] = {}
        """The replica of a service that failed last, by service."""

    @property
    def services(self) -> tuple[str, ...]:
        """Those whose addresses are known; empty where one address takes all calls."""
        return tuple(self._endpoints.services)

    async def ask(
        self,
        service: str,
        method: str,
        request: Any,
        seconds: float | None = READ_SECONDS,
        stub: Callable[[grpc.aio.Channel], Any] | None = None,
    ) -> Any:
        """Call an RPC that answers once, and return its answer.

        Args:
            service: the folder of the service, as "agent_state".
            method: the name of the RPC.
            request: its message, or an iterator of messages where it takes a stream.
            seconds: how long it may take; None: as long as it takes.
            stub: of what it serves beside its own RPCs.

        Raises:
            NotFound, Rejected, Retryable: as the service answered, or because none did.
        """
        address, channel = await self._channel(service)
        with self._explained(service, address):
            return await getattr((stub or _STUBS[service])(channel), method)(
                request, timeout=seconds
            )

    async def stream(self, service: str, method: str, request: Any) -> AsyncGenerator[Any]:
        """Call an RPC that answers with a stream, and yield its answers.

        Raises:
            NotFound, Rejected, Retryable: as `ask`, also in the middle.
        """
        address, channel = await self._channel(service)
        with self._explained(service, address):
            call = getattr(_STUBS[service](channel), method)(request)
            try:
                async for answer in call:
                    yield answer
            finally:
                call.cancel()

    async def follow(self, service: str, method: str, request: Any) -> AsyncGenerator[Any]:
        """Yield what happens from now on, until the caller ends it.

        A stream that breaks off is begun anew; what happened in between is missing, and said so.

        Raises:
            NotFound, Rejected: the service refuses.
            Retryable: it cannot be reached at first, or not for a minute.
        """
        loop = asyncio.get_running_loop()
        began, lost_at = False, 0.0
        while True:
            address, channel = await self._channel(service)
            try:
                with self._explained(service, address):
                    call = getattr(_STUBS[service](channel), method)(request)
                    try:
                        # Servers answer it at once: from now on nothing is missed.
                        await call.wait_for_connection()
                        began, lost_at = True, 0.0
                        async for answer in call:
                            yield answer
                    finally:
                        call.cancel()
                raise Retryable(f"{service} at {address} ended the stream")
            except Retryable as error:
                lost_at = lost_at or loop.time()
                if not began or loop.time() - lost_at > _LOST_SECONDS:
                    raise
                note(f"{error}; going on, something may be missed")
                await self.leave(service)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def leave(self, service: str) -> None:
        """Ask another replica of a service at the next call, if there is one."""
        if known := self._channels.pop(service, None):
            self._left[service] = known[0]
            await known[1].close()

    async def close(self) -> None:
        """Disconnect."""
        for service in list(self._channels):
            await self.leave(service)

    async def _channel(self, service: str) -> tuple[str, grpc.aio.Channel]:
        if service not in self._channels:
            addresses, left = self._endpoints.addresses(service), self._left.get(service)
            others = [address for address in addresses if address != left]
            self._channels[service] = await _reached(others or addresses, self._access)
        return self._channels[service]

    @contextmanager
    def _explained(self, service: str, address: str) -> Iterator[None]:
        try:
            with explained(f"{service} at {address}"):
                yield
        except Retryable as error:
            raise Retryable(f"{error}{self._source}") from None


@asynccontextmanager
async def connected(server: str = "", ca: Path | None = None) -> AsyncIterator[Server]:
    """Give the services that `--server` and `--ca`, or the environment, name.

    Raises:
        NotFound: nothing is named, and no platform runs here.
        Rejected: what is named cannot be used.
    """
    given = server or os.environ.get("MATRIX_SERVER", "")
    endpoints = find_endpoints(given)
    source = "" if given else f" (address from {ENDPOINTS_FILE}: does `matrix up` still run?)"
    opened = Server(endpoints, own_access(endpoints.token_file, ca), source)
    with traced(read_tracing(), "cli"), root("matrix"):
        try:
            yield opened
        finally:
            await opened.close()


def is_remote(server: str, out: Path | None) -> bool:
    """Return whether a command that can do both is to ask a platform, and not read a directory.

    Raises:
        Rejected: both are asked for.
        NotFound: neither is, and there is neither.
    """
    if server and out is not None:
        raise Rejected("--out reads a directory, --server asks a platform: give one of them")
    if out is not None:
        return False
    if server or os.environ.get("MATRIX_SERVER") or ENDPOINTS_FILE.is_file():
        return True
    if not any((DEFAULT_OUT / name).exists() for name in ("run.json", "log.db", "datasets")):
        raise NotFound(
            f"no `matrix up` runs in {ENDPOINTS_FILE.parent}, and {DEFAULT_OUT} holds no run: give "
            "--server (or MATRIX_SERVER), or the directory of a run with --out"
        )
    return False


async def _reached(addresses: Sequence[str], access: Access) -> tuple[str, grpc.aio.Channel]:
    """Return a replica that can be reached: the first one that answers."""
    if len(addresses) == 1:
        return addresses[0], open_channel(addresses[0], access)
    channels = [open_channel(address, access) for address in addresses]
    ready = [asyncio.ensure_future(channel.channel_ready()) for channel in channels]
    chosen = 0
    try:
        await asyncio.wait(ready, timeout=_REACH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        # When none answers, calling the first one says why.
        chosen = next((n for n, task in enumerate(ready) if task.done()), 0)
    finally:
        for task in ready:
            task.cancel()
        await asyncio.gather(*ready, return_exceptions=True)
        for number, channel in enumerate(channels):
            if number != chosen:
                await channel.close()
    return addresses[chosen], channels[chosen]
