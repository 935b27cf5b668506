"""Channels to services, for the command line and for calls between replicas."""

import json
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio
from pydantic import SecretStr

from services.runtime.errors import Rejected
from services.runtime.grpc_bearer import bearer_interceptors
from services.runtime.grpc_spans import client_interceptors
from services.runtime.grpc_tls import channel_credentials
from services.runtime.settings import GrpcSettings

_ADDRESS = re.compile(r"(?:dns:///)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
_TOKEN = re.compile(r"[!-~]+")
_NO_TOKEN = SecretStr("")
_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach servers: with TLS when there is a `ca_file`, with a token when there is one."""

    ca_file: Path | None = None
    """Authorities of the servers' certificates (PEM)."""
    cert_file: Path | None = None
    key_file: Path | None = None
    """This client's own certificate, for servers with mutual TLS."""
    token: SecretStr = _NO_TOKEN
    max_message_bytes: int = 16 * 1024 * 1024

    @classmethod
    def of(cls, settings: GrpcSettings) -> Self:
        """Return how a replica reaches the others: its certificate as a server is its own."""
        tls = settings.ca_file is not None
        return cls(
            settings.ca_file,
            settings.cert_file if tls else None,
            settings.key_file if tls else None,
            settings.token,
            settings.max_message_bytes,
        )


def open_channel(
    address: str, access: Access | None = None, server_name: str = ""
) -> grpc.aio.Channel:
    """Return a channel that spreads its calls over all servers behind an address.

    Args:
        address: `host:port`, or `dns:///host:port`; all addresses of a name are used in turn.
        access: certificates and token; by default neither.
        server_name: what the server's certificate must say, when that is not the host.

    Raises:
        Rejected: the address is none, a file cannot be read, or a token would travel in the clear.
    """
    access = access or Access()
    check_token(access, split_address(address)[0])
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_send_message_length", access.max_message_bytes),
        ("grpc.max_receive_message_length", access.max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A restarted replica is found again soon.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        # Else a new channel inherits the back-off of an old one to what listened there before.
        ("grpc.use_local_subchannel_pool", 1),
        # Services are reached directly, whatever proxy is set for the web.
        ("grpc.enable_http_proxy", 0),
    ]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    bearer = bearer_interceptors(access.token) if access.token.get_secret_value() else ()
    chain = (*client_interceptors(), *bearer)
    if access.ca_file is None:
        return grpc.aio.insecure_channel(address, options, interceptors=chain)
    credentials = channel_credentials(access.ca_file, access.cert_file, access.key_file)
    return grpc.aio.secure_channel(address, credentials, options, interceptors=chain)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[IPv6]:port` or `dns:///host:port`.

    Raises:
        Rejected: it is none of these.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        # Somebody may have put credentials into it, as into a web address.
        shown = repr(address) if "@" not in address else "with an @"
        raise Rejected(
            f"address {shown}: not of the form host:port (as 127.0.0.1:50051, [::1]:50051 or "
            "dns:///name:50051)"
        )
    return match["host"].strip("[]"), int(match["port"])


def check_token(access: Access, host: str) -> None:
    """Check that a token may be sent to a host.

    Raises:
        Rejected: it would travel in the clear, or is not made of printable ASCII characters.
    """
    token = access.token.get_secret_value()
    if not token:
        return
    if _TOKEN.fullmatch(token) is None:
        raise Rejected(
            "the bearer token has blanks, line ends or characters beyond ASCII: "
            "give it without them (a file's last line end included)"
        )
    if access.ca_file is None and not is_loopback(host):
        raise Rejected(
            f"a bearer token is not sent to {host} in the clear: give the authorities of its "
            "certificate (ca_file), or no token"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its own name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
