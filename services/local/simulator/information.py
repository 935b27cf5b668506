"""What the server tells of itself and of texts, without a model call."""

import time

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.local.simulator import wire
from services.local.simulator.engine import Engine
from services.local.simulator.exposition import registry_of
from services.local.simulator.fields import flag, served_name
from services.local.simulator.http import Routes
from services.local.simulator.replies import VERSION, model_list
from services.local.simulator.responses import json_of, json_response
from services.local.simulator.settings import SimulatorSettings
from services.local.simulator.tokens import chat_tokens, printed, token_id, tokenize


class Information:
    """Handlers that need no slot."""

    def __init__(self, settings: SimulatorSettings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._registry = registry_of(settings, engine)
        self._created = int(time.time())

    def routes(self) -> Routes:
        """Return the handler of each (method, path)."""
        return {
            ("POST", "/tokenize"): self.tokens,
            ("GET", "/v1/models"): self.models,
            ("GET", "/version"): self.version,
            ("GET", "/load"): self.load,
            ("GET", "/health"): self.alive,
            ("GET", "/ping"): self.alive,
            ("GET", "/metrics"): self.metrics,
        }

    async def tokens(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /tokenize, of a `prompt` or of `messages`."""
        body = await json_of(request)
        if "messages" in body:
            tokens = chat_tokens(
                wire.messages_of(body), opened=flag(body, "add_generation_prompt", default=True)
            )
        else:
            tokens = tokenize(wire.prompts_of(body)[0])
        served_name(body, self._settings.names)
        reply = {
            "count": len(tokens),
            "max_model_len": self._settings.max_model_len,
            "tokens": [token_id(token) for token in tokens],
            "token_strs": [printed(token) for token in tokens]
            if flag(body, "return_token_strs")
            else None,
        }
        return json_response(reply)

    async def models(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /v1/models."""
        limit = self._settings.max_model_len
        return json_response(model_list(self._settings.names, self._created, limit))

    async def version(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /version."""
        return json_response({"version": VERSION})

    async def load(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /load: calls being worked on or waiting."""
        return json_response({"server_load": self._engine.in_flight})

    async def alive(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /health and /ping: an empty answer, 503 when the engine is dead."""
        return web.Response(status=503 if self._engine.dead else 200)

    async def metrics(self, _: web.BaseRequest) -> web.StreamResponse:
        """GET /metrics, in the text format of Prometheus."""
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
