"""The HTTP endpoint that Prometheus asks: GET /metrics."""

import ssl

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from services.runtime.errors import Rejected
from services.runtime.grpc_channels import is_loopback
from services.runtime.metrics import Metrics
from services.runtime.settings import MetricsSettings

_log = structlog.get_logger(__name__)


class MetricsServer:
    """Serves the metrics of this process, in the format that the asker prefers.

    In the event loop, so that nothing that is counted there changes while it is told.
    """

    def __init__(self, settings: MetricsSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._registry = metrics.registry()
        self._runner: web.AppRunner | None = None
        self.port = 0
        """The port, once started."""

    @property
    def address(self) -> str:
        """Where it listens: `http://host:port/metrics`."""
        host, scheme = self._settings.host, "https" if self._settings.cert_file else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/metrics"

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            Rejected: the address cannot be bound, or the certificate cannot be used.
        """
        settings = self._settings
        application = web.Application()
        application.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        context = _context(settings)
        site = web.TCPSite(self._runner, settings.host, settings.port, ssl_context=context)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await self.stop()
            raise Rejected(
                f"cannot serve metrics on {settings.host}:{settings.port} ({error}): set "
                "MATRIX_METRICS__HOST and MATRIX_METRICS__PORT (0: any free port)"
            ) from error
        self.port = self._runner.addresses[0][1]
        level = _log.info if is_loopback(settings.host) or context is not None else _log.warning
        level("metrics", address=self.address, open_to_all=not is_loopback(settings.host))

    async def stop(self) -> None:
        """Serve no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        return exposition(self._registry, request.headers.get("Accept", ""))


def exposition(registry: CollectorRegistry, accept: str) -> web.Response:
    """Return the answer to somebody who takes what `accept` says."""
    encode, content_type = choose_encoder(accept)
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})


def _context(settings: MetricsSettings) -> ssl.SSLContext | None:
    if settings.cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise Rejected(
            f"metrics: certificate {settings.cert_file} with key {settings.key_file} cannot be "
            f"used: {error}"
        ) from error
    return context
