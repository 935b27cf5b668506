"""Who may call a model server when: one gate an address, as far open as its servers can take."""

import asyncio
import math
import random
from contextlib import suppress
from dataclasses import dataclass

import structlog

from services.runtime.endpoints import Endpoint
from services.runtime.errors import MatrixError
from services.runtime.gate import Gate
from services.runtime.http_client import HttpClient
from services.runtime.kserve_endpoints import resolved
from services.runtime.metrics import ModelMetrics
from services.runtime.model_load import ServerLoad, read_load
from services.runtime.replicas import Replica, replica_urls

_log = structlog.get_logger(__name__)

_SOCIETY = ("birth", "act", "memory", "route")
_LINE = ("scenario", "instruction", "reply", "response", "tests", "rollout", "judge", "held_out")
STAGE_PRIORITY = dict.fromkeys(_SOCIETY, 0) | {s: -n for n, s in enumerate(_LINE, start=1)}
"""Lowest first. Later stages go first, so that work in progress is finished before new work is
begun; those of the society are equal, so that no group waits for others to get further."""

_LOAD_SECONDS = 1.0
"""Pause between two looks at a server's load."""
_FIRST_SECONDS = 0.1
"""The same while calls wait, and it is not known yet how many keep the server busy: at each look
their number is doubled, and until it is enough the server is not full."""
_LOAD_TIMEOUT_SECONDS = 5.0
_RESOLVE_SECONDS = 5.0
"""Pause between two looks at what a server's name stands for."""
_NAMED_SECONDS = 15.0
"""The same where the API server of a cluster is asked, by every process."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a model server, or of all its replicas."""

    load: ServerLoad | None
    """By all its clients, as it tells; None when it does not."""
    in_flight: int
    """Sequences of this process's calls under way."""
    held: int
    """Those of its calls that wait for one of them to end."""


class Admission:
    """The gate of one address, and how far it is open: as far as all replicas behind it can take.

    One gate, so that the most urgent call is the next one, whichever replica takes it.
    """

    def __init__(self, endpoint: Endpoint, slots: int | None) -> None:
        self._endpoint = endpoint
        self._url = endpoint.url
        self._slots = slots
        self._replicas = {endpoint.url: Replica(endpoint.url, slots)}
        self.gate = Gate(self._room)

    def tell(self, metrics: ModelMetrics, server: str) -> None:
        """Let the gauges of a server tell of this one."""
        metrics.in_flight[server] = lambda: self.gate.in_flight
        metrics.waiting[server] = lambda: self.gate.waiting
        metrics.slots[server] = lambda: self.gate.slots
        metrics.running[server] = lambda: self._told("running")
        metrics.queued[server] = lambda: self._told("waiting")

    def _told(self, what: str) -> float | None:
        load = self.demand().load
        return None if load is None else float(getattr(load, what))

    @property
    def _room(self) -> int:
        return sum(replica.concurrency.slots for replica in self._replicas.values())

    def demand(self) -> Demand:
        """Return what is asked of it."""
        loads = [each.load for each in self._replicas.values() if each.load is not None]
        load = None
        if loads:
            load = ServerLoad(sum(e.running for e in loads), sum(e.waiting for e in loads))
        return Demand(load, self.gate.in_flight, self.gate.waiting)

    def replica(self) -> Replica:
        """Return the replica for a call that was let in: the one with most room."""
        if len(self._replicas) == 1:
            return next(iter(self._replicas.values()))
        now = asyncio.get_running_loop().time()
        return min(self._replicas.values(), key=lambda each: (each.away_until > now, each.crowding))

    async def watch(self) -> None:
        """Keep the gate as far open as the servers can take, until cancelled."""
        # Not the client of the calls: it asks with less patience.
        async with HttpClient(_LOAD_TIMEOUT_SECONDS) as client:
            await self._watch(client)

    async def _watch(self, client: HttpClient) -> None:
        loop = asyncio.get_running_loop()
        looked_at = -math.inf
        every = _NAMED_SECONDS if self._endpoint.named else _RESOLVE_SECONDS
        while True:
            if loop.time() - looked_at >= every:
                await self._look_up()
                looked_at = loop.time()
            watched = list(self._replicas.values())
            await asyncio.gather(*(self._revise(each, client) for each in watched))
            self.gate.slots = self._room
            growing = any(each.load is not None and each.concurrency.growing for each in watched)
            pause = _FIRST_SECONDS if growing else _LOAD_SECONDS
            # Not evenly: calls that all take the same time would be seen at the same moment of
            # their round each time.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            if growing:
                # The first calls of all are not to wait for the next look as well.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOAD_SECONDS):
                        await self.gate.crowded()

    async def _look_up(self) -> None:
        if self._endpoint.named:
            # One that was made anew may be elsewhere; one that is away for now is not.
            with suppress(MatrixError):
                self._url = (await resolved(self._endpoint.named)).rstrip("/").removesuffix("/v1")
        urls = await replica_urls(self._url)
        # None: the server is away, or who knows names; what was known may still be there.
        if urls and urls != list(self._replicas):
            known = self._replicas
            self._replicas = {url: known.get(url) or Replica(url, self._slots) for url in urls}
            _log.info("model replicas", url=self._url, replicas=len(urls))

    async def _revise(self, replica: Replica, client: HttpClient) -> None:
        before = replica.in_flight
        load = await read_load(client, replica.url, self._endpoint.headers)
        # One that told once and does not now is away, or too busy to tell.
        silent = load is None and replica.load is not None
        replica.load = load
        if replica.refused or not silent:
            # Calls that ended while it was asked may be among those that it tells of.
            in_flight = max(before, replica.in_flight)
            replica.concurrency.revise(load, in_flight, self.gate.waiting, replica.refused)
        replica.refused = False
