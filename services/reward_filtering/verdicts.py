"""The rules of the response stage: which response is taken, and whether its sample is accepted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.reward_filtering.quantiles import slack
from services.reward_filtering.static_filters import is_refusal, is_repetitive, words

LEAST_LOGPROB = -100.0
"""Log-probabilities below it count as it; some servers write -9999 for "never"."""

LEAST_REST = 1e-6
"""Probability left beside the listed tokens, at least: what float32 log-probabilities resolve."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """What a response must keep to."""

    min_words: int
    max_words: int
    warmup: int = 8
    """Rewards of the stratum to see before its quantile is held against one."""


def best_of(rewards: Sequence[float | None]) -> int:
    """Return the index of the highest finite reward, the first of equals; -1 when there is none."""
    best, highest = -1, -math.inf
    for index, reward in enumerate(rewards):
        if reward is not None and math.isfinite(reward) and (best < 0 or reward > highest):
            best, highest = index, reward
    return best


def _word(token: str) -> str:
    # SentencePiece marks a leading space as U+2581, byte-level BPE as U+0120.
    return token.strip(" \t\r\n\u2581\u0120.,:;!\"'*").casefold()


def _log_sum_exp(values: Sequence[float]) -> float:
    highest = max(values)
    return highest + math.log(math.fsum(math.exp(value - highest) for value in values))


def reward_from_logprobs(
    logprobs: Mapping[str, float], yes: Sequence[str] = ("yes",), no: Sequence[str] = ("no",)
) -> float | None:
    """Return a judge's log-odds of "yes", from the alternatives of its one-token verdict.

    The variants of a word (case, leading space, punctuation) are added up. A side that is not
    listed is no more probable than the least probable token that is, nor than what all listed
    tokens leave over: the smaller of the two stands for it, so that the log-odds are a bound
    and never infinite.

    Args:
        logprobs: Natural log-probabilities of the most probable tokens, by token.
        yes: Words that say yes, in any case.
        no: Words that say no, in any case.

    Returns:
        Log-odds in nats, or None when no token says yes or no.
    """
    listed = [
        (_word(token), min(max(value, LEAST_LOGPROB), 0.0))
        for token, value in logprobs.items()
        if not math.isnan(value)
    ]
    sides: list[float | None] = []
    for wanted in (yes, no):
        named = {word.casefold() for word in wanted}
        found = [value for word, value in listed if word in named]
        sides.append(_log_sum_exp(found) if found else None)
    for_yes, for_no = sides
    if for_yes is None and for_no is None:
        return None
    values = [value for _, value in listed]
    rest = max(1.0 - math.fsum(map(math.exp, values)), LEAST_REST)
    bound = min(min(values), math.log(rest))
    return (bound if for_yes is None else for_yes) - (bound if for_no is None else for_no)


def response_reason(
    response: str,
    reward: float | None,
    *,
    limits: ResponseLimits,
    threshold: float | None,
    seen: int,
    may_refuse: bool = False,
) -> str:
    """Return why a sample is not accepted by the response that was taken, or "" when it is.

    Args:
        response: The text of the best response.
        reward: Its reward; None or not finite when none could be measured.
        limits: Bounds of its length, and the warm-up.
        threshold: The stratum's reward quantile that it has to reach; None before any reward.
        seen: Rewards that `threshold` rests on; below `limits.warmup` any finite reward will do.
        may_refuse: Whether a refusal can be what the request calls for.

    Returns:
        One of `no_reward`, `refusal`, `length`, `repetitive`, `reward_quantile`.
    """
    if reward is None or not math.isfinite(reward):
        return "no_reward"
    if not may_refuse and is_refusal(response):
        return "refusal"
    if not limits.min_words <= len(words(response)) <= limits.max_words:
        return "length"
    if is_repetitive(response):
        return "repetitive"
    if threshold is None or seen < limits.warmup:
        return ""
    return "reward_quantile" if reward < threshold - slack(threshold) else ""


def release_due(granted: int, recall: int, released: int, accepted: int) -> int:
    """Return how much more quota a stratum has to give back now, at least 0.

    It owes what it was asked for and has not released, but never more than the room it has left:
    quota that accepted samples took since it was asked is not given back. The next
    `QuotaReleased` carries `released` plus this number.

    Args:
        granted: Quota that it was granted, in all so far.
        recall: Quota that it was asked to give back, in all so far.
        released: Quota that it gave back, in all so far.
        accepted: Samples that it accepted.
    """
    return max(0, min(recall - released, granted - released - accepted))
