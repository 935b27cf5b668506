"""Where the other replicas are, and the connections to them."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address

import grpc.aio

from services.runtime.errors import Rejected, Retryable
from services.runtime.grpc_channels import (
    Access,
    check_token,
    is_loopback,
    open_channel,
    split_address,
)

_DNS = "dns:///"


class PeerChannels:
    """Connections to all replicas but this one, following what their DNS name resolves to.

    The addresses are looked up for every use: a replica that has just come is asked too.
    """

    def __init__(self, peers: str, access: Access) -> None:
        """Set up.

        Args:
            peers: `host:port,host:port`, each of one replica; or `dns:///name:port`, or one
                `name:port` alone, which resolves to all of them.
            access: certificates and token.

        Raises:
            Rejected: an address is none, or a token would travel in the clear.
        """
        self._access = access
        entries = [entry.strip() for entry in peers.split(",") if entry.strip()]
        for entry in entries:
            try:
                check_token(access, split_address(entry)[0])
            except Rejected as error:
                raise Rejected(f"MATRIX_GRPC__PEERS: {error}") from None
        self._names = tuple(e for e in entries if e.startswith(_DNS) or _is_name(e, len(entries)))
        self._fixed = tuple(e for e in entries if e not in self._names)
        self._own: set[str] = set()
        self._open: dict[str, grpc.aio.Channel] = {}
        self._users: Counter[str] = Counter()

    def leave_out(self, address: str) -> None:
        """Never use an address again: it is this replica's own."""
        self._own.add(address)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Mapping[str, grpc.aio.Channel]]:
        """Give the connection to each address, for as long as the context lasts.

        Raises:
            Retryable: a name does not resolve.
        """
        places = await self._places()
        for address, server_name in places.items():
            if address not in self._open:
                self._open[address] = open_channel(address, self._access, server_name)
        self._users.update(places.keys())
        try:
            yield {address: self._open[address] for address in places}
        finally:
            self._users.subtract(places.keys())
            await self._close_unused(keep=places.keys() - self._own)

    async def close(self) -> None:
        """Close all connections, also those in use."""
        channels = list(self._open.values())
        self._open.clear()
        for channel in channels:
            await channel.close()

    async def _places(self) -> dict[str, str]:
        """Return the addresses to ask, each with the name that its certificate must have."""
        places = dict.fromkeys(self._fixed, "")
        for name in self._names:
            host, port = split_address(name)
            for address in await _resolved(host, port):
                places[address] = host
        return {address: name for address, name in places.items() if address not in self._own}

    async def _close_unused(self, keep: set[str]) -> None:
        gone = [a for a in self._open if a not in keep and self._users[a] <= 0]
        for address in gone:
            del self._users[address]
            await self._open.pop(address).close()


def _is_name(entry: str, entries: int) -> bool:
    host, _ = split_address(entry)
    if entries > 1 or is_loopback(host):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


async def _resolved(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Retryable(
            f"MATRIX_GRPC__PEERS: {host} does not resolve ({error.strerror}): is it the name of "
            "the service whose addresses are the replicas?"
        ) from None
    # One family only: a replica that has both would be asked twice.
    family = min(each[0] for each in found)  # AF_INET before AF_INET6
    hosts = sorted({str(each[4][0]) for each in found if each[0] == family})
    return [f"[{h}]:{port}" if ":" in h else f"{h}:{port}" for h in hosts]
