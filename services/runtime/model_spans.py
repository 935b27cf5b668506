"""Spans of calls to models, by the OpenTelemetry conventions of GenAI.

Prompts and answers stand in them only where a setting wants that; keys never do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from opentelemetry.trace import Span, SpanKind

from services.runtime import tracing
from services.runtime.ports import ChatAnswer, ChatRequest, Embeddings, Role

M = TypeVar("M")
Chat = Callable[[M, Role, str, ChatRequest], Coroutine[Any, Any, ChatAnswer]]
Embed = Callable[[M, Sequence[str]], Coroutine[Any, Any, Embeddings]]

_PROVIDER = "openai"
"""Whose protocol is spoken: who made the model is not known here."""


def traced_chat(ask: Chat[M]) -> Chat[M]:
    """Return a method `chat` each of whose calls is a span, where its caller's is recorded."""

    @functools.wraps(ask)
    def chat(
        models: M, role: Role, stage: str, request: ChatRequest
    ) -> Coroutine[Any, Any, ChatAnswer]:
        if tracing.current() is None:
            return ask(models, role, stage, request)
        return spanned(models, role, stage, request)

    async def spanned(models: M, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        with tracing.child("chat", SpanKind.CLIENT) as span:
            if span is not None:
                _asked(span, role, stage, request)
            answer = await ask(models, role, stage, request)
            if span is not None:
                _answered(span, answer)
            return answer

    return chat


def traced_embed(ask: Embed[M]) -> Embed[M]:
    """Return a method `embed` likewise; texts of several callers may share a request."""

    @functools.wraps(ask)
    def embed(models: M, texts: Sequence[str]) -> Coroutine[Any, Any, Embeddings]:
        if tracing.current() is None or not texts:
            return ask(models, texts)
        return spanned(models, texts)

    async def spanned(models: M, texts: Sequence[str]) -> Embeddings:
        with tracing.child("embeddings", SpanKind.CLIENT) as span:
            if span is not None:
                span.set_attributes(
                    {
                        "gen_ai.operation.name": "embeddings",
                        "gen_ai.provider.name": _PROVIDER,
                        "matrix.role": "embedding",
                        "matrix.stage": "embed",
                        "matrix.texts": len(texts),
                    }
                )
            return await ask(models, texts)

    return embed


def posting(model: str, url: str) -> dict[str, str]:
    """Note in the current span whom a request goes to; return the headers that carry it on."""
    span = tracing.current()
    if span is None:
        return {}
    address = urlsplit(url)
    span.update_name(f"{'embeddings' if url.endswith('/embeddings') else 'chat'} {model}")
    span.set_attribute("gen_ai.request.model", model)
    span.set_attribute("server.address", address.hostname or "")
    span.set_attribute("server.port", address.port or (443 if address.scheme == "https" else 80))
    return tracing.headers()


def retried(cause: str, seconds: float) -> None:
    """Note in the current span that a call is made again after so many seconds."""
    span = tracing.current()
    if span is not None:
        span.add_event("retry", {"error.type": cause, "matrix.pause_seconds": round(seconds, 3)})


def _asked(span: Span, role: Role, stage: str, request: ChatRequest) -> None:
    span.set_attributes(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDER,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.temperature,
            "matrix.role": role,
            "matrix.stage": stage,
        }
    )
    if request.n > 1:
        span.set_attribute("gen_ai.request.choice.count", request.n)
    if request.seed is not None:
        span.set_attribute("gen_ai.request.seed", request.seed)
    if tracing.prompts_wanted():
        messages = [_message(each.role, each.content) for each in request.messages]
        span.set_attribute("gen_ai.input.messages", orjson.dumps(messages).decode())


def _answered(span: Span, answer: ChatAnswer) -> None:
    span.set_attributes(
        {
            "gen_ai.response.model": answer.model,
            "gen_ai.response.finish_reasons": [c.finish_reason for c in answer.completions],
            "gen_ai.usage.input_tokens": answer.prompt_tokens,
            "gen_ai.usage.output_tokens": answer.completion_tokens,
        }
    )
    if tracing.prompts_wanted():
        messages = [
            {**_message("assistant", each.text), "finish_reason": each.finish_reason}
            for each in answer.completions
        ]
        span.set_attribute("gen_ai.output.messages", orjson.dumps(messages).decode())


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}
