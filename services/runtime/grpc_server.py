"""The gRPC server of a service: its servicers, health, reflection, errors, callers, drain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime.callers import Permission, read_callers
from services.runtime.errors import Rejected
from services.runtime.grpc_auth import Authentication
from services.runtime.grpc_channels import is_loopback
from services.runtime.grpc_errors import ErrorMapping
from services.runtime.grpc_health import Health
from services.runtime.grpc_tls import server_credentials
from services.runtime.peers import OwnCalls
from services.runtime.settings import GrpcSettings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """One gRPC service of a server."""

    add: Callable[[Any, Any], None]
    """The generated `add_...Servicer_to_server`."""
    servicer: object
    name: str
    """Full name: `package.Service`."""


class GrpcServer:
    """Serves RPCs; not ready until told so.

    Interceptors from the outside in: `interceptors`, errors to statuses, calls by this replica to
    itself, callers and permissions.
    """

    def __init__(
        self,
        settings: GrpcSettings,
        served: Sequence[Served],
        permissions: Mapping[str, Permission] | None = None,
        replica: str = "",
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        """Set up; nothing is bound yet.

        Args:
            settings: address, files, limits.
            served: what is served.
            permissions: what each RPC (`/package.Service/Method`) needs; others need `operate`.
            replica: id of this replica, as its `Peers` have it.
            interceptors: of other concerns, such as tracing.

        Raises:
            Rejected: certificates or callers file are unusable, or do not go together.
        """
        self._settings = settings
        self._credentials = server_credentials(settings)
        self._health = Health([each.name for each in served])
        chain = [*interceptors, ErrorMapping(settings.default_deadline_seconds), OwnCalls(replica)]
        if settings.callers_file is not None:
            chain.append(_authentication(settings, permissions or {}))
        self._chain = chain
        self._served = tuple(served)
        self._server: grpc.aio.Server | None = None
        self.port = 0
        """The port, once started."""

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            Rejected: the address cannot be bound.
        """
        settings = self._settings
        limit = settings.max_message_bytes
        self._server = server = grpc.aio.server(
            interceptors=self._chain,
            options=[
                ("grpc.so_reuseport", 0),  # Else a second process would take half of the calls.
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
                # Clients connect anew now and then, so that new replicas get their share;
                # calls in flight, watches too, stay on the old connection.
                ("grpc.max_connection_age_ms", 300_000),
            ],
        )
        for each in self._served:
            each.add(each.servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        names = [*(each.name for each in self._served), health, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)
        self.port = self._bind(server)
        await server.start()
        self._warn_if_open()
        _log.info("serving", address=self.address, tls=self._credentials is not None)

    @property
    def address(self) -> str:
        """Where the server listens: `host:port`."""
        host = self._settings.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def ready(self) -> bool:
        """Whether the health service says so."""
        return self._health.ready

    def set_ready(self, ready: bool) -> None:
        """Let the health service say whether calls are wanted."""
        self._health.set_ready(ready)

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Be not ready at once, take no new calls, and let those in flight finish.

        Calls that have arrived and wait for their start are not served any more: their callers
        see CANCELLED, later ones UNAVAILABLE. Streams without an end are to be ended before.

        Args:
            grace_seconds: what is not done by then is cancelled; by default that of the settings.
        """
        self._health.drain()
        if self._server is not None:
            grace = self._settings.grace_seconds if grace_seconds is None else grace_seconds
            await self._server.stop(grace)
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _bind(self, server: grpc.aio.Server) -> int:
        settings = self._settings
        self.port = settings.port
        try:
            if self._credentials is None:
                port = server.add_insecure_port(self.address)
            else:
                port = server.add_secure_port(self.address, self._credentials)
        except RuntimeError:
            port = 0
        if not port:
            self._server = None
            raise Rejected(
                f"cannot listen on {self.address}: is the port taken, or the host not of this "
                "machine? Set MATRIX_GRPC__HOST and MATRIX_GRPC__PORT (0: any free port)"
            )
        return port

    def _warn_if_open(self) -> None:
        settings = self._settings
        if is_loopback(settings.host):
            return
        if settings.callers_file is None and settings.client_ca_file is None:
            _log.warning("anyone who reaches this address may do everything", address=self.address)
        elif self._credentials is None:
            _log.warning("tokens travel in the clear without TLS", address=self.address)


def _authentication(
    settings: GrpcSettings, permissions: Mapping[str, Permission]
) -> Authentication:
    assert settings.callers_file is not None
    callers = read_callers(settings.callers_file)
    if settings.client_ca_file is None and any(c.certificate for c in callers.callers):
        raise Rejected(
            f"callers file {settings.callers_file}: it names certificates, and none are asked "
            "for: set MATRIX_GRPC__CLIENT_CA_FILE"
        )
    return Authentication(callers, permissions)
