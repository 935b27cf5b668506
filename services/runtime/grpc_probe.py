"""A health probe for servers with TLS, which the kubelet's own gRPC probe does not know.

`python -m services.runtime.grpc_probe SERVER_NAME [HEALTH_NAME]` asks the server of this pod, as
the environment of the service says, and ends with 0 if it is well, else with 1 and a line that says
why. SERVER_NAME is the one that its certificate must have.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_SECONDS = 4.0


def ask_health(environment: Mapping[str, str], server_name: str, health_name: str = "") -> str:
    """Return what is wrong with the server; empty if it is well.

    It reads its four variables by itself: a probe runs every few seconds, and reading all settings
    would take longer than the question.

    Args:
        environment: MATRIX_GRPC__PORT, CA_FILE, and for mutual TLS CERT_FILE and KEY_FILE.
        server_name: that the server's certificate must have.
        health_name: "" for readiness, or a name that the health service knows.
    """
    address = f"localhost:{environment['MATRIX_GRPC__PORT']}"
    try:
        credentials = grpc.ssl_channel_credentials(
            _content(environment, "CA_FILE"),
            _content(environment, "KEY_FILE"),
            _content(environment, "CERT_FILE"),
        )
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    options = [("grpc.ssl_target_name_override", server_name), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(address, credentials, options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=health_name)
        try:
            answer = stub.Check(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{address} does not answer: {error}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"{health_name or 'the server'} is not ready"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Ask, and return the exit code of the process."""
    wrong = ask_health(environment, *arguments[:2])
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


def _content(environment: Mapping[str, str], name: str) -> bytes | None:
    path = environment.get(f"MATRIX_GRPC__{name}", "")
    return Path(path).read_bytes() if path else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
