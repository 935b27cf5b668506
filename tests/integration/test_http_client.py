"""The HTTP client of model calls against servers that say what a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from services.runtime import http_client
from services.runtime.http_client import BadResponse, HttpClient, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECONDS = 30.0

Talk = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.asked: list[bytes] = []

    async def request(self) -> bytes:
        """Return the next request whole; raises IncompleteReadError when there is none."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        self.asked.append(head + await self._reader.readexactly(int(length or b"0")))
        return self.asked[-1]

    async def say(self, *pieces: bytes) -> None:
        """Send the pieces, each in a packet of its own as far as one can tell."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)

    def close(self) -> None:
        """End the connection after what was said."""
        self._writer.close()

    async def ended(self) -> None:
        """Wait until the client ends the connection."""
        await self._reader.read()


@asynccontextmanager
async def served(
    talk: Talk, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[Peer]]]:
    peers: list[Peer] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(Peer(reader, writer))
        try:
            await talk(peers[-1])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://localhost:{port}", peers
    finally:
        server.close()


def always(*pieces: bytes, close: bool = False) -> Talk:
    async def talk(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(*pieces)
            if close:
                return

    return talk


@pytest.mark.parametrize(
    ("pieces", "close", "status", "content"),
    [
        ([OK], False, 200, b"ok"),
        ([bytes([byte]) for byte in OK], False, 200, b"ok"),
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], False, 503, b""),
        (
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n",
                b"1\r\nk\r\n0\r\n\r\n",
            ],
            False,
            200,
            b"ok",
        ),
        (
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", OK],
            False,
            200,
            b"ok",
        ),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], False, 204, b""),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"until ", b"the end"], True, 200, b"until the end"),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], True, 200, b"ok"),
        (
            [b"HTTP/1.1 308 Moved\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n"],
            False,
            308,
            b"",
        ),
    ],
)
async def test_a_response_is_read_in_whatever_pieces_and_framing_it_comes(
    pieces: list[bytes], close: bool, status: int, content: bytes
) -> None:
    async with served(always(*pieces, close=close)) as (url, _), HttpClient(SECONDS) as client:
        for _ in range(3):
            assert await client.post(url, {}, b"{}") == Response(status, content)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "no HTTP response"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"], "in the middle of the response"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok"], "no HTTP response"),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"],
            "in the middle of the response",
        ),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone"], "no HTTP response"),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"],
            "no HTTP response",
        ),
        ([b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], "no HTTP response"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9 + b"\0\r\n\r\n"], "no HTTP response"),
    ],
)
async def test_what_is_no_response_or_cut_off_is_none(pieces: list[bytes], message: str) -> None:
    async with served(always(*pieces, close=True)) as (url, _), HttpClient(SECONDS) as client:
        with pytest.raises(BadResponse, match=message):
            await client.post(url, {}, b"{}")


@pytest.mark.parametrize("said", [b"", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_connection_that_ends_before_the_response_is_broken(said: bytes) -> None:
    async with served(always(said, close=True)) as (url, _), HttpClient(SECONDS) as client:
        with pytest.raises(ConnectionError, match="closed the connection"):
            await client.get(url, {})


async def test_requests_one_after_the_other_share_a_connection_and_at_once_have_their_own() -> None:
    async with served(always(OK)) as (url, peers), HttpClient(SECONDS) as client:
        for _ in range(3):
            await client.post(url, {}, b"{}")
        assert [len(peer.asked) for peer in peers] == [3]
        await asyncio.gather(*(client.post(url, {}, b"{}") for _ in range(3)))
        assert [len(peer.asked) for peer in peers] == [4, 1, 1]
        await asyncio.gather(*(client.post(url, {}, b"{}") for _ in range(3)))
        assert len(peers) == 3


async def test_a_connection_that_the_server_closes_or_wants_closed_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    for talk in (always(OK, close=True), always(closing)):
        async with served(talk) as (url, peers), HttpClient(SECONDS) as client:
            for _ in range(3):
                assert (await client.post(url, {}, b"{}")).status == 200
                async with asyncio.timeout(SECONDS):
                    while client.connections:  # noqa: ASYNC110 - its end is seen by this loop
                        await asyncio.sleep(0)
            assert len(peers) == 3


async def test_a_kept_connection_that_ends_as_it_is_used_is_made_anew_and_a_new_one_is_not() -> (
    None
):
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()  # As a server that closes what it takes for idle: without a word.

    async with served(talk) as (url, peers), HttpClient(SECONDS) as client:
        for _ in range(3):
            assert (await client.post(url, {}, b"{}")).content == b"ok"
        assert [len(peer.asked) for peer in peers] == [2, 2, 1]

    async def mute(peer: Peer) -> None:
        await peer.request()

    async with served(mute) as (url, peers), HttpClient(SECONDS) as client:
        with pytest.raises(ConnectionError, match="closed the connection"):
            await client.post(url, {}, b"{}")
        assert len(peers) == 1


@pytest.mark.parametrize("extra", [OK, b"HTTP/1.1 200 OK\r\n", b"garbage"])
async def test_what_comes_beside_a_response_is_no_answer_to_the_next_request(extra: bytes) -> None:
    first = True

    async def talk(peer: Peer) -> None:
        nonlocal first
        await peer.request()
        if first:
            first = False
            await peer.say(OK.replace(b"ok", b"OK") + extra)
            await peer.ended()
        await peer.say(OK)

    async with served(talk) as (url, _), HttpClient(SECONDS) as client:
        assert (await client.post(url, {}, b"{}")).content == b"OK"
        assert (await client.post(url, {}, b"{}")).content == b"ok"


async def test_who_is_cancelled_or_out_of_time_ends_the_connection() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.ended()
        ended.set()

    async with served(talk) as (url, _), HttpClient(SECONDS) as client:
        call = asyncio.create_task(client.post(url, {}, b"{}"))
        await asked.wait()
        call.cancel()
        await asyncio.wait_for(ended.wait(), SECONDS)
        ended.clear()
        async with HttpClient(0.05) as impatient:
            with pytest.raises(TimeoutError):
                await impatient.post(url, {}, b"{}")
        await asyncio.wait_for(ended.wait(), SECONDS)


async def test_closing_ends_what_is_under_way() -> None:
    asked = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.ended()

    async with served(talk) as (url, _), HttpClient(SECONDS) as client:
        call = asyncio.create_task(client.post(url, {}, b"{}"))
        await asked.wait()
        client.close()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(call, SECONDS)


async def test_a_response_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.say(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")

    monkeypatch.setattr("services.runtime.http_connection._LARGEST_BYTES", 1 << 20)
    async with served(talk) as (url, _), HttpClient(SECONDS) as client:
        with pytest.raises(BadResponse, match="more than 1 MB"):
            await client.get(url, {})


async def test_the_request_is_what_was_asked_for() -> None:
    async with served(always(OK)) as (url, peers), HttpClient(SECONDS) as client:
        address = url.replace("//", "//me:s%40cret@") + "/a b/\u00e9?x=1&y=a b"
        await client.post(address, {"X-Key": "1"}, b'{"a": 1}')
        await client.get(url, {"Authorization": "Bearer key"})
    port = url.rpartition(":")[2]
    assert [request.decode().split("\r\n") for request in peers[0].asked] == [
        [
            "POST /a%20b/%C3%A9?x=1&y=a%20b HTTP/1.1",
            f"Host: localhost:{port}",
            "Authorization: Basic bWU6c0BjcmV0",
            "X-Key: 1",
            "Content-Type: application/json",
            "Content-Length: 8",
            "",
            '{"a": 1}',
        ],
        ["GET / HTTP/1.1", f"Host: localhost:{port}", "Authorization: Bearer key", "", ""],
    ]


@pytest.mark.parametrize(
    ("url", "headers", "message"),
    [
        ("http://localhost", {"Authorization": "Bearer key\n"}, "line break"),
        ("http://localhost", {"Authorization": "Bearer key\r\nX: y"}, "line break"),
        ("ftp://localhost", {}, "no address"),
        ("http:///path", {}, "no address"),
        ("localhost:8000", {}, "no address"),
        ("http://localhost:port", {}, "port"),
    ],
)
async def test_an_address_or_header_that_is_none_is_not_sent(
    url: str, headers: dict[str, str], message: str
) -> None:
    async with HttpClient(SECONDS) as client:
        with pytest.raises(ValueError, match=message):
            await client.get(url, headers)


async def test_connecting_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(http_client, "_CONNECT_SECONDS", 0.01)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    async with HttpClient(SECONDS) as client:
        with pytest.raises(TimeoutError, match="no connection within"):
            await client.get("http://localhost", {})


async def test_what_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(always(OK)) as (url, peers), HttpClient(SECONDS) as client:
        await client.get(url, {})
        monkeypatch.setattr(http_client, "_KEPT_SECONDS", -1.0)
        await client.get(url, {})
        assert len(peers) == 2


async def test_under_https_a_server_is_who_its_certificate_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    async with served(always(OK), tls) as (url, peers):
        async with HttpClient(SECONDS) as stranger:
            with pytest.raises(ssl.SSLCertVerificationError):
                await stranger.get(url, {})
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with HttpClient(SECONDS) as client:
            for _ in range(2):
                assert (await client.get(url, {})).content == b"ok"
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get(url.replace("localhost", "127.0.0.1"), {})
    assert max(len(peer.asked) for peer in peers) == 2
