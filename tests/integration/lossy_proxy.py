"""A TCP proxy that loses the answer to one request: the server did it, the client never hears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class LossyProxy:
    """Forwards everything, except the answers to requests that hold `marker`."""

    endpoint: str
    marker: bytes = b""
    """What marks the requests; none while empty."""
    losses: int = 1
    """Answers still to be lost."""
    lost: int = 0


@asynccontextmanager
async def lossy_proxy(upstream: str) -> AsyncIterator[LossyProxy]:
    """Serve a proxy in front of `upstream` (`http://host:port`) on a free port."""
    target = urlsplit(upstream)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        server_reader, server_writer = await asyncio.open_connection(target.hostname, target.port)
        marked = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(65536):
                if proxy.marker and proxy.marker in data and proxy.losses > 0:
                    proxy.losses -= 1
                    marked.set()
                server_writer.write(data)

        async def answers() -> None:
            while data := await server_reader.read(65536):
                if marked.is_set():
                    proxy.lost += 1
                    return
                writer.write(data)

        ways = [asyncio.create_task(way()) for way in (requests, answers)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            server_writer.close()
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = LossyProxy(f"http://127.0.0.1:{port}")
    try:
        yield proxy
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
