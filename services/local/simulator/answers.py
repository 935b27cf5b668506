"""Answers of the simulated model: functions of the prompt, the model, the seed and the sampling.

An equal request always gets an equal answer; choices of one request differ unless it is greedy.
"""

import json
import math
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any

from services.local.simulator.conforming import conforming
from services.local.simulator.logprobs import Place, Scored, token_scores, verdict_scores
from services.local.simulator.pattern import matching_text
from services.local.simulator.prompt import Prompt
from services.local.simulator.tokens import END_OF_TURN, tokenize
from services.local.simulator.writer import Writer

_MOST_TOKENS = 70
"""How long free text gets, whatever `max_tokens` allows."""
_GREEDY_BELOW = 1e-5
"""Temperatures that count as 0 (vLLM's sampling epsilon)."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer is held to; exactly one field is set."""

    schema: Any = None
    choice: tuple[str, ...] | None = None
    regex: str | None = None
    any_object: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn and what is reported of them."""

    max_tokens: int
    temperature: float = 1.0
    n: int = 1
    seed: int | None = None
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    """Likeliest tokens to report at each place; None: no log-probabilities at all."""
    constraint: Constraint | None = None
    ignore_eos: bool = False
    """Go on to `max_tokens`."""

    @property
    def greedy(self) -> bool:
        """Whether every choice is the likeliest one."""
        return self.temperature < _GREEDY_BELOW


@dataclass(frozen=True, slots=True)
class Generated:
    """One choice."""

    text: str
    tokens: tuple[str, ...]
    """What was generated, with the end of turn if it came to that."""
    finish_reason: str
    """`stop`, or `length` when it was cut off."""
    stop_reason: str | None = None
    """The stop string that ended it."""
    scores: tuple[Place, ...] | None = None
    """One for each of `tokens`, if log-probabilities were asked for."""


def generate(
    prompt: Prompt,
    sampling: Sampling,
    *,
    model: str,
    seed: int,
    verdicts: bool = True,
    stray_share: float = 0.0,
) -> list[Generated]:
    """Return `sampling.n` choices for `prompt`.

    Args:
        prompt: what is answered.
        sampling: how.
        model: name of the model that is asked; another one answers differently.
        seed: seed of the server; another one answers differently.
        verdicts: whether to take a request for the log-probabilities of one or two tokens as a
            yes/no question.
        stray_share: share of choices from a numbered list that name an entry beyond it.

    Raises:
        SchemaError: the schema cannot be met.
    """
    is_verdict = (
        verdicts
        and sampling.constraint is None
        and sampling.logprobs is not None
        and sampling.max_tokens <= 2
    )
    asked: tuple[Any, ...] = (seed, model, prompt.messages)
    # Log-probabilities are reported as the model has them, before the temperature.
    if not sampling.greedy and not is_verdict:
        asked += (sampling.temperature, sampling.top_p, sampling.seed)
    digest = blake2b(repr(asked).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    choices: list[Generated] = []
    for place in range(sampling.n):
        if sampling.greedy and choices:
            choices.append(choices[0])
            continue
        writer = Writer(prompt, _random(digest, place), stray_share)
        if is_verdict:
            # Every choice of a request has the same distribution; only the draw differs.
            odds = Writer(prompt, _random(digest, 0)).yes_log_odds()
            choices.append(_verdict(odds, sampling, writer.random if place else None))
        else:
            choices.append(_generated(writer, sampling))
    return choices


def _random(digest: bytes, place: int) -> Random:
    return Random(int.from_bytes(blake2b(digest + place.to_bytes(4), digest_size=8).digest()))


def _verdict(log_odds: float, sampling: Sampling, random: Random | None) -> Generated:
    """Return a one-word verdict: the likelier one, or one drawn by `random` if there is one."""
    scores = verdict_scores("Yes", "No", log_odds)
    said = scores[0]
    if random is not None and random.random() > math.exp(said.logprob):
        said = scores[1]
    reported = (said, *scores[: sampling.logprobs])
    if sampling.max_tokens < 2:
        return Generated(said.token, (said.token,), "length", scores=(reported,))
    ended = Scored(END_OF_TURN, -0.01)
    return Generated(
        said.token,
        (said.token, END_OF_TURN),
        "stop",
        scores=(reported, (ended, *_likeliest(ended, sampling, Random(0)))),
    )


def _generated(writer: Writer, sampling: Sampling) -> Generated:
    text = _said(writer, sampling)
    tokens = tokenize(text)
    finish_reason, stop_reason = "stop", None
    stop, tokens_to_stop, cut = _first_stop(text, tokens, sampling.stop)
    if stop is not None and tokens_to_stop <= sampling.max_tokens:
        stop_reason, tokens, text = stop, tokens[:tokens_to_stop], text[:cut]
    elif len(tokens) < sampling.max_tokens and not sampling.ignore_eos:
        tokens.append(END_OF_TURN)
    else:
        finish_reason = "length"
        tokens = tokens[: sampling.max_tokens]
        text = "".join(tokens)
    scores = None
    if sampling.logprobs is not None:
        scores = tuple(
            (place[0], *place[: sampling.logprobs])
            for place in token_scores(tokens, sampling.logprobs, writer.random)
        )
    return Generated(text, tuple(tokens), finish_reason, stop_reason, scores)


def _likeliest(scored: Scored, sampling: Sampling, random: Random) -> list[Scored]:
    others = token_scores([scored.token], sampling.logprobs or 0, random)[0][1:]
    return [scored, *(Scored(token, logprob - 6.0) for token, logprob in others)][
        : sampling.logprobs
    ]


def _said(writer: Writer, sampling: Sampling) -> str:
    constraint = sampling.constraint
    if constraint is None:
        if sampling.ignore_eos:
            return writer.answer(sampling.max_tokens, exhaustive=True)
        share = writer.random.uniform(0.40, 0.95)
        return writer.answer(min(_MOST_TOKENS, int(share * sampling.max_tokens)))
    if constraint.choice is not None:
        return str(writer.option(constraint.choice))
    if constraint.regex is not None:
        return matching_text(constraint.regex, writer.random)
    if constraint.any_object:
        value: Any = {"answer": writer.text(0, None)}
    else:
        value = conforming(constraint.schema, writer)
    return json.dumps(value, ensure_ascii=False)


def _first_stop(
    text: str, tokens: list[str], stops: tuple[str, ...]
) -> tuple[str | None, int, int]:
    """Return the stop string that is complete first, the tokens until then, and where it begins."""
    found = [(start + len(stop), start, stop) for stop in stops if (start := text.find(stop)) >= 0]
    if not found:
        return None, 0, 0
    end, start, stop = min(found)
    length = 0
    for place, token in enumerate(tokens, 1):
        length += len(token)
        if length >= end:
            return stop, place, start
    return stop, len(tokens), start


def cut_in_half(choice: Generated) -> Generated:
    """Return `choice` as if it had been cut off half way."""
    kept = max(1, len(choice.tokens) // 2)
    tokens = choice.tokens[:kept]
    text = "".join(token for token in tokens if token != END_OF_TURN)
    scores = None if choice.scores is None else choice.scores[:kept]
    return Generated(text, tokens, "length", None, scores)
