"""One HTTP/1.1 connection of a client: a request, its response, and then perhaps the next."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_LARGEST_BYTES = 64 << 20
"""Of a body: a hundred times what any model server has to say."""


class BadResponse(Exception):
    """What came is no HTTP response, or was cut off, or is larger than any."""


class ClosedBefore(ConnectionResetError):
    """The connection ended without a word, as when the server thought that it was idle."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whole."""

    status: int
    content: bytes


class Connection(asyncio.Protocol):
    """A connection; it is told of by `gone` when it has ended."""

    def __init__(self, gone: "Callable[[Connection], None]") -> None:
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._turn: asyncio.Future[Response] | None = None
        self._parser = HttpResponseParser(self)
        self._body: list[bytes] = []
        self._size = 0
        self._framed = False
        """Whether the response says where it ends; else that is where the connection does."""
        self._begun = False
        self._heard = False
        self.idle_since = 0.0
        """When its last response was complete, by the event loop's clock."""

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, timeout_seconds: float) -> Response:
        """Send a request, return the response to it; whoever is cancelled ends the connection.

        Raises:
            TimeoutError: the response is not complete in time.
            ClosedBefore: nothing at all came.
            OSError: the connection broke before the response began.
            BadResponse: what came is none.
        """
        if self._transport is None or self._transport.is_closing():
            raise ClosedBefore("the server closed the connection")
        loop = asyncio.get_running_loop()
        self._turn = loop.create_future()
        # A fifth of what asyncio.timeout() costs.
        timer = loop.call_later(timeout_seconds, self._fail, TimeoutError())
        self._body, self._size = [], 0
        self._framed = self._begun = self._heard = False
        try:
            self._transport.write(request)
            return await self._turn
        except BaseException:
            self.abort()  # What may come yet is no answer to the next request.
            raise
        finally:
            timer.cancel()
            self._turn = None

    def abort(self) -> None:
        """End it at once; a server that notices stops working on the request."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if self._turn is None or self._turn.done():
            self.abort()  # Nothing was asked.
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(BadResponse(f"no HTTP response: {error or 'another protocol'}"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self._begun and not self._framed and exc is None:
            self._end()
        elif self._begun:
            self._fail(BadResponse("the connection ended in the middle of the response"))
        elif self._heard:
            self._fail(exc or ConnectionResetError("the server closed the connection"))
        else:
            self._fail(ClosedBefore(f"the server closed the connection {exc or ''}".strip()))
        self._transport = None
        self._gone(self)

    # Of the parser.

    def on_message_begin(self) -> None:  # noqa: D102
        if self._turn is None or self._turn.done():
            self.abort()  # A second response to one request.

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        self._framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:  # noqa: D102
        # 1xx come before the response; 204 and 304 have no body, whatever their headers.
        status = self._parser.get_status_code()
        self._begun = status >= 200
        self._framed |= status in (204, 304)

    def on_body(self, body: bytes) -> None:  # noqa: D102
        self._body.append(body)
        self._size += len(body)
        if self._size > _LARGEST_BYTES:
            self._fail(BadResponse(f"a response of more than {_LARGEST_BYTES >> 20} MB"))

    def on_message_complete(self) -> None:  # noqa: D102
        if self._begun:
            self._end()

    def _end(self) -> None:
        self._begun = False
        if self._turn is None or self._turn.done():
            return
        content = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._turn.set_result(Response(self._parser.get_status_code(), content))
        if self._transport is not None and not self._parser.should_keep_alive():
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_exception(error)
        self.abort()
