"""A gateway that adds what the tests' broker lacks: TLS, and a login by SASL SCRAM-SHA-512.

The login is none of kafka-python's code: its client is to be understood by somebody else's server.
"""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scramp import ScramException, ScramMechanism

from services.local.servers.process import LOOPBACK

MECHANISM = "SCRAM-SHA-512"

_SASL_HANDSHAKE, _API_VERSIONS, _SASL_AUTHENTICATE = 17, 18, 36
_VERSIONS = {_SASL_HANDSHAKE: 1, _SASL_AUTHENTICATE: 2}
"""The ones that are understood here; they are the highest that the broker says it has."""
_NO_SUCH_MECHANISM, _ILLEGAL_STATE, _LOGIN_FAILED = 33, 34, 58


@dataclass
class SecureGateway:
    """What became of the requests of those whose TLS handshake succeeded."""

    passed: int = 0
    """Requests that the broker got."""
    logins: list[str] = field(default_factory=list)
    """Users, once for each connection."""
    failed: int = 0
    """Logins that were refused."""
    turned_away: list[int] = field(default_factory=list)
    """Kinds of the requests that came before a login, and ended their connections."""


def server_tls(files: tuple[Path, Path], client_ca: Path | None = None) -> ssl.SSLContext:
    """Return how a server shows its certificate and, with an authority, asks for the client's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.load_cert_chain(*files)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def secure_gateway(
    upstream: str, port: int, tls: ssl.SSLContext, users: Mapping[str, str] | None = None
) -> AsyncIterator[SecureGateway]:
    """Serve on `port` in front of the broker at `upstream` (`host:port`).

    Args:
        upstream: Must tell its clients to come to `port`.
        port: On loopback.
        tls: Of the server.
        users: Passwords by names; nobody has to log in when None.
    """
    gateway = SecureGateway()
    host, _, upstream_port = upstream.rpartition(":")
    mechanism = ScramMechanism(MECHANISM)
    known = {name: mechanism.make_auth_info(word) for name, word in (users or {}).items()}
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        up_reader, up_writer = await asyncio.open_connection(host, int(upstream_port))
        login = None if users is None else _Login(known, gateway)

        async def requests() -> None:
            while True:
                request = await _frame(reader)
                kind = int.from_bytes(request[:2])
                if login is not None and kind in _VERSIONS:
                    await _send(writer, login.answer(request))
                elif login is None or login.done or kind == _API_VERSIONS:
                    gateway.passed += 1
                    await _send(up_writer, request)
                else:
                    gateway.turned_away.append(kind)
                    raise ConnectionRefusedError

        async def answers() -> None:
            while True:
                await _send(writer, await _frame(up_reader))

        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(requests())
                ways.create_task(answers())
        except* (EOFError, OSError):
            pass  # One end has gone: so does the other.
        finally:
            writer.transport.abort()
            up_writer.transport.abort()
            connections.discard(task)

    server = await asyncio.start_server(serve, LOOPBACK, port, ssl=tls)
    try:
        yield gateway
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


class _Login:
    """The server's side of the login on one connection."""

    def __init__(self, known: Mapping[str, Any], gateway: SecureGateway) -> None:
        self.done = False
        self._known = known
        self._gateway = gateway
        self._scram: Any = None
        self._user = ""

    def answer(self, request: bytes) -> bytes:
        kind, version, number = struct.unpack_from(">hhi", request)
        if _VERSIONS[kind] != version:
            raise ConnectionRefusedError
        client_id = max(int.from_bytes(request[8:10], signed=True), 0)
        body = request[10 + client_id :]
        head = struct.pack(">i", number)
        if kind == _SASL_HANDSHAKE:
            return head + self._handshake(body[2:].decode())
        # From version 2 on, header and body end with optional fields; a zero says: none.
        size, start = _read_uvarint(body, 1)
        code, token = self._authenticate(body[start : start + size - 1].decode())
        message = b"\0" if code == 0 else _compact(b"not you")
        return b"".join(
            (head, b"\0", struct.pack(">h", code), message, _compact(token.encode()), bytes(8 + 1))
        )

    def _handshake(self, mechanism: str) -> bytes:
        code = 0 if mechanism == MECHANISM else _NO_SUCH_MECHANISM
        if code == 0:
            self._scram = ScramMechanism(mechanism).make_server(self._look_up)
        return struct.pack(f">hih{len(MECHANISM)}s", code, 1, len(MECHANISM), MECHANISM.encode())

    def _look_up(self, user: str) -> Any:
        self._user = user
        return self._known.get(user)

    def _authenticate(self, token: str) -> tuple[int, str]:
        """Take a message of SCRAM; returns an error code and the message that answers it."""
        if self._scram is None:
            return _ILLEGAL_STATE, ""
        try:
            if self._scram.stage is None:
                self._scram.set_client_first(token)
                return 0, self._scram.get_server_first()
            self._scram.set_client_final(token)
        except ScramException:
            self._scram = None
            self._gateway.failed += 1
            return _LOGIN_FAILED, ""
        self.done = True
        self._gateway.logins.append(self._user)
        return 0, self._scram.get_server_final()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(len(frame).to_bytes(4) + frame)
    await writer.drain()


def _read_uvarint(data: bytes, start: int) -> tuple[int, int]:
    """Return an integer of seven bits a byte, and where it ends."""
    value = shift = 0
    while data[start] & 0x80:
        value |= (data[start] & 0x7F) << shift
        start, shift = start + 1, shift + 7
    return value | data[start] << shift, start + 1


def _compact(data: bytes) -> bytes:
    """Return bytes as versions with optional fields have them: zero is for none, one for empty."""
    size, head = len(data) + 1, b""
    while size > 0x7F:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data
