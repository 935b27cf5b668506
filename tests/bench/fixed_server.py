"""A yardstick for servers: aiohttp that reads a chat and answers always the same.

    python -m tests.bench.fixed_server

Prints its address, and serves until it is ended.
"""

import asyncio

import orjson
from aiohttp import web

_WORDS = "The baker asks the miller for flour and promises bread before the market opens. " * 2
_ANSWER = {
    "id": "chatcmpl-0",
    "object": "chat.completion",
    "created": 0,
    "model": "fixed",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": _WORDS},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 150, "completion_tokens": 40, "total_tokens": 190},
}


async def _chat(request: web.Request) -> web.Response:
    orjson.loads(await request.read())
    return web.Response(body=orjson.dumps(_ANSWER), content_type="application/json")


async def _serve() -> None:
    application = web.Application()
    application.router.add_post("/v1/chat/completions", _chat)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
