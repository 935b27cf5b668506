"""Streamed answers: one server-sent event for each token, in the shape of vLLM 0.32's."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import orjson

from services.local.simulator.answers import Generated
from services.local.simulator.replies import Envelope, chat_usage
from services.local.simulator.token_reports import chat_token, completion_logprobs
from services.local.simulator.tokens import END_OF_TURN

DONE = b"data: [DONE]\n\n"


def event(chunk: dict[str, Any]) -> bytes:
    """Return `chunk` as a server-sent event."""
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


class Streamed(Protocol):
    """An answer in chunks."""

    def opening(self) -> Iterable[dict[str, Any]]:
        """Return the chunks before the first token."""

    def token(self, index: int, place: int) -> dict[str, Any]:
        """Return the chunk of one token, of the choice `index`."""

    def closing(self) -> Iterable[dict[str, Any]]:
        """Return the chunks after the last token."""


class ChatStream:
    """A chat in chunks."""

    def __init__(
        self,
        envelope: Envelope,
        choices: Sequence[Generated],
        prompt_tokens: int,
        cached_tokens: int,
        *,
        with_usage: bool,
    ) -> None:
        self._head = _head(envelope, "chat.completion.chunk")
        self._fingerprint = envelope.fingerprint
        self._choices = choices
        self._pieces = [_pieces(choice) for choice in choices]
        self._prompt = (prompt_tokens, cached_tokens)
        self._with_usage = with_usage

    def opening(self) -> Iterator[dict[str, Any]]:
        """Return the chunk of each choice that says who speaks."""
        for index, _ in enumerate(self._choices):
            said = {
                "index": index,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
            }
            yield self._head | {"choices": [said], "prompt_token_ids": None, "prompt_text": None}

    def token(self, index: int, place: int) -> dict[str, Any]:
        """Return the chunk of one token."""
        choice, pieces = self._choices[index], self._pieces[index]
        said: dict[str, Any] = {
            "index": index,
            "delta": {"content": pieces[place]},
            "logprobs": None
            if choice.scores is None
            else {"content": [chat_token(choice.scores[place])]},
            "finish_reason": None,
        }
        if place == len(pieces) - 1:
            said |= {"finish_reason": choice.finish_reason, "stop_reason": choice.stop_reason}
        return self._head | {"choices": [said | {"token_ids": None}]}

    def closing(self) -> Iterator[dict[str, Any]]:
        """Return the token counts, if they were asked for."""
        if self._with_usage:
            prompt_tokens, cached_tokens = self._prompt
            generated = sum(len(choice.tokens) for choice in self._choices)
            usage = chat_usage(prompt_tokens, generated, cached_tokens)
            del usage["completion_tokens_details"]
            del usage["prompt_tokens_details"]["multimodal_tokens"]
            yield self._head | {
                "choices": [],
                "usage": usage,
                "system_fingerprint": self._fingerprint,
            }


class CompletionStream:
    """A completion in chunks; the first tokens of each choice may be those of its prompt."""

    def __init__(
        self, envelope: Envelope, choices: Sequence[Generated], echoed: Sequence[int]
    ) -> None:
        self._head = _head(envelope, "text_completion")
        self._fingerprint = envelope.fingerprint
        self._choices = choices
        self._pieces = [_pieces(choice) for choice in choices]
        self._echoed = echoed
        self._offsets = [0] * len(choices)

    def opening(self) -> Iterator[dict[str, Any]]:
        """Return the chunks of the prompts that are repeated."""
        for index, echoed in enumerate(self._echoed):
            for place in range(echoed):
                yield self._chunk(index, place)

    def token(self, index: int, place: int) -> dict[str, Any]:
        """Return the chunk of one token; those of a choice are asked for in order."""
        return self._chunk(index, self._echoed[index] + place)

    def closing(self) -> tuple[()]:
        """Return nothing."""
        return ()

    def _chunk(self, index: int, place: int) -> dict[str, Any]:
        choice, pieces = self._choices[index], self._pieces[index]
        last = place == len(pieces) - 1
        piece = pieces[place]
        token = choice.tokens[place : place + 1]
        scores = None if choice.scores is None else choice.scores[place : place + 1]
        offset = self._offsets[index]
        said = {
            "index": index,
            "text": piece,
            "logprobs": completion_logprobs(Generated(piece, token, "", None, scores), offset),
            "finish_reason": choice.finish_reason if last else None,
            "stop_reason": choice.stop_reason if last else None,
            "prompt_token_ids": None,
            "token_ids": None,
        }
        self._offsets[index] += len(piece)
        closing = {"system_fingerprint": self._fingerprint} if last else {}
        return self._head | {"choices": [said]} | closing


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
