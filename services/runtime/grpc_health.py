"""The health service: who asks is told whether the server takes calls, and that it lives."""

import asyncio
from collections.abc import Iterable
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.errors import NotFound

LIVENESS = "liveness"

_Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Health by name: `""` and each service are ready or not, `liveness` holds to the end.

    The library's own servicer keeps its watchers for ever, so that no drain with a watcher would
    end before its grace; this one lets them go.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._readiness = frozenset(("", *services))
        self._ready = False
        self._draining = False
        self._changed = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the server takes calls."""
        return self._ready

    def set_ready(self, ready: bool) -> None:
        """Say whether the server takes calls; a draining one never does again."""
        self._ready = ready and not self._draining
        # Those who wait have the old event in their hands.
        self._changed.set()
        self._changed = asyncio.Event()

    def drain(self) -> None:
        """Be not ready for good, and let watchers go."""
        self._draining = True
        self.set_ready(False)

    async def Check(self, request: Any, context: Any) -> _Response:
        """Answer the health of a name.

        Raises:
            NotFound: no service has the name.
        """
        status = self._status(request.service)
        if status == _Response.SERVICE_UNKNOWN:
            known = ", ".join(sorted(self._readiness - {""}))
            raise NotFound(f"no service {request.service!r} here: there are {known}")
        return _Response(status=status)

    async def Watch(self, request: Any, context: Any) -> None:
        """Send the health of a name, and again at every change, until the server drains."""
        sent: int | None = None
        while True:
            changed, draining = self._changed, self._draining
            status = self._status(request.service)
            if status != sent:
                await context.write(_Response(status=status))
                sent = status
            if draining:
                return
            await changed.wait()

    def _status(self, name: str) -> int:
        if name == LIVENESS:
            return _Response.SERVING
        if name not in self._readiness:
            return _Response.SERVICE_UNKNOWN
        return _Response.SERVING if self._ready else _Response.NOT_SERVING
