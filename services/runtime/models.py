"""The one way to call a model: OpenAI-compatible HTTP, as vLLM and KServe serve it."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import orjson

from services.runtime.demand import Demand, LoadWatch
from services.runtime.errors import Rejected, Retryable
from services.runtime.gate import Gate
from services.runtime.metrics import ModelMetrics
from services.runtime.ports import ChatAnswer, ChatRequest, Message, Role
from services.runtime.wire import (
    chat_body,
    classify_body,
    embedding_body,
    parse_chat,
    parse_classify,
    parse_embeddings,
)

T = TypeVar("T")

_SOCIETY = ("birth", "act", "memory", "route")
_LINE = ("scenario", "instruction", "reply", "response", "tests", "rollout", "judge", "held_out")
STAGE_PRIORITY = dict.fromkeys(_SOCIETY, 0) | {s: -n for n, s in enumerate(_LINE, start=1)}
"""Lowest first. Later stages go first, so that work in progress is finished before new work is
begun; those of the society are equal, so that no group waits for others to get further."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model server and the model asked for."""

    url: str
    """Base address without /v1."""
    model: str
    api_key: str = ""
    scores: bool = False
    """It is a reward model with a score head, and asked by /classify."""

    def __repr__(self) -> str:
        return f"Endpoint(url={self.url!r}, model={self.model!r})"


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
    """Chat completions and embeddings from one endpoint per role, behind one gate per server."""

    def __init__(
        self,
        endpoints: Mapping[Role, Endpoint],
        metrics: ModelMetrics,
        slots: int = 64,
        settings: CallSettings | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._metrics = metrics
        self._settings = settings or CallSettings()
        self._gates = {endpoint.url: Gate(slots) for endpoint in endpoints.values()}
        self._session: aiohttp.ClientSession | None = None
        self._watches: dict[str, LoadWatch] = {}

    @property
    def in_flight(self) -> int:
        """Requests that servers are working on."""
        return sum(gate.in_flight for gate in self._gates.values())

    async def __aenter__(self) -> "HttpModels":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds, sock_connect=10),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches.values():
            await watch.close()
        if self._session is not None:
            await self._session.close()

    def demand(self, role: Role) -> Demand:
        """Return what is asked of the server of `role`, which is polled from the first time on."""
        if self._session is None:
            raise RuntimeError("HttpModels is used outside its context")
        endpoint = self._endpoints[role]
        gate, watch = self._gates[endpoint.url], self._watches.get(endpoint.url)
        if watch is None:
            headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
            watch = LoadWatch(self._session, endpoint.url, headers)
            self._watches[endpoint.url] = watch
        if watch.load is None:
            return Demand(None, None, gate.waiting, gate.in_flight)
        return Demand(watch.load.running, watch.load.waiting, gate.waiting, gate.in_flight)

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
        self._metrics.calls[stage] += 1
        self._metrics.prompt_tokens[stage] += answer.prompt_tokens
        self._metrics.completion_tokens[stage] += answer.completion_tokens
        return answer

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector per text; see `ports.Embedder`.

        Raises:
            Rejected: the server cannot embed.
            Retryable: no answer within the patience.
        """
        if not texts:
            return []
        body = embedding_body(self._endpoints["embedding"].model, texts)
        return await self._call("embedding", "embed", "/v1/embeddings", body, parse_embeddings)

    async def _call(
        self,
        role: Role,
        stage: str,
        path: str,
        fields: Mapping[str, Any],
        parse: Callable[[Mapping[str, Any]], T],
    ) -> T:
        endpoint = self._endpoints[role]
        body = orjson.dumps(fields)
        patience = self._settings.patience_seconds
        if role == "held_out":
            patience = min(patience, self._settings.held_out_patience_seconds)
        loop = asyncio.get_running_loop()
        deadline = None
        pause = self._settings.first_backoff_seconds
        while True:
            try:
                async with self._gates[endpoint.url].at(STAGE_PRIORITY.get(stage, 0)):
                    content = await self._post(endpoint, path, body)
                return _parsed(content, parse)
            except Rejected as error:
                self._metrics.refused[stage] += 1
                raise Rejected(
                    f"model {endpoint.model!r} at {endpoint.url} refuses this request "
                    f"(stage {stage}): {error}"
                ) from error
            except Retryable as error:
                self._metrics.retries[_cause(error)] += 1
                # Not from the call on: waiting for a slot is no failure, and one time-out is not
                # to use up all patience.
                deadline = deadline or loop.time() + patience
                wait = pause * random.uniform(0.5, 1.5)
                if loop.time() + wait > deadline:
                    raise Retryable(
                        f"model {endpoint.model!r} at {endpoint.url} gave no answer for "
                        f"{patience:g} s (stage {stage}); last: {error}"
                    ) from error
                await asyncio.sleep(wait)
                pause = min(pause * 2, self._settings.max_backoff_seconds)

    async def _post(self, endpoint: Endpoint, path: str, body: bytes) -> bytes:
        if self._session is None:
            raise RuntimeError("HttpModels is used outside its context")
        headers = {"Content-Type": "application/json"}
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        try:
            async with self._session.post(
                endpoint.url + path, data=body, headers=headers
            ) as response:
                content = await response.read()
                status = response.status
            if endpoint.api_key:  # Some servers repeat it in what they refuse.
                content = content.replace(endpoint.api_key.encode(), b"***")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(_told(error, self._settings.timeout_seconds)) from error
        if status != 200:
            _raise_status(status, content)
        return content


def _parsed(content: bytes, parse: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return parse(_json(content))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Retryable(f"no such answer as asked for: {content[:200]!r} ({error})") from error


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if b"NaN" not in content and b"Infinity" not in content:
            raise
        # No JSON, but what Python's own writer makes of such numbers; not worth a retry for ever.
        return json.loads(content)


def _cause(error: Retryable) -> str:
    """Return a short name to count by."""
    match error.__cause__:
        case None:
            return str(error).partition(":")[0]  # HTTP 503
        case TimeoutError():
            return "time-out"
        case aiohttp.ClientConnectionError() | OSError():
            return "broken connection"
        case _:
            return "unreadable answer"


def _told(error: Exception, timeout_seconds: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout_seconds:g} s"
    return f"{type(error).__name__} {error}"


def _raise_status(status: int, content: bytes) -> None:
    detail = content[:500].decode(errors="replace")
    if status >= 500 or status in (408, 429):
        raise Retryable(f"HTTP {status}: {detail}")
    raise Rejected(f"HTTP {status}: {detail}")


async def has_score_head(endpoint: Endpoint, timeout_seconds: float = 60.0) -> bool:
    """Return whether a server is a reward model with a score head, by asking it for a reward.

    A generating server has no /classify.

    Raises:
        Rejected: it classifies, but does not answer with one number.
        Retryable: it does not answer, or says that it cannot now.
    """
    turns = (Message("user", "2+2?"), Message("assistant", "4"))
    body = classify_body(endpoint.model, ChatRequest(turns, max_tokens=1))
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{endpoint.url}/classify", json=body, headers=headers) as response,
        ):
            content, status = await response.read(), response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Retryable(f"{endpoint.url}: {_told(error, timeout_seconds)}") from error
    if status >= 500:
        raise Retryable(f"{endpoint.url}/classify answered HTTP {status}: {content[:200]!r}")
    if status != 200:
        return False
    try:
        _parsed(content, parse_classify)
    except Retryable as error:
        raise Rejected(
            f"model {endpoint.model!r} at {endpoint.url} is no reward model: {error}"
        ) from error
    return True


async def served_models(url: str, api_key: str = "", timeout_seconds: float = 10.0) -> list[str]:
    """Return the names of the models that a server offers.

    Raises:
        Rejected: nothing answers there, or what answers is no OpenAI-compatible server.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    advice = "is a vLLM or other OpenAI-compatible server running there?"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_seconds)) as session,
            session.get(f"{url}/v1/models", headers=headers) as response,
        ):
            content = await response.read()
            if response.status in (401, 403):
                advice = "is the API key missing or wrong?"
            if response.status != 200:
                raise Rejected(f"{url}/v1/models answered HTTP {response.status}; {advice}")
            return [model["id"] for model in orjson.loads(content)["data"]]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Rejected(f"{url}: {_told(error, timeout_seconds)}; {advice}") from error
    except (KeyError, TypeError) as error:
        raise Rejected(f"{url}/v1/models gave no list of models; {advice}") from error
