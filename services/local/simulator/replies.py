"""Bodies of successful answers, in the shape of vLLM 0.32's."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.local.simulator.answers import Generated
from services.local.simulator.logprobs import Place
from services.local.simulator.token_reports import (
    chat_logprobs,
    completion_logprobs,
    prompt_logprobs,
)

VERSION = "0.32.0"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer of a server to one call says."""

    id: str
    created: int
    """Seconds since the epoch."""
    model: str
    fingerprint: str


def chat_completion(
    envelope: Envelope, choices: Sequence[Generated], prompt_tokens: int, cached_tokens: int = 0
) -> dict[str, Any]:
    """Return the answer to a chat; `cached_tokens` of its prompt were in the prefix cache."""
    return {
        "id": envelope.id,
        "object": "chat.completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": choice.text,
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    "reasoning": None,
                },
                "logprobs": chat_logprobs(choice),
                "finish_reason": choice.finish_reason,
                "stop_reason": choice.stop_reason,
                "token_ids": None,
                "routed_experts": None,
            }
            for index, choice in enumerate(choices)
        ],
        "service_tier": None,
        "system_fingerprint": envelope.fingerprint,
        "usage": chat_usage(
            prompt_tokens, sum(len(choice.tokens) for choice in choices), cached_tokens
        ),
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "prompt_text": None,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }


def completion(
    envelope: Envelope,
    choices: Sequence[Generated],
    prompt_tokens: int,
    completion_tokens: int,
    given: Sequence[Sequence[Place] | None],
    cached_tokens: int = 0,
) -> dict[str, Any]:
    """Return the answer to a completion; `given` are the scores of the prompt of each choice.

    The choices may repeat their prompts, so what was generated is counted by the caller.
    """
    return {
        "id": envelope.id,
        "object": "text_completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [
            {
                "index": index,
                "text": choice.text,
                "logprobs": completion_logprobs(choice),
                "finish_reason": choice.finish_reason,
                "stop_reason": choice.stop_reason,
                "token_ids": None,
                "prompt_logprobs": None if scores is None else prompt_logprobs(scores),
                "prompt_token_ids": None,
                "routed_experts": None,
            }
            for index, (choice, scores) in enumerate(zip(choices, given, strict=True))
        ],
        "service_tier": None,
        "system_fingerprint": envelope.fingerprint,
        "usage": _usage(prompt_tokens, completion_tokens, cached_tokens, None),
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }


def chat_usage(
    prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0
) -> dict[str, Any]:
    """Return the token counts of a chat."""
    return _usage(prompt_tokens, completion_tokens, cached_tokens, 0)


def _usage(
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int,
    created_cache_tokens: int | None,
) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": cached_tokens,
            "created_cache_tokens": created_cache_tokens,
            "multimodal_tokens": None,
        },
        "completion_tokens_details": None,
    }


def _pooling_usage(prompt_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens,
        "completion_tokens": 0,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }


def embedding_list(
    envelope: Envelope,
    vectors: Sequence[NDArray[np.float32]],
    prompt_tokens: int,
    encoding: str,
) -> dict[str, Any]:
    """Return the answer to an embeddings call; numbers, or base64 of little-endian float32."""
    return {
        "id": envelope.id,
        "object": "list",
        "created": envelope.created,
        "model": envelope.model,
        "data": [
            {
                "index": index,
                "object": "embedding",
                "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode()
                if encoding == "base64"
                else vector,
            }
            for index, vector in enumerate(vectors)
        ],
        "usage": _pooling_usage(prompt_tokens),
    }


def classification_list(
    envelope: Envelope, numbers: Sequence[float], prompt_tokens: int
) -> dict[str, Any]:
    """Return the answer to a classification with one class: one number each."""
    return {
        "id": envelope.id,
        "object": "list",
        "created": envelope.created,
        "model": envelope.model,
        "data": [
            {"index": index, "label": "LABEL_0", "probs": [number], "num_classes": 1}
            for index, number in enumerate(numbers)
        ],
        "usage": _pooling_usage(prompt_tokens),
    }


def model_list(names: Sequence[str], created: int, max_model_len: int) -> dict[str, Any]:
    """Return the list of the names that a server answers to."""
    return {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": "vllm",
                "root": names[0],
                "parent": None,
                "max_model_len": max_model_len,
                "permission": [
                    {
                        "id": f"modelperm-{name}",
                        "object": "model_permission",
                        "created": created,
                        "allow_create_engine": False,
                        "allow_sampling": True,
                        "allow_logprobs": True,
                        "allow_search_indices": False,
                        "allow_view": True,
                        "allow_fine_tuning": False,
                        "organization": "*",
                        "group": None,
                        "is_blocking": False,
                    }
                ],
            }
            for name in names
        ],
    }
