"""The models of this machine as one server: a real small LLM and MiniLM embeddings, on one port.

Chats are handed on to llama.cpp's own server, which listens on a port that changes with each start;
embeddings are made here.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
from aiohttp import web

from services.local.minilm import MiniLMEmbedder
from services.local.model import LocalModel
from services.local.simulator import wire
from services.local.simulator.fields import served_name, string
from services.local.simulator.http import Routes, listening
from services.local.simulator.refusals import Refusal, bad_request, unknown_model
from services.local.simulator.replies import Envelope, embedding_list
from services.local.simulator.responses import json_of, json_response
from services.runtime.errors import Rejected

EMBEDDING_MODEL = "all-MiniLM-L6-v2"
_CHATS = ("/v1/chat/completions", "/v1/completions")
_WORD_TOKENS = 4 / 3
"""Tokens of a word of English, about: embeddings are not paid by them here."""


@dataclass(frozen=True, slots=True)
class ModelServerSettings:
    """How to serve the models of this machine."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free one."""
    embeddings_only: bool = False
    """Without the LLM: beside a chat model that somebody else serves."""
    log: Path = Path("/dev/null")
    """What llama.cpp says of itself."""


class ModelServer:
    """Answers as an OpenAI-compatible server. Use `start` and `stop` once, in one event loop."""

    def __init__(self, settings: ModelServerSettings) -> None:
        self._settings = settings
        self._embedder = MiniLMEmbedder()
        self._model = None if settings.embeddings_only else LocalModel(settings.log)
        self._names = (*((LocalModel.name,) if self._model else ()), EMBEDDING_MODEL)
        self._created = int(time.time())
        self._chat_url = ""
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self) -> str:
        """Load the models, then listen; return the base URL, without a slash at its end.

        Raises:
            Rejected: a model is not installed or does not load.
            OSError: the port is taken or the host is not one of this machine.
        """
        if self._model is not None:
            self._chat_url = await self._model.start()
        await self._embedder.embed(["ready"])
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
        routes: Routes = {
            **{("POST", path): self._chat for path in _CHATS},
            ("POST", "/v1/embeddings"): self._embed,
            ("GET", "/v1/models"): self._models,
            ("GET", "/health"): self._health,
        }
        self._runner, url = await listening(routes, self._settings.host, self._settings.port)
        return url

    async def stop(self) -> None:
        """Stop listening, end the calls under way and free the models."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()
        self._embedder.close()
        if self._model is not None:
            await self._model.stop()

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /v1/chat/completions and /v1/completions."""
        chat_models = self._names[:-1]
        body = await json_of(request)
        if not chat_models:
            raise unknown_model(str(body.get("model", "")), self._names)
        served_name(body, chat_models)
        assert self._session is not None  # it listens only while there is one
        try:
            async with self._session.post(
                self._chat_url + request.path,
                data=await request.read(),
                headers={"Content-Type": "application/json"},
            ) as answer:
                response = web.StreamResponse(
                    status=answer.status, headers={"Content-Type": answer.content_type}
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except aiohttp.ClientConnectionError as error:
            raise Refusal(502, f"llama.cpp does not answer: {error}", "BadGateway") from None

    async def _embed(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /v1/embeddings."""
        body = await json_of(request)
        texts = wire.prompts_of(body, "input")
        model = served_name(body, (EMBEDDING_MODEL,))
        encoding = string(body, "encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise bad_request(f"encoding_format must be float or base64, got {encoding}.")
        vectors = await self._embedder.embed(texts)
        tokens = round(sum(len(text.split()) for text in texts) * _WORD_TOKENS)
        envelope = Envelope(f"embd-{time.time_ns():x}", int(time.time()), model, "")
        arrays = [np.asarray(vector, np.float32) for vector in vectors]
        return json_response(embedding_list(envelope, arrays, tokens, encoding))

    async def _models(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /v1/models; the chat model first."""
        entries = [
            {"id": name, "object": "model", "created": self._created, "owned_by": "matrix"}
            for name in self._names
        ]
        return json_response({"object": "list", "data": entries})

    async def _health(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /health."""
        return web.Response()


async def serve_models(settings: ModelServerSettings, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `started` is told the base URL once the server listens.

    Raises:
        Rejected: a model is not installed or does not load, or the server cannot listen.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    server = ModelServer(settings)
    starting = asyncio.create_task(server.start())
    ending = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            started(await starting)
            await ending
    except OSError as error:
        raise Rejected(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another --port (0 takes any free one) or --host"
        ) from error
    finally:
        starting.cancel()
        ending.cancel()
        await server.stop()
