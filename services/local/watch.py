"""What `matrix run --watch` has beside a run: its metrics over HTTP, and a Prometheus for them."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from services.local.servers.prometheus import (
    HOW_TO_GET_IT,
    RULES,
    Prometheus,
    model_target,
    prometheus_program,
    replica_target,
    retention,
)
from services.local.up.children import Child, Program, State
from services.local.up.supervisor import Supervisor
from services.runtime.errors import Rejected
from services.runtime.metrics import Metrics
from services.runtime.metrics_server import MetricsServer
from services.runtime.process_metrics import DISTRIBUTION, watch_loop
from services.runtime.settings import MetricsSettings

COMPONENT = "run"
"""What a run is called among the services, in the labels of its metrics."""


class Watch:
    """The metrics of a run, to be looked at while it works; the run goes on whatever happens."""

    def __init__(self, directory: Path, metrics: Metrics, tell: Callable[[str], None]) -> None:
        """Set up; nothing listens yet.

        Args:
            directory: of the run; what the Prometheus has seen stays there.
            metrics: of this process.
            tell: is told where to look.
        """
        self._directory = directory.absolute()
        self._metrics = metrics
        self._loop: asyncio.Task[None] | None = None
        self._server = MetricsServer(MetricsSettings(), metrics)
        self._tell = tell
        self._supervisor = Supervisor(self._changed)

    async def start(self, models: str) -> None:
        """Serve the metrics, and have a Prometheus started if one is installed.

        Args:
            models: address of a model server that tells vLLM's metrics; empty when there is none.

        Raises:
            Rejected: no port can be listened on.
        """
        self._metrics.process.info[version(DISTRIBUTION)] = 1
        await self._server.start()
        self._loop = asyncio.create_task(watch_loop(self._metrics))
        address = self._server.address
        try:
            program, kept = prometheus_program(), retention()
        except Rejected as error:
            self._tell(f"metrics: {address}; without Prometheus: {error}")
            return
        if program is None:
            self._tell(f"metrics: {address}; {HOW_TO_GET_IT}")
            return
        targets = [replica_target(COMPONENT, 0, urlsplit(address).netloc)]
        if models:
            targets.append(model_target("simulator", models))
        rules = RULES if RULES.is_file() else None
        server = Prometheus(program, self._directory / "prometheus", targets, kept, rules=rules)
        self._supervisor.add(Program("prometheus", server.process, server.ready, server.start))
        self._tell(f"metrics: {address}; Prometheus at {server.url}")

    async def stop(self) -> None:
        """End all of it."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        await self._supervisor.stop()
        await self._server.stop()

    def _changed(self, child: Child) -> None:
        if child.state is State.failed:
            self._tell(f"{child.name}: {child.trouble}; see {child.program.process.log}")
