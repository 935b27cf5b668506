"""The replicas of a model server: all that its name resolves to, each with calls of its own.

Behind the address of an ordinary Service, connections are spread by chance, and one /metrics tells
of one replica. A headless Service's name resolves to all of them instead; then each is filled as
far as it can take, whichever is the fastest, and one that is gone is left out.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from services.runtime.model_load import ServerLoad
from services.runtime.saturation import Concurrency

AWAY_SECONDS = 2.0
"""So long a replica that broke a connection is asked only if all others have too."""


class Replica:
    """One server."""

    def __init__(self, url: str, slots: int | None) -> None:
        self.url = url
        """Base address without /v1."""
        self.concurrency = Concurrency() if slots is None else Concurrency(slots, slots)
        self.load: ServerLoad | None = None
        """As it told last; None when it did not."""
        self.in_flight = 0
        """Sequences of the calls under way."""
        self.refused = False
        """Whether it was too busy for a call since it was last looked at."""
        self.away_until = 0.0
        """Time of the event loop's clock."""

    @property
    def crowding(self) -> float:
        """Sequences under way for each that it can take, with one more."""
        return (self.in_flight + 1) / self.concurrency.slots

    @contextmanager
    def working(self, weight: int) -> Iterator[None]:
        """Count a call of so many sequences."""
        self.in_flight += weight
        try:
            yield
        finally:
            self.in_flight -= weight

    def broke_off(self) -> None:
        """Note that a connection to it broke, or could not be made."""
        self.away_until = asyncio.get_running_loop().time() + AWAY_SECONDS


async def replica_urls(url: str) -> list[str]:
    """Return the base address of each server behind an address.

    `[url]` itself where a name stands for one address, and under https, whose certificates are for
    names; none where a name stands for nothing now.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or _is_address(host):
        return [url]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, parts.port or 80, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # The latter of labels that no name can have.
        return []
    # Of one family: a server with addresses of both is one server.
    family = found[0][0]
    addresses = sorted({str(place[0]) for kind, *_, place in found if kind == family})
    if len(addresses) < 2:
        return [url]
    port = f":{parts.port}" if parts.port else ""
    shown = [f"[{each}]" if ":" in each else each for each in addresses]
    return [parts._replace(netloc=f"{each}{port}").geturl() for each in shown]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
