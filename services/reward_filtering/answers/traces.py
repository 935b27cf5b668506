"""Whether a reasoning trace is fit to train on."""

from dataclasses import dataclass

from services.reward_filtering.answers.comparing import normalised
from services.reward_filtering.static_filters import is_repetitive, words
from services.runtime.errors import Rejected

__all__ = ["TraceLimits", "trace_reason"]


@dataclass(frozen=True, slots=True)
class TraceLimits:
    """How many words a trace has, both ends included.

    Raises:
        Rejected: if no length can satisfy them.
    """

    min_words: int
    max_words: int

    def __post_init__(self) -> None:
        if not 0 <= self.min_words <= self.max_words:
            raise Rejected(
                f"no trace has at least {self.min_words} and at most {self.max_words} words: "
                "give 0 <= min_words <= max_words"
            )


def trace_reason(trace: str, answer: str, limits: TraceLimits) -> str:
    """Return why a trace with its final answer is not kept, or "" when it is.

    Returns:
        The first that holds of `no_answer`, `trace_long`, `trace_short`, `repetitive`.
    """
    if not normalised(answer):
        return "no_answer"
    length = len(words(trace))
    if length > limits.max_words:
        return "trace_long"
    if length < limits.min_words:
        return "trace_short"
    return "repetitive" if is_repetitive(trace) else ""
