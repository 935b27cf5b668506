"""A table of routes as an HTTP server, which refuses as vLLM does.

It is aiohttp's server without its application: of what the latter does for a request, finding the
route is all that is needed here, and costs least as one look into a table.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from services.local.simulator.refusals import Refusal
from services.local.simulator.responses import json_response

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = Mapping[tuple[str, str], Handler]
"""The handler of each (method, path)."""

_LARGEST_BODY = 64 * 1024**2
_SHUTDOWN_SECONDS = 1.0
"""Time that calls under way get to end when the server stops."""


async def listening(routes: Routes, host: str, port: int) -> tuple[web.ServerRunner, str]:
    """Return a server, to be ended by its `cleanup`, and its base URL without a slash at its end.

    Raises:
        OSError: the port is taken or the host is not one of this machine.
    """
    server = web.Server(
        routed(routes),
        request_factory=_request,
        access_log=None,
        # A client that goes away frees its slot at once.
        handler_cancellation=True,
    )
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    return runner, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def routed(routes: Routes) -> Handler:
    """Return the handler of all requests; what is refused it answers as vLLM does."""
    allowed: dict[str, set[str]] = {}
    for method, path in routes:
        allowed.setdefault(path, set()).add(method)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        handler = routes.get((request.method, request.path))
        if handler is not None:
            try:
                return await handler(request)
            except Refusal as refused:
                return json_response(refused.body, refused.status)
        if request.path not in allowed:
            return json_response({"detail": "Not Found"}, 404)
        response = json_response({"detail": "Method Not Allowed"}, 405)
        response.headers["Allow"] = ",".join(sorted(allowed[request.path]))
        return response

    return handle


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=_LARGEST_BODY
    )
