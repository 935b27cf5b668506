"""Streamed answers: one server-sent event for each token, in the shape of vLLM 0.32's."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from services.local.simulator.answers import Generated
from services.local.simulator.replies import Envelope, chat_usage
from services.local.simulator.token_reports import chat_token, completion_logprobs
from services.local.simulator.tokens import END_OF_TURN

DONE = b"data: [DONE]\n\n"


def event(chunk: dict[str, Any]) -> bytes:
    """Return `chunk` as a server-sent event."""
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def chat_chunks(
    envelope: Envelope, choices: Sequence[Generated], prompt_tokens: int, *, with_usage: bool
) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a chat, choice after choice."""
    head = _head(envelope, "chat.completion.chunk")
    for index, _ in enumerate(choices):
        opening = {
            "index": index,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        yield head | {"choices": [opening], "prompt_token_ids": None, "prompt_text": None}
    for index, choice in enumerate(choices):
        pieces = _pieces(choice)
        for place, piece in enumerate(pieces):
            said: dict[str, Any] = {
                "index": index,
                "delta": {"content": piece},
                "logprobs": None
                if choice.scores is None
                else {"content": [chat_token(choice.scores[place])]},
                "finish_reason": None,
            }
            if place == len(pieces) - 1:
                said |= {"finish_reason": choice.finish_reason, "stop_reason": choice.stop_reason}
            yield head | {"choices": [said | {"token_ids": None}]}
    if with_usage:
        usage = chat_usage(prompt_tokens, sum(len(choice.tokens) for choice in choices))
        del usage["completion_tokens_details"], usage["prompt_tokens_details"]["multimodal_tokens"]
        yield head | {
            "choices": [],
            "usage": usage,
            "system_fingerprint": envelope.fingerprint,
        }


def completion_chunks(envelope: Envelope, choices: Sequence[Generated]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a completion, choice after choice."""
    head = _head(envelope, "text_completion")
    for index, choice in enumerate(choices):
        pieces = _pieces(choice)
        offset = 0
        for place, piece in enumerate(pieces):
            last = place == len(pieces) - 1
            token = choice.tokens[place : place + 1]
            scores = None if choice.scores is None else choice.scores[place : place + 1]
            said = {
                "index": index,
                "text": piece,
                "logprobs": completion_logprobs(Generated(piece, token, "", None, scores), offset),
                "finish_reason": choice.finish_reason if last else None,
                "stop_reason": choice.stop_reason if last else None,
                "prompt_token_ids": None,
                "token_ids": None,
            }
            offset += len(piece)
            closing = {"system_fingerprint": envelope.fingerprint} if last else {}
            yield head | {"choices": [said]} | closing


def _head(envelope: Envelope, kind: str) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "object": kind,
        "created": envelope.created,
        "model": envelope.model,
    }


def _pieces(choice: Generated) -> list[str]:
    """Return what each token adds to the text: of a stop string nothing, of the end nothing."""
    pieces = []
    left = choice.text
    for token in choice.tokens:
        piece = "" if token == END_OF_TURN else left[: len(token)]
        left = left[len(piece) :]
        pieces.append(piece)
    return pieces
