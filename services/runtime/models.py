"""The one way to call a model: OpenAI-compatible HTTP, as vLLM and KServe serve it."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import orjson

from services.runtime import model_spans, tracing
from services.runtime.admission import STAGE_PRIORITY, Admission, Demand
from services.runtime.embedding_batches import EmbeddingBatches
from services.runtime.endpoints import Endpoint, told
from services.runtime.errors import Rejected, Retryable
from services.runtime.http_client import BadResponse, HttpClient
from services.runtime.metrics import ModelMetrics
from services.runtime.ports import ChatAnswer, ChatRequest, Embeddings, Role
from services.runtime.request_echoes import without_request
from services.runtime.wire import (
    chat_body,
    classify_body,
    embedding_body,
    parse_chat,
    parse_classify,
    parse_embeddings,
    parsed,
)

T = TypeVar("T")

_TOO_BUSY = ("HTTP 503", "HTTP 429")
_BROKEN = "broken connection"


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Limits of a call."""

    timeout_seconds: float = 120.0
    patience_seconds: float = 120.0
    """How long a call is retried, from its first failure, before it counts as failed."""
    held_out_patience_seconds: float = 5.0
    """The same for the held-out reward, which nothing waits for: samples go without it."""
    first_backoff_seconds: float = 0.2
    max_backoff_seconds: float = 10.0


class HttpModels:
    """Chat completions and embeddings from one endpoint per role, behind one gate per server.

    The gates open as far as keeps the servers busy (`saturation`); with `slots` never further, and
    so far from the start.
    """

    def __init__(
        self,
        endpoints: Mapping[Role, Endpoint],
        metrics: ModelMetrics,
        slots: int | None = None,
        settings: CallSettings | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._metrics = metrics
        self._settings = settings or CallSettings()
        self._servers = {
            endpoint.url: Admission(endpoint, slots) for endpoint in endpoints.values()
        }
        for endpoint in endpoints.values():
            self._servers[endpoint.url].tell(metrics, endpoint.server)
        self._client: HttpClient | None = None
        self._watching: list[asyncio.Task[None]] = []
        self._embeddings = EmbeddingBatches(self._embed)
        # Prometheus' own look-up of labels takes a lock and makes texts of them, at each call.
        self._histograms = cache(
            lambda role, stage: (
                metrics.queue_seconds.labels(role),
                metrics.seconds.labels(role, stage),
            )
        )

    @property
    def in_flight(self) -> int:
        """Sequences that servers are working on: `n` of a request for as many answers."""
        return sum(server.gate.in_flight for server in self._servers.values())

    def demand(self, role: Role) -> Demand:
        """Return what is asked of the server of a role, as of its last word."""
        return self._servers[self._endpoints[role].url].demand()

    async def __aenter__(self) -> "HttpModels":
        self._client = HttpClient(self._settings.timeout_seconds)
        self._watching = [
            asyncio.create_task(server.watch(), name=f"load of {url}")
            for url, server in self._servers.items()
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self._embeddings.close()
        if self._client is not None:
            self._client.close()

    @model_spans.traced_chat
    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Ask the model of `role`; see `ports.ChatModel`.

        Busy servers (503), failures (5xx), time-outs, broken connections and answers that are no
        chat completion are retried with growing, jittered pauses until the patience ends.

        Raises:
            Rejected: the server refuses this request for good (4xx).
            Retryable: no answer within the patience.
        """
        endpoint = self._endpoints[role]
        if endpoint.scores:
            body = classify_body(endpoint.model, request)
            answer = await self._call(role, stage, "/classify", body, parse_classify)
        else:
            body = chat_body(endpoint.model, request)
            answer = await self._call(role, stage, "/v1/chat/completions", body, parse_chat)
        self._metrics.calls[role, stage] += 1
        self._metrics.prompt_tokens[role, stage] += answer.prompt_tokens
        self._metrics.completion_tokens[role, stage] += answer.completion_tokens
        if answer.cached_tokens:
            self._metrics.cached_tokens[role, stage] += answer.cached_tokens
        if cost := endpoint.cost(answer.prompt_tokens, answer.completion_tokens):
            self._metrics.cost[role] = self._metrics.cost.get(role, 0.0) + cost
        return answer

    @model_spans.traced_embed
    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector per text; see `ports.Embedder`.

        Raises:
            Rejected: the server cannot embed.
            Retryable: no answer within the patience.
        """
        return await self._embeddings.embed(texts) if texts else []

    async def _embed(self, texts: Sequence[str]) -> Embeddings:
        body = embedding_body(self._endpoints["embedding"].model, texts)
        vectors = await self._call("embedding", "embed", "/v1/embeddings", body, parse_embeddings)
        if len(vectors) != len(texts):
            raise Rejected(f"{len(vectors)} embeddings for {len(texts)} texts")
        return vectors

    async def _call(
        self,
        role: Role,
        stage: str,
        path: str,
        fields: Mapping[str, Any],
        parse: Callable[[Mapping[str, Any]], T],
    ) -> T:
        endpoint = self._endpoints[role]
        server = self._servers[endpoint.url]
        body, weight = orjson.dumps(fields), int(fields.get("n", 1))
        patience = self._settings.patience_seconds
        if role == "held_out":
            patience = min(patience, self._settings.held_out_patience_seconds)
        loop = asyncio.get_running_loop()
        deadline = None
        pause = self._settings.first_backoff_seconds
        replica = None
        while True:
            asked = loop.time()
            try:
                async with server.gate.at(STAGE_PRIORITY.get(stage, 0), weight):
                    begun = loop.time()
                    replica = server.replica()
                    with replica.working(weight):
                        content = await self._post(endpoint, replica.url + path, body)
                exemplar, seconds = tracing.exemplar(), loop.time() - begun
                queued, taken = self._histograms(role, stage)
                queued.observe(begun - asked, exemplar)
                taken.observe(seconds, exemplar)
                return parsed(content, parse)
            except Rejected as error:
                self._metrics.refused[stage] += 1
                raise Rejected(
                    f"model {endpoint.model!r} at {endpoint.url} refuses this request "
                    f"(stage {stage}): {error}"
                ) from error
            except Retryable as error:
                cause = _cause(error)
                self._metrics.retries[cause] += 1
                if replica is not None:
                    replica.refused |= cause in _TOO_BUSY
                    if cause == _BROKEN:
                        replica.broke_off()
                # Not from the call on: waiting for a slot is no failure, and one time-out is not
                # to use up all patience.
                deadline = deadline or loop.time() + patience
                wait = pause * random.uniform(0.5, 1.5)
                if loop.time() + wait > deadline:
                    self._metrics.given_up[stage] += 1
                    raise Retryable(
                        f"model {endpoint.model!r} at {endpoint.url} gave no answer for "
                        f"{patience:g} s (stage {stage}); last: {error}"
                    ) from error
                model_spans.retried(cause, wait)
                await asyncio.sleep(wait)
                pause = min(pause * 2, self._settings.max_backoff_seconds)

    async def _post(self, endpoint: Endpoint, url: str, body: bytes) -> bytes:
        if self._client is None:
            raise RuntimeError("HttpModels is used outside its context")
        headers = endpoint.headers | model_spans.posting(endpoint.model, url)
        try:
            response = await self._client.post(url, headers, body)
        except (BadResponse, OSError) as error:
            raise Retryable(told(error, self._settings.timeout_seconds)) from error
        content = response.content
        if endpoint.api_key:  # Some servers repeat it in what they refuse.
            content = content.replace(endpoint.api_key.encode(), b"***")
        if response.status != 200:
            _raise_status(response.status, without_request(content, body, endpoint.model))
        return content


def _cause(error: Retryable) -> str:
    """Return a short name to count by, one of a few."""
    match error.__cause__:
        case None:
            return str(error).partition(":")[0]  # HTTP 503
        case TimeoutError():
            return "time-out"
        case OSError():
            return _BROKEN
        case _:
            return "unreadable answer"


def _raise_status(status: int, content: bytes) -> None:
    detail = content[:500].decode(errors="replace")
    if status >= 500 or status in (408, 429):
        raise Retryable(f"HTTP {status}: {detail}")
    raise Rejected(f"HTTP {status}: {detail}")
