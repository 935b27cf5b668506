"""What is asked of a model server: what it works on, and what waits for it."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from services.runtime.model_load import ServerLoad, read_load
from services.runtime.ports import Role

_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Demand:
    """The calls to one server at a moment."""

    running: float | None
    """What the server works on, of all its clients; None when it does not tell."""
    waiting: float | None
    """What waits in its queue; None when it does not tell."""
    held: int
    """Callers in this process that wait for leave to call it."""
    in_flight: int = 0
    """Calls of this process that it has and has not answered."""


class LoadWatch:
    """Asks one server once a second how busy it is."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]
    ) -> None:
        self.load: ServerLoad | None = None
        """What it said last; None when it did not tell."""
        self._task = asyncio.create_task(self._poll(session, url, headers), name="model-load")

    async def _poll(
        self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]
    ) -> None:
        while True:
            self.load = await read_load(session, url, headers, _POLL_SECONDS)
            # Not in step with groups, which may all call at the same time of each second.
            await asyncio.sleep(_POLL_SECONDS * random.uniform(0.5, 1.5))

    async def close(self) -> None:
        """Ask no more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class ModelDemand(Protocol):
    """Knows what is asked of the models' servers."""

    def demand(self, role: Role) -> Demand:
        """Return what is asked of the server of `role` now, or was a second ago."""
