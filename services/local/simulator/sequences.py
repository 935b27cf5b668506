"""One sequence in the engine: a choice of a call, or a text to embed or to classify."""

from collections.abc import Callable
from typing import Protocol

from services.local.simulator.kv_cache import Allocation, Chain


class Cancellable(Protocol):
    """A timer."""

    def cancel(self) -> None:
        """Let it not ring."""


class EngineSequence:
    """What a sequence asks of the engine, and how far it has come. Times are the event loop's."""

    __slots__ = (
        *("admitted", "allocation", "arrived", "chain", "finish_reason", "finished", "first_due"),
        *("first_token", "hangs", "key", "max_tokens", "output", "progressed", "prompt_tokens"),
        *("reads_cache", "spread", "timer"),
    )

    def __init__(
        self,
        prompt_tokens: int,
        output: tuple[str, ...] = (),
        finish_reason: str = "stop",
        *,
        max_tokens: int | None = None,
        chain: Chain | None = None,
        reads_cache: bool = True,
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.output = output
        """The tokens that it will generate; none for what is only read."""
        self.finish_reason = finish_reason
        self.max_tokens = max_tokens
        """How many it may generate; None for what is only read."""
        self.chain = chain
        """Its prompt in blocks, where there is a KV cache."""
        self.reads_cache = reads_cache
        self.key = (0, 0)
        """Its place in the queue."""
        self.spread = 1.0
        """How much longer than usual it takes."""
        self.hangs = False
        """Whether it never comes to its end."""
        self.progressed: Callable[[], None] = _nobody
        """Told when it begins to generate and when it ends."""
        self.arrived = 0.0
        self.admitted: float | None = None
        self.first_token = 0.0
        """When it came."""
        self.first_due: float | None = None
        """When it comes, in time of the loaded clock; None before that is known."""
        self.finished = False
        """Whether it is at its end, or given up."""
        self.allocation: Allocation | None = None
        self.timer: Cancellable | None = None

    @property
    def cached_tokens(self) -> int:
        """Tokens of its prompt that the cache had."""
        return 0 if self.allocation is None else self.allocation.cached_tokens


def _nobody() -> None:
    pass
