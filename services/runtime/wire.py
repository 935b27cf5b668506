"""Chat completions, embeddings and rewards as the JSON of vLLM's servers."""

import base64
import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import orjson

from services.runtime.errors import Retryable
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Embeddings

T = TypeVar("T")


def parsed(content: bytes, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """Return what `parse` makes of an answer.

    Raises:
        Retryable: it is not what was asked for; another try may bring it.
    """
    try:
        return parse(_json(content))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Retryable(f"no such answer as asked for: {_shown(content)} ({error})") from error


def _shown(content: bytes) -> str:
    """Return what an answer is like; what a model wrote is not for the log."""
    if content.lstrip()[:1] in (b"{", b"["):
        return f"JSON of {len(content)} bytes"
    return repr(content[:200])


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if b"NaN" not in content and b"Infinity" not in content:
            raise
        # No JSON, but what Python's own writer makes of such numbers; not worth a retry for ever.
        return json.loads(content)


def chat_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the body of POST /v1/chat/completions; what is not asked for is not sent."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.n > 1:
        body["n"] = request.n
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.top_logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = request.top_logprobs
    if request.json_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": request.json_schema, "strict": True},
        }
    return body


def embedding_body(model: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return the body of POST /v1/embeddings.

    As base64 a vector is a third as long as in decimals, and read in a hundredth of the time.
    """
    return {"model": model, "input": list(texts), "encoding_format": "base64"}


def parse_embeddings(fields: Mapping[str, Any]) -> Embeddings:
    """Return the vectors in the order of their texts.

    Raises:
        KeyError, TypeError, ValueError: they are no embeddings.
    """
    data = sorted(fields["data"], key=lambda item: item["index"])
    return [_vector(item["embedding"]) for item in data]


def _vector(given: Any) -> Sequence[float]:
    """Return a vector that came as base64 of float32 or, from servers without that, as numbers."""
    if isinstance(given, str):
        numbers = np.frombuffer(base64.b64decode(given, validate=True), dtype="<f4")
    else:
        numbers = np.asarray(_typed(given, list))
    if numbers.ndim != 1 or numbers.dtype.kind not in "fi" or not np.isfinite(numbers).all():
        raise TypeError("an embedding that is no list of finite numbers")
    code = "f" if isinstance(given, str) else "d"
    return array(code, numbers.astype(code).tobytes())


def classify_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the body of POST /classify, which gives the reward of a conversation's last turn.

    Without `use_activation: false` the logit is squashed by a sigmoid, which flattens rewards.
    """
    scored = request.scored or request.messages
    return {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in scored],
        "use_activation": False,
    }


def parse_classify(fields: Mapping[str, Any]) -> ChatAnswer:
    """Return the reward of one conversation, as an answer without text.

    A number that is none (vLLM writes NaN where half precision overflows) is no reward: asking
    again would give it again.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is no reward of one conversation; the
            message says how many numbers came instead.
    """
    data = fields["data"]
    if len(data) != 1:
        raise ValueError(f"{len(data)} rewards for one conversation")
    logits = data[0]["probs"]
    if len(logits) != 1:
        raise ValueError(f"{len(logits)} classes: a reward model has one")
    logit = None if logits[0] is None else _real(logits[0])
    usage = fields["usage"]
    return ChatAnswer(
        completions=(
            Completion(
                text="",
                finish_reason="stop",
                reward=logit if logit is not None and math.isfinite(logit) else None,
            ),
        ),
        model=_typed(fields["model"], str),
        prompt_tokens=_typed(usage["prompt_tokens"], int),
        completion_tokens=0,
    )


def parse_chat(fields: Mapping[str, Any]) -> ChatAnswer:
    """Return the answer.

    Raises:
        AttributeError, IndexError, KeyError, TypeError: it is no chat completion.
    """
    usage = fields["usage"]
    completions = tuple(_completion(choice) for choice in fields["choices"])
    if not completions:
        raise IndexError("no choices")
    return ChatAnswer(
        completions=completions,
        model=_typed(fields["model"], str),
        prompt_tokens=_typed(usage["prompt_tokens"], int),
        completion_tokens=_typed(usage["completion_tokens"], int),
        cached_tokens=_cached(usage),
    )


def _cached(usage: Mapping[str, Any]) -> int:
    """Return what is known of the prefix cache: vLLM tells with --enable-prompt-tokens-details."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return cached if isinstance(cached, int) else 0


def _completion(choice: Mapping[str, Any]) -> Completion:
    # A probability that is no number says nothing of its token.
    logprobs = (choice.get("logprobs") or {}).get("content") or []
    first = logprobs[0]["top_logprobs"] if logprobs else []
    return Completion(
        text=_typed(choice["message"]["content"] or "", str),
        finish_reason=_typed(choice["finish_reason"] or "stop", str),
        first_token_logprobs={
            _typed(item["token"], str): _number(item["logprob"])
            for item in first
            if item["logprob"] is not None and math.isfinite(item["logprob"])
        },
    )


def _typed(value: object, kind: type[T]) -> T:
    """Return the value if it is of that kind: later, another one would end the process."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _real(value: object) -> float:
    return value if type(value) is float else float(_typed(value, int))


def _number(value: object) -> float:
    number = _real(value)
    if not math.isfinite(number):
        raise TypeError(f"{number} instead of a finite number")
    return number
