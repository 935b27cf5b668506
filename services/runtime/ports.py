"""What the application layers ask of the world; adapters live in `runtime` and `local`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["simulator", "teacher", "student", "reward", "held_out", "embedding"]
"""Which model a call is for; any of them may share a server, but the held-out reward, which is
reported beside the one that decides and must not be the same."""


@dataclass(frozen=True, slots=True)
class Record:
    """One message to be published."""

    topic: str
    key: str
    """Identifies what the message is about; compacted topics keep the last record of a key."""
    value: bytes
    """Empty: a tombstone, which removes the key from a compacted topic."""
    headers: Mapping[str, str] = field(default_factory=dict)
    partition_key: str = ""
    """Decides the partition; the key itself when empty."""
    partition: int | None = None
    """The partition itself, for what belongs to a partition and not to a key."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A published message, with its place in the log."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str]


class Publisher(Protocol):
    """The way out to the log."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Append `records` in order; returns when all of them are durable."""


class Clock(Protocol):
    """Wall-clock time in seconds since the epoch."""

    def __call__(self) -> float:
        """Return the time now."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion to ask a model for."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.7
    n: int = 1
    """Completions to sample; more than one needs a temperature above 0."""
    json_schema: Mapping[str, Any] | None = None
    """Restricts the answer to JSON of this schema."""
    top_logprobs: int = 0
    """Alternatives to report for each token, at most 20; 0 reports none."""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    """Sent only in deterministic runs: some servers fail on seeds under load."""
    scored: tuple[Message, ...] = ()
    """The conversation whose last turn is to be rewarded. A reward model with a score head is given
    it in place of `messages`, which ask any other model for a verdict on it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer."""

    text: str
    finish_reason: str
    """`stop`, or `length` when `max_tokens` cut it off."""
    first_token_logprobs: Mapping[str, float] = field(default_factory=dict)
    """Alternatives of the first token and their log-probabilities, when asked for."""
    reward: float | None = None
    """Raw logit of a reward model with a score head; None when it gave no finite number, and of
    any other model."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The completions of one call, and what they cost."""

    completions: tuple[Completion, ...]
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Those of the prompt that the server had in its prefix cache, where it tells."""


class ChatModel(Protocol):
    """A language model behind some server."""

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Ask the model of `role` on behalf of `stage` (later stages go first when it is busy).

        Raises:
            Rejected: the model will never answer this request (4xx).
            Retryable: it did not answer in spite of retries.
        """


Embeddings = Sequence[Sequence[float]]
"""Vectors of texts, each a list or an array of floats, which NumPy reads ten times as fast."""


class Embedder(Protocol):
    """Text to vectors."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one L2-normalised vector per text, all of the same length."""
