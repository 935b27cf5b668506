"""What the server says no with: status and body as vLLM 0.32 words them."""

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """An HTTP error to be answered."""

    def __init__(
        self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.status,
            }
        }


def bad_request(message: str, param: str | None = None, value: Any = None) -> Refusal:
    """Return the refusal of a well-formed request; `param` and `value` say what it is about."""
    if param is None:
        return Refusal(400, message)
    shown = f"parameter={param}" if value is None else f"parameter={param}, value={value}"
    return Refusal(400, f"{message} ({shown})", param=param)


def grammar_error(message: str) -> Refusal:
    """Return the refusal of a constraint that cannot be compiled."""
    return Refusal(400, f"Grammar error: {message}")


def validation_error(
    kind: str, location: str, message: str, given: Any, context: str | None = None
) -> Refusal:
    """Return the refusal of a body that has not the right form."""
    shown = f"<dict of {len(given)} items>" if isinstance(given, Mapping) else given
    detail = {"type": kind, "loc": location, "msg": message, "input": shown}
    if context is not None:
        detail["ctx"] = {"error": context}
    return Refusal(400, f"1 validation error:\n  {detail}", "Bad Request", location)


def unknown_model(name: str, names: tuple[str, ...]) -> Refusal:
    """Return the refusal of a model that is not served."""
    message = f"The model `{name}` does not exist."
    if len(names) > 1:
        message += f" Valid aliases: {', '.join(names)}."
    return Refusal(404, message, "NotFoundError", "model")


def overloaded() -> Refusal:
    """Return the refusal of a full queue."""
    return Refusal(
        503,
        "The engine is currently busy and cannot accept new requests. "
        "Please try again later or on a different instance.",
        "Service Unavailable",
    )


def engine_failure() -> Refusal:
    """Return the answer of a server whose engine has failed."""
    return Refusal(
        500,
        "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "InternalServerError",
    )


def too_long(prompt_tokens: int, max_tokens: int, limit: int) -> Refusal:
    """Return the refusal of a prompt that leaves no room for `max_tokens` of answer."""
    start = f"This model's maximum context length is {limit} tokens. However, "
    if prompt_tokens > limit:
        counted = limit + 1  # vLLM stops counting there
        return bad_request(
            f"{start}your prompt contains at least {counted} input tokens, which exceeds this "
            "limit even without any output tokens. Please reduce the length of the input prompt.",
            "input_tokens",
            counted,
        )
    counted = limit - max_tokens + 1
    return bad_request(
        f"{start}you requested {max_tokens} output tokens and your prompt contains at least "
        f"{counted} input tokens, for a total of at least {limit + 1} tokens. Please reduce the "
        "length of the input prompt or the number of requested output tokens.",
        "input_tokens",
        counted,
    )
