"""Who may call a model server when: one gate a server, as far open as the server can take."""

import asyncio
import random
from dataclasses import dataclass

import aiohttp

from services.runtime.endpoints import Endpoint
from services.runtime.gate import Gate
from services.runtime.model_load import ServerLoad, read_load
from services.runtime.saturation import Concurrency

_SOCIETY = ("birth", "act", "memory", "route")
_LINE = ("scenario", "instruction", "reply", "response", "tests", "rollout", "judge", "held_out")
STAGE_PRIORITY = dict.fromkeys(_SOCIETY, 0) | {s: -n for n, s in enumerate(_LINE, start=1)}
"""Lowest first. Later stages go first, so that work in progress is finished before new work is
begun; those of the society are equal, so that no group waits for others to get further."""

_LOAD_SECONDS = 1.0
"""Pause between two looks at a server's load."""
_FIRST_SECONDS = 0.25
"""The same while calls wait, and it is not known yet how many keep the server busy."""
_LOAD_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a model server."""

    load: ServerLoad | None
    """By all its clients, as it tells; None when it does not."""
    in_flight: int
    """Calls of this process under way."""
    held: int
    """Calls of this process that wait for one of those to end."""


class Admission:
    """The gate of one server, and how far it is open."""

    def __init__(self, endpoint: Endpoint, slots: int | None) -> None:
        self._endpoint = endpoint
        self._concurrency = Concurrency() if slots is None else Concurrency(slots, slots)
        self._load: ServerLoad | None = None
        self.gate = Gate(self._concurrency.slots)
        self.refused = False
        """Whether it was too busy for a call since the gate was last looked at."""

    def demand(self) -> Demand:
        """Return what is asked of it."""
        return Demand(self._load, self.gate.in_flight, self.gate.waiting)

    async def watch(self, session: aiohttp.ClientSession) -> None:
        """Keep the gate as far open as the server can take, until cancelled."""
        url, headers = self._endpoint.url, self._endpoint.headers
        while True:
            load = await read_load(session, url, headers, _LOAD_TIMEOUT_SECONDS)
            # One that told once and does not now is away, or too busy to tell.
            silent = load is None and self._load is not None
            self._load = load
            if self.refused or not silent:
                self.gate.slots = self._concurrency.revise(
                    load, self.gate.in_flight, self.gate.waiting, self.refused
                )
            self.refused = False
            growing = load is not None and self.gate.waiting and not self._concurrency.settled
            pause = _FIRST_SECONDS if growing else _LOAD_SECONDS
            # Not evenly: calls that all take the same time would be seen at the same moment of
            # their round each time.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
