"""Whether a service is ready, asked as Kubernetes asks."""

from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_SECONDS = 1.0


class GrpcHealth:
    """A probe of a service's readiness; keeps its connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: grpc.aio.Channel | None = None

    async def __call__(self) -> bool:
        """Return whether the service says that it takes calls."""
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(
                self._address,
                options=[
                    # A process that is started anew is to be seen soon.
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.min_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", 500),
                    ("grpc.enable_http_proxy", 0),
                    ("grpc.use_local_subchannel_pool", 1),
                ],
            )
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(service=""), timeout=_TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Give the connection up."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
