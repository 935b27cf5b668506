"""A server that says byte by byte what a test wants, and keeps what it was asked."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RECORDINGS = Path(__file__).parents[1] / "recordings" / "generate-0.32.0"

HANG = b""
"""Take the request and never answer."""


def recording(name: str) -> dict[str, Any]:
    """Return a recorded exchange with a real vLLM."""
    loaded: dict[str, Any] = json.loads((_RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def http(status: int, body: bytes, missing: int = 0) -> bytes:
    """Return an HTTP answer whose body breaks off `missing` bytes before its end."""
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body) + missing}\r\nConnection: close\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


def recorded(name: str) -> bytes:
    """Return the HTTP answer of a recorded exchange."""
    exchange = recording(name)
    return http(exchange["status"], json.dumps(exchange["json"]).encode())


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    head: str
    """Request line and headers."""
    body: Any
    """Parsed JSON; None when there is none."""


class Scripted:
    """Answers one connection after the other with the bytes of the script; then hangs.

    Only its load it does not tell, whoever asks.
    """

    def __init__(self, *script: bytes) -> None:
        self.requests: list[Request] = []
        self._script = list(script)
        self._ended = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> "Scripted":
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        if head.startswith("GET /metrics "):
            writer.write(http(404, b"{}"))
            writer.close()
            return
        raw = await reader.readexactly(int(headers.get("Content-Length", "0")))
        self.requests.append(Request(head, json.loads(raw) if raw else None))
        answer = self._script.pop(0) if self._script else HANG
        if answer is HANG:
            await self._ended.wait()
        writer.write(answer)
        writer.close()
