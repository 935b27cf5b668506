"""TelemetryService: the metrics of all replicas over gRPC, where nobody can reach their ports."""

from importlib.metadata import version

from matrix.telemetry.v1 import telemetry_pb2 as pb
from matrix.telemetry.v1.telemetry_pb2_grpc import (
    TelemetryServiceServicer,
    add_TelemetryServiceServicer_to_server,
)
from prometheus_client import generate_latest

from services.runtime.answering import Replicas, rpc
from services.runtime.callers import Permission
from services.runtime.errors import Rejected
from services.runtime.grpc_handlers import Context
from services.runtime.grpc_server import Served
from services.runtime.metrics import Metrics
from services.runtime.peers import is_forwarded
from services.runtime.process_metrics import DISTRIBUTION

NAME = "matrix.telemetry.v1.TelemetryService"
"""Full name of the service."""
PERMISSIONS: dict[str, Permission] = {f"/{NAME}/GetMetrics": "read"}
PATIENCE_SECONDS = 2.0
"""How long other replicas are waited for: who asks again every few seconds is not held up."""

_GET_METRICS = rpc(f"/{NAME}/GetMetrics", pb.GetMetricsResponse)


class TelemetryServicer(TelemetryServiceServicer):
    """Answers for the metrics of a service."""

    def __init__(
        self,
        service: str,
        replica: str,
        metrics: Metrics,
        peers: Replicas,
        max_message_bytes: int,
    ) -> None:
        """Set up.

        Args:
            service: name of the service.
            replica: id of this replica.
            metrics: of this process.
            peers: the other replicas.
            max_message_bytes: larger answers are refused.
        """
        self._service = service
        self._replica = replica
        self._registry = metrics.registry()
        self._peers = peers
        self._limit = max_message_bytes

    async def GetMetrics(
        self, request: pb.GetMetricsRequest, context: Context
    ) -> pb.GetMetricsResponse:
        """Return the metrics of all replicas.

        Raises:
            Rejected: all together are larger than a message may be.
        """
        answer = pb.GetMetricsResponse(replicas=[self._own()])
        if not is_forwarded(context):
            found, silent = await self._peers.survey(
                _GET_METRICS, request, context, PATIENCE_SECONDS
            )
            answer.replicas.extend(each for other in found for each in other.replicas)
            answer.unreachable.extend(
                pb.UnreachableReplica(address=address, reason=reason)
                for address, reason in sorted(silent.items())
            )
        if (size := answer.ByteSize()) > self._limit:
            raise Rejected(
                f"the metrics of {len(answer.replicas)} replicas of {self._service} are {size:,} "
                f"bytes, and a message may have {self._limit:,}: raise "
                "MATRIX_GRPC__MAX_MESSAGE_BYTES on both sides, or have Prometheus ask each replica"
            )
        return answer

    def _own(self) -> pb.ReplicaMetrics:
        return pb.ReplicaMetrics(
            service=self._service,
            replica_id=self._replica,
            version=version(DISTRIBUTION),
            text=generate_latest(self._registry).decode(),
        )


def telemetry(servicer: TelemetryServicer) -> Served:
    """Return what a server serves beside its own service."""
    return Served(add_TelemetryServiceServicer_to_server, servicer, NAME)
