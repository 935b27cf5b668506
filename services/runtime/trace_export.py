"""The way out for spans: OTLP over gRPC, in a thread of its own. The only door to the SDK.

Loaded only where tracing is on. A collector that is away costs spans and nothing else: they wait
in a bounded queue, the newest push out the oldest, and the log is told once.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import grpc
import structlog
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from services.runtime.errors import Rejected
from services.runtime.settings import TracingSettings

QUEUE_SPANS = 8192
"""Spans that wait to be sent, at most."""
_BATCH_SPANS = 512
_PAUSE_MS = 1000
_EXPORT_SECONDS = 5.0
"""How long one batch is offered to the collector."""
CLOSE_SECONDS = 3.0
"""How long the end of a process waits for what is left to be sent."""

_log = structlog.get_logger(__name__)


class Export:
    """The spans of one process on their way to a collector."""

    def __init__(
        self,
        settings: TracingSettings,
        service: str,
        replica: str,
        exporter: SpanExporter | None = None,
    ) -> None:
        """Begin; connects when there is something to send.

        Raises:
            Rejected: the authorities' file cannot be read.
        """
        # They tell of each batch that is not taken.
        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # Whether a trace is sampled is decided where it begins: see `tracing`.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=_resource(service, replica), shutdown_on_exit=False
        )
        sending = Patient(exporter or _exporter(settings), settings.endpoint)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                sending,
                max_queue_size=QUEUE_SPANS,
                schedule_delay_millis=_PAUSE_MS,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        self.tracer = self._provider.get_tracer("matrix", _version())
        """Makes spans that are sent."""

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what is left, for so long at most; blocks."""
        # A thread that nobody waits for: a collector that hangs is not to hold up the end.
        closing = threading.Thread(target=self._provider.shutdown, name="spans-close", daemon=True)
        closing.start()
        closing.join(seconds)


class Patient(SpanExporter):
    """Passes spans on, and tells once that the collector is away, and once that it is back."""

    def __init__(
        self, to: SpanExporter, endpoint: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._to = to
        self._endpoint = endpoint
        self._clock = clock
        self._away_since: float | None = None
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that are not taken in time are lost."""
        try:
            result = self._to.export(spans)
        except Exception as error:  # The SDK would log it each time.
            return self._failed(len(spans), type(error).__name__)
        if result is not SpanExportResult.SUCCESS:
            return self._failed(len(spans), "not taken")
        if self._away_since is not None:
            seconds = round(self._clock() - self._away_since, 1)
            _log.warning("collector answers again", seconds=seconds, lost_spans=self._lost)
            self._away_since, self._lost = None, 0
        return result

    def _failed(self, spans: int, reason: str) -> SpanExportResult:
        self._lost += spans
        if self._away_since is None:
            self._away_since = self._clock()
            _log.warning("collector of traces is away", endpoint=self._endpoint, reason=reason)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Break off what is being sent."""
        self._to.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Have nothing to flush: what is exported was sent."""
        return True


def _exporter(settings: TracingSettings) -> SpanExporter:
    secure = settings.endpoint.startswith("https://")
    credentials = None
    if secure and settings.ca_file is not None:
        try:
            authorities = settings.ca_file.read_bytes()
        except OSError as error:
            raise Rejected(f"MATRIX_TRACING__CA_FILE {settings.ca_file}: {error}") from error
        credentials = grpc.ssl_channel_credentials(authorities)
    return OTLPSpanExporter(
        endpoint=settings.endpoint,
        insecure=not secure,
        credentials=credentials,
        timeout=_EXPORT_SECONDS,
        # As all calls of the platform: directly, whatever proxy is set for the web.
        channel_options=(("grpc.enable_http_proxy", 0),),  # type: ignore[arg-type]
    )


def _resource(service: str, replica: str) -> Resource:
    found = {"service.name": f"matrix-{service}", "service.version": _version()}
    if replica:
        found["service.instance.id"] = replica
    return Resource.create(found)


def _version() -> str:
    return version("matrix-society")
