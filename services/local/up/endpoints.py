"""Where the services listen: what `matrix up` leaves for the commands that talk to them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from services.local.up.settings import DEFAULT_DIRECTORY, SERVICES
from services.runtime.errors import NotFound, Rejected
from services.runtime.storage_errors import storage_errors

ENDPOINTS_FILE = DEFAULT_DIRECTORY / "endpoints.json"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of services, and the token to show them."""

    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`host:port` of the replicas, by service."""
    every: str = ""
    """One address that takes the calls of all services not named: an ingress, or just the one."""
    token_file: Path | None = None
    kafka: str = ""
    """`host:port` of the broker."""
    metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`host:port` of where the replicas tell their metrics, by service."""
    prometheus: str = ""
    """Address of the Prometheus that collects them."""

    def addresses(self, service: str) -> tuple[str, ...]:
        """Return the addresses of a service's replicas; any of them answers any call.

        Raises:
            NotFound: none is known.
        """
        known = self.services.get(service) or ((self.every,) if self.every else ())
        if not known:
            raise NotFound(
                f"no address of {service} is known (only of {', '.join(self.services)}); "
                f"give --server {service}=HOST:PORT"
            )
        return tuple(known)


def write_endpoints(path: Path, endpoints: Endpoints) -> None:
    """Write the file that `matrix` commands find the platform by; it holds no secret."""
    content: dict[str, object] = {name: list(a) for name, a in endpoints.services.items()}
    if endpoints.token_file is not None:
        content["token_file"] = str(endpoints.token_file)
    if endpoints.kafka:
        content["kafka"] = endpoints.kafka
    if endpoints.metrics:
        content["metrics"] = {name: list(a) for name, a in endpoints.metrics.items()}
    if endpoints.prometheus:
        content["prometheus"] = endpoints.prometheus
    with storage_errors(path):
        scratch = path.with_suffix(".new")
        scratch.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        scratch.replace(path)


def find_endpoints(server: str | None = None) -> Endpoints:
    """Return where to reach the services.

    Args:
        server: what the user said: a file as `matrix up` writes it, `host:port` of an ingress or of
            the one service that a command needs, or `service=host:port,...`; when it is not given,
            MATRIX_SERVER counts, and then the platform that `matrix up` runs in `data/up`.

    Raises:
        NotFound: nothing is given, and no platform runs here.
        Rejected: it is none of that, or the file cannot be used.
    """
    given = server or os.environ.get("MATRIX_SERVER", "")
    if not given:
        if not ENDPOINTS_FILE.is_file():
            raise NotFound(
                "no server is given and no `matrix up` runs in data/up: start one, or give "
                "--server (or MATRIX_SERVER)"
            )
        return _of_file(ENDPOINTS_FILE)
    if "=" in given:
        return Endpoints(_of_list(given))
    # An address of a host holds no slash, and no file of ours a port.
    if given.endswith(".json") or "/" in given.removeprefix("dns:///"):
        return _of_file(Path(given))
    return Endpoints(every=_checked(given))


def _of_list(given: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for part in given.split(","):
        service, _, address = part.strip().partition("=")
        name = service.strip().replace("-", "_")
        if name not in SERVICES:
            raise Rejected(
                f"--server {given!r}: {service!r} is no service; there are: {', '.join(SERVICES)}"
            )
        found[name] = (*found.get(name, ()), _checked(address.strip()))
    return found


def _of_file(path: Path) -> Endpoints:
    if not path.exists():
        raise NotFound(f"{path}: there is no such file; does `matrix up` run in that directory?")
    with storage_errors(path):
        content = path.read_bytes()
    try:
        fields = orjson.loads(content)
        token_file = fields.pop("token_file", None)
        services = {
            name: (value,) if isinstance(value, str) else tuple(value)
            for name, value in fields.items()
            if name in SERVICES
        }
        addresses = {name: tuple(map(_checked, value)) for name, value in services.items()}
        return Endpoints(addresses, token_file=Path(token_file) if token_file else None)
    except (ValueError, TypeError, AttributeError) as error:
        raise Rejected(f"{path} is no file of `matrix up`: {error}") from error


def _checked(address: str) -> str:
    host, _, port = address.removeprefix("dns:///").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535 or "," in host:
        raise Rejected(f"{address!r} is no address like matrix.example:8443")
    return address
