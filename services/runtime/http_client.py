"""The HTTP client of model calls: connections that are kept, deadlines, whole responses.

A general client takes a tenth of a millisecond for each call, as much as all that is done with an
answer (ops/decisions/0029). The parser is that of Node.js, as uvicorn uses it; TLS is Python's.
"""

import asyncio
import base64
import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from services.runtime.http_connection import BadResponse, ClosedBefore, Connection, Response

__all__ = ["BadResponse", "HttpClient", "Response"]

_CONNECT_SECONDS = 10.0
_KEPT_SECONDS = 60.0
"""What was idle for longer may have been forgotten by something between us and the server."""
_IN_PATH = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class _Place:
    """Who is connected to."""

    host: str
    port: int
    tls: bool


class HttpClient:
    """Requests to any servers; `async with` closes its connections in the end.

    Redirects are not followed, proxies of the environment are not used, and nothing is compressed.
    """

    def __init__(self, timeout_seconds: float) -> None:
        """Prepare; a request with all of its response may take so long."""
        self._timeout = timeout_seconds
        # As stacks: those that too many calls at once have left are not used, and age.
        self._idle: defaultdict[_Place, dict[Connection, None]] = defaultdict(dict)
        self._open: dict[Connection, _Place] = {}
        self._tls: ssl.SSLContext | None = None

    @property
    def connections(self) -> int:
        """Those that are open, in use or kept."""
        return len(self._open)

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, and what waits for them."""
        for connection in list(self._open):
            connection.abort()

    async def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """Return the response to a GET; raises as `post` does."""
        return await self._request("GET", url, headers, b"")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Return the response to a POST of JSON, whatever its status.

        Raises:
            ValueError: the address is none of HTTP, or a header holds a line break.
            TimeoutError: it took too long.
            OSError: there is no connection, or it broke.
            BadResponse: what came is no response.
        """
        return await self._request("POST", url, headers, body)

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        place, path, own = _target(url)
        request = _head(method, path, own, headers, len(body)) + body
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._timeout
        kept = self._kept(place)
        connection = kept or await self._connect(place)
        try:
            response = await connection.ask(request, deadline - clock())
        except ClosedBefore:
            if kept is None:
                raise
            # A server closes what was idle for a while (vLLM after 5 s), perhaps just now: it has
            # not begun with this request.
            connection = await self._connect(place)
            response = await connection.ask(request, deadline - clock())
        if connection.usable:
            connection.idle_since = clock()
            self._idle[place][connection] = None
        return response

    def _kept(self, place: _Place) -> Connection | None:
        idle = self._idle[place]
        oldest = asyncio.get_running_loop().time() - _KEPT_SECONDS
        while idle:
            connection, _ = idle.popitem()
            if connection.usable and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, place: _Place) -> Connection:
        if place.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        connection = Connection(self._forget)
        limit = min(_CONNECT_SECONDS, self._timeout)
        try:
            async with asyncio.timeout(limit):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, place.host, place.port, ssl=self._tls if place.tls else None
                )
        except TimeoutError as error:
            raise TimeoutError(f"no connection within {limit:g} s") from error
        if connection.usable:  # It may have ended already.
            self._open[connection] = place
        return connection

    def _forget(self, connection: Connection) -> None:
        place = self._open.pop(connection, None)
        if place is not None:
            self._idle[place].pop(connection, None)


@lru_cache(maxsize=1024)
def _target(url: str) -> tuple[_Place, str, dict[str, str]]:
    """Return whom an address is of, its path, and the headers that follow from it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{parts.scheme}://{parts.hostname} is no address of HTTP")
    tls = parts.scheme == "https"
    host = parts.hostname
    named = f"[{host}]" if ":" in host else host.encode("idna").decode()
    headers = {"Host": f"{named}:{parts.port}" if parts.port else named}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
    path = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=_IN_PATH)
    return _Place(host, parts.port or (443 if tls else 80), tls), path, headers


def _head(
    method: str, path: str, own: Mapping[str, str], headers: Mapping[str, str], length: int
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**own, **headers}.items()]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in a header, perhaps in an API key")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
