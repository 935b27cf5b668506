"""Answers over HTTP: JSON, streams, and errors as vLLM gives them."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
from aiohttp import web

from services.local.simulator.engine import Engine
from services.local.simulator.faults import GARBAGE, Fault
from services.local.simulator.refusals import Refusal
from services.local.simulator.streams import DONE, event
from services.local.simulator.wire import body_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def json_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        Refusal: it has none.
    """
    return body_of(request.headers.get("Content-Type", ""), await request.read())


def json_response(reply: dict[str, Any], status: int = 200) -> web.Response:
    """Return `reply` as a JSON answer; NumPy arrays become lists."""
    raw = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=raw, status=status, content_type="application/json")


def answer(reply: dict[str, Any], fault: Fault | None) -> web.Response:
    """Return `reply` to a model call, or what its fault makes of it."""
    if fault is Fault.GARBAGE:
        return web.Response(body=GARBAGE, content_type="application/json")
    return json_response(reply)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer refusals, unknown paths and wrong methods as vLLM does."""
    try:
        return await handler(request)
    except Refusal as refused:
        return json_response(refused.body, refused.status)
    except web.HTTPNotFound:
        return json_response({"detail": "Not Found"}, 404)
    except web.HTTPMethodNotAllowed as refused:
        response = json_response({"detail": "Method Not Allowed"}, 405)
        response.headers["Allow"] = ",".join(sorted(refused.allowed_methods))
        return response


async def stream(
    request: web.Request, chunks: Iterator[dict[str, Any]], engine: Engine
) -> web.StreamResponse:
    """Answer with one event for each of `chunks`, at the pace of `engine`."""
    await engine.spend(0)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for chunk in chunks:
        await engine.pause()
        await response.write(event(chunk))
    await response.write(DONE)
    return response
