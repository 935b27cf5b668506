"""Answers over HTTP: JSON and streams."""

from typing import Any

import orjson
from aiohttp import web

from services.local.simulator.call import Call
from services.local.simulator.faults import GARBAGE, Fault
from services.local.simulator.refusals import Refusal
from services.local.simulator.streams import DONE, Streamed, event
from services.local.simulator.wire import body_of


async def json_of(request: web.BaseRequest) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        Refusal: it has none.
    """
    return body_of(request.headers.get("Content-Type", ""), await request.read())


def json_response(reply: dict[str, Any], status: int = 200) -> web.Response:
    """Return `reply` as a JSON answer; NumPy arrays become lists."""
    raw = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=raw, status=status, content_type="application/json")


async def answer(
    request: web.BaseRequest, reply: dict[str, Any], fault: Fault | None
) -> web.StreamResponse:
    """Return `reply` to a model call, or what its fault makes of it."""
    if fault is Fault.GARBAGE:
        return web.Response(body=GARBAGE, content_type="application/json")
    if fault is not Fault.CUT:
        return json_response(reply)
    raw = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(raw)
    await response.prepare(request)
    await response.write(raw[: len(raw) // 2])
    _cut(request)
    return response


async def stream(request: web.BaseRequest, chunks: Streamed, call: Call) -> web.StreamResponse:
    """Answer with one event for each chunk, as the tokens of `call` come."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    left = sum(len(one.output) for one in call.sequences)
    if call.fault is Fault.CUT:
        left //= 2
    begun = False
    try:
        await response.prepare(request)
        async for index, place in call.tokens():
            if not begun:
                begun = True
                for chunk in chunks.opening():
                    await response.write(event(chunk))
            await response.write(event(chunks.token(index, place)))
            left -= 1
            if left <= 0 and call.fault is Fault.CUT:
                _cut(request)
                return response
        await call.end()
        for chunk in chunks.closing():
            await response.write(event(chunk))
    except Refusal as refused:
        # The status has been sent, so what is wrong comes as an event.
        await response.write(event(refused.body))
    await response.write(DONE)
    return response


def _cut(request: web.BaseRequest) -> None:
    """Close the connection, once what has been written is sent."""
    if request.transport is not None:
        request.transport.close()
