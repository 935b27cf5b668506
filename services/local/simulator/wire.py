"""Requests as they come over HTTP, read into what the model needs; unknown fields are ignored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.local.simulator.answers import Sampling
from services.local.simulator.constraints import constraint_of
from services.local.simulator.fields import flag, number, strings, whole
from services.local.simulator.logprobs import MOST_ALTERNATIVES
from services.local.simulator.refusals import Refusal, bad_request, too_long, validation_error
from services.local.simulator.tokens import Messages

Body = Mapping[str, Any]

_COMPLETION_TOKENS = 16
"""`max_tokens` of /v1/completions where it is not given."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """Whether and how the answer is streamed."""

    wanted: bool
    with_usage: bool


def body_of(content_type: str, raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        Refusal: the media type is not JSON, or the body is not a JSON object.
    """
    if content_type.split(";", 1)[0].strip().lower() != "application/json":
        raise Refusal(
            400,
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
            "Bad Request",
        )
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = _parsed_by_the_book(raw)
    if not isinstance(body, dict):
        raise validation_error(
            "model_attributes_type",
            "body",
            "Input should be a valid dictionary or object to extract fields from",
            body,
        )
    return body


def _parsed_by_the_book(raw: bytes) -> Any:
    """Parse with the standard library: its messages are the ones that vLLM passes on."""
    try:
        return json.loads(raw)
    except json.JSONDecodeError as wrong:
        raise validation_error(
            "json_invalid", f"body.{wrong.pos}", "JSON decode error", {}, wrong.msg
        ) from None
    except UnicodeDecodeError as wrong:
        raise Refusal(400, f"There was an error parsing the body: {wrong}", "Bad Request") from None


def messages_of(body: Body) -> Messages:
    """Return the chat turns as (role, content).

    Raises:
        Refusal: they are missing or malformed.
    """
    turns = body.get("messages")
    if turns is None:
        raise validation_error("missing", "body.messages", "Field required", body)
    if not isinstance(turns, list):
        raise validation_error("list_type", "body.messages", "Input should be a valid list", turns)
    return tuple(_turn(turn, place) for place, turn in enumerate(turns))


def _turn(turn: Any, place: int) -> tuple[str, str]:
    location = f"body.messages.{place}"
    if not isinstance(turn, dict):
        raise validation_error("dict_type", location, "Input should be a valid dictionary", turn)
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str):
        raise validation_error("missing", f"{location}.role", "Field required", turn)
    if isinstance(content, list):
        parts = (part if isinstance(part, str) else part.get("text", "") for part in content)
        content = "\n".join(parts)
    if not isinstance(content, str | None):
        raise validation_error(
            "string_type", f"{location}.content", "Input should be a valid string", content
        )
    return role, content or ""


def prompts_of(body: Body, field: str = "prompt") -> tuple[str, ...]:
    """Return the texts of `field`, one or a list of them.

    Raises:
        Refusal: they are missing or malformed, or token ids, which mean nothing here.
    """
    given = body.get(field)
    if given is None:
        raise validation_error("missing", f"body.{field}", "Field required", body)
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise validation_error(
            "string_type", f"body.{field}", "Input should be a text or a list of texts", given
        )
    if not texts:
        raise bad_request(f"Please provide at least one {field}.", field)
    return tuple(texts)


def streaming_of(body: Body) -> Streaming:
    """Return whether the answer is to be streamed.

    Raises:
        Refusal: there are options for streaming without it.
    """
    wanted = flag(body, "stream")
    options = body.get("stream_options")
    if options and not wanted:
        raise bad_request(
            "Stream options can only be defined when `stream=True`.", "stream_options"
        )
    return Streaming(wanted, bool(isinstance(options, dict) and options.get("include_usage")))


def sampling_of(body: Body, *, chat: bool, prompt_tokens: int, limit: int) -> Sampling:
    """Return how to answer a prompt of `prompt_tokens` tokens on a model of `limit` tokens.

    Raises:
        Refusal: a value is out of range, or prompt and answer do not fit the model together.
    """
    max_tokens = whole(body, "max_completion_tokens") if chat else None
    if max_tokens is None:
        max_tokens = whole(body, "max_tokens")
    logprobs = _logprobs(body, chat=chat)
    if max_tokens is not None:
        if max_tokens < 1:
            raise bad_request(
                f"max_tokens must be at least 1, got {max_tokens}.", "max_tokens", max_tokens
            )
        if max_tokens > limit:
            raise bad_request(
                f"max_tokens={max_tokens} cannot be greater than max_model_len={limit}. "
                "Please request fewer output tokens.",
                "max_tokens",
                max_tokens,
            )
    if prompt_tokens + (max_tokens or 1) > limit:
        raise too_long(prompt_tokens, max_tokens or 1, limit)
    if max_tokens is None:
        room = limit - prompt_tokens
        max_tokens = room if chat else min(room, _COMPLETION_TOKENS)
    sampling = Sampling(
        max_tokens=max_tokens,
        temperature=number(body, "temperature", 1.0),
        n=1 if (n := whole(body, "n")) is None else n,
        seed=whole(body, "seed"),
        top_p=number(body, "top_p", 1.0),
        stop=strings(body, "stop"),
        logprobs=logprobs,
        constraint=constraint_of(body),
        ignore_eos=flag(body, "ignore_eos"),
    )
    _check_ranges(sampling)
    return sampling


def _check_ranges(sampling: Sampling) -> None:
    if sampling.n < 1:
        raise bad_request(f"n must be at least 1, got {sampling.n}.", "n", sampling.n)
    if sampling.temperature < 0:
        raise bad_request(
            f"temperature must be non-negative, got {sampling.temperature}.",
            "temperature",
            sampling.temperature,
        )
    if not 0 < sampling.top_p <= 1:
        raise bad_request(
            f"top_p must be in (0, 1], got {sampling.top_p}.", "top_p", sampling.top_p
        )
    if not all(sampling.stop):
        raise bad_request("stop cannot contain an empty string.")
    if sampling.logprobs is not None and sampling.logprobs > MOST_ALTERNATIVES:
        raise bad_request(
            f"Requested sample logprobs of {sampling.logprobs}, "
            f"which is greater than max allowed: {MOST_ALTERNATIVES}",
            "logprobs",
            sampling.logprobs,
        )
    if sampling.greedy and sampling.n > 1:
        raise bad_request(f"n must be 1 when using greedy sampling, got {sampling.n}.")


def _logprobs(body: Body, *, chat: bool) -> int | None:
    if not chat:
        count = whole(body, "logprobs")
        if count is not None and count < 0:
            raise bad_request("`logprobs` must be a positive value.", "logprobs", count)
        return count
    count = whole(body, "top_logprobs") or 0
    if count < 0:
        raise bad_request("`top_logprobs` must be a positive value or -1.", "top_logprobs", count)
    if flag(body, "logprobs"):
        return count
    if count > 0:
        raise bad_request(
            "when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs"
        )
    return None
