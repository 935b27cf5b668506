"""The simulated vLLM server: an aiohttp application on a port of its own."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from services.local.simulator.endpoints import Endpoints
from services.local.simulator.engine import Engine, LoggedCall
from services.local.simulator.information import Information
from services.local.simulator.responses import errors
from services.local.simulator.reward_model import RewardEndpoints
from services.local.simulator.settings import SimulatorSettings

_LARGEST_BODY = 64 * 1024**2
_SHUTDOWN_SECONDS = 1.0
"""Time that calls under way get to end when the server stops."""


class Simulator:
    """A vLLM-compatible server whose answers are functions of the request and the settings.

    Use `start` and `stop` in one event loop; a stopped server cannot be started again.
    """

    def __init__(self, settings: SimulatorSettings, *, record: bool = False) -> None:
        self.log: list[LoggedCall] = []
        """Answered calls in order of arrival at the model; stays empty unless `record`."""
        self._settings = settings
        self._engine = Engine(settings)
        endpoints = RewardEndpoints if settings.score_head else Endpoints
        self._handlers = (
            endpoints(settings, self._engine, self.log if record else None).table()
            | Information(settings, self._engine).table()
        )
        self._runner: web.AppRunner | None = None

    @property
    def calls(self) -> int:
        """Chats, completions and embedding calls that were answered; refused ones do not count."""
        return self._engine.completed

    @property
    def in_flight(self) -> int:
        """Calls being worked on or waiting for a slot."""
        return self._engine.in_flight

    async def start(self) -> str:
        """Listen; return the base URL, without a slash at its end.

        Raises:
            OSError: the port is taken or the host is not one of this machine.
            RuntimeError: it has been started before.
        """
        if self._runner is not None:
            raise RuntimeError("this simulator has been started before: make another one")
        application = web.Application(middlewares=[errors], client_max_size=_LARGEST_BODY)
        for (method, path), handler in self._handlers.items():
            # HEAD is refused as by vLLM, which aiohttp would allow beside GET.
            application.router.add_route(method, path, handler)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            # A client that goes away frees its slot at once.
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening and end the calls under way; does nothing if it is not running."""
        self._engine.stop()
        if self._runner is not None:
            await self._runner.cleanup()


async def serve_forever(
    settings: SimulatorSettings, started: Callable[[str], None] | None = None
) -> None:
    """Serve until cancelled; `started` is told the base URL once the server listens.

    Raises:
        OSError: the port is taken or the host is not one of this machine.
    """
    simulator = Simulator(settings)
    try:
        url = await simulator.start()
        if started is not None:
            started(url)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
