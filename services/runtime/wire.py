"""Chat completions and embeddings as the JSON of an OpenAI-compatible server."""

from collections.abc import Mapping
from typing import Any

from services.runtime.ports import ChatAnswer, ChatRequest, Completion


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


def parse_embeddings(fields: Mapping[str, Any]) -> list[list[float]]:
    """Return the vectors in the order of their texts."""
    data = sorted(fields["data"], key=lambda item: item["index"])
    return [item["embedding"] for item in data]


def parse_chat(fields: Mapping[str, Any]) -> ChatAnswer:
    """Return the answer.

    Raises:
        IndexError, KeyError, TypeError: it is no chat completion.
    """
    usage = fields["usage"]
    completions = tuple(_completion(choice) for choice in fields["choices"])
    if not completions:
        raise IndexError("no choices")
    return ChatAnswer(
        completions=completions,
        model=fields["model"],
        prompt_tokens=usage["prompt_tokens"],
        completion_tokens=usage["completion_tokens"],
    )


def _completion(choice: Mapping[str, Any]) -> Completion:
    logprobs = (choice.get("logprobs") or {}).get("content") or []
    first = logprobs[0]["top_logprobs"] if logprobs else []
    return Completion(
        text=choice["message"]["content"] or "",
        finish_reason=choice["finish_reason"] or "stop",
        first_token_logprobs={item["token"]: item["logprob"] for item in first},
    )
