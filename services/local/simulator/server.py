"""The simulated vLLM server: an aiohttp application on a port of its own."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from services.local.simulator.call import LoggedCall
from services.local.simulator.endpoints import Endpoints
from services.local.simulator.engine import Engine
from services.local.simulator.http import listening
from services.local.simulator.information import Information
from services.local.simulator.reward_model import RewardEndpoints
from services.local.simulator.settings import SimulatorSettings


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
        self._routes = {
            **endpoints(settings, self._engine, self.log if record else None).routes(),
            **Information(settings, self._engine).routes(),
        }
        self._runner: web.ServerRunner | None = None
        self._started = False

    @property
    def calls(self) -> int:
        """Chats, completions and embedding calls that were answered; refused ones do not count."""
        return self._engine.completed

    @property
    def slots(self) -> int:
        """Sequences worked on at once."""
        return self._engine.slots

    @property
    def running(self) -> int:
        """Sequences being worked on."""
        return self._engine.running

    @property
    def waiting(self) -> int:
        """Sequences that wait for a slot or for blocks of the KV cache."""
        return self._engine.waiting

    def resize(self, slots: int) -> None:
        """Work on `slots` sequences at once; where there are more, they run to their end.

        Raises:
            ValueError: it is less than one.
        """
        self._engine.resize(slots)

    def kill_engine(self) -> None:
        """Let the engine fail for good: calls are answered with 500 and /health with 503."""
        self._engine.kill()

    @property
    def in_flight(self) -> int:
        """Calls being worked on or waiting for a slot."""
        return self._engine.in_flight

    async def start(self) -> str:
        """Load, then listen; return the base URL, without a slash at its end.

        Until it has loaded, connections are refused.

        Raises:
            OSError: the port is taken or the host is not one of this machine.
            RuntimeError: it has been started before.
        """
        if self._started:
            raise RuntimeError("this simulator has been started before: make another one")
        self._started = True
        await asyncio.sleep(self._settings.loading_seconds)
        self._runner, url = await listening(self._routes, self._settings.host, self._settings.port)
        return url

    async def stop(self) -> None:
        """Stop listening and end the calls under way; does nothing if it is not running."""
        self._engine.stop()
        if self._runner is not None:
            await self._runner.cleanup()


async def serve_forever(
    settings: SimulatorSettings, started: Callable[[str], None] | None = None
) -> None:
    """Serve until cancelled; `started` is told the base URL once the server listens.

    The signal SIGUSR1 doubles its slots, SIGUSR2 halves them.

    Raises:
        OSError: the port is taken or the host is not one of this machine.
    """
    simulator = Simulator(settings)
    try:
        url = await simulator.start()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: simulator.resize(2 * simulator.slots))
        loop.add_signal_handler(
            signal.SIGUSR2, lambda: simulator.resize(max(1, simulator.slots // 2))
        )
        if started is not None:
            started(url)
        await asyncio.Event().wait()
    finally:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            asyncio.get_running_loop().remove_signal_handler(number)
        await simulator.stop()
