"""Log-probabilities in the three shapes in which vLLM's API reports them."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from services.local.simulator.answers import Generated
from services.local.simulator.logprobs import Place, Scored
from services.local.simulator.tokens import token_id


def chat_logprobs(choice: Generated) -> dict[str, Any] | None:
    """Return the log-probabilities of a chat's choice, if it has any."""
    if choice.scores is None:
        return None
    return {"content": [chat_token(place) for place in choice.scores]}


def chat_token(place: Place) -> dict[str, Any]:
    """Return one token of a chat and the likeliest ones for its place."""
    said, top = place[0], place[1:]
    if top and said not in top:
        # What was said is always among those reported, and takes the last one's room.
        top = (said, *top[:-1])
    return _scored(said) | {"top_logprobs": [_scored(other) for other in top]}


def _scored(scored: Scored) -> dict[str, Any]:
    return {
        "token": scored.token,
        "logprob": scored.logprob,
        "bytes": list(scored.token.encode("utf-8", "replace")),
    }


def completion_logprobs(choice: Generated, offset: int = 0) -> dict[str, Any] | None:
    """Return the log-probabilities of a completion's choice that begins `offset` characters in."""
    if choice.scores is None:
        return None
    return {
        "text_offset": list(accumulate(map(len, choice.tokens[:-1]), initial=offset)),
        "token_logprobs": [place[0].logprob if place else None for place in choice.scores],
        "tokens": list(choice.tokens),
        "top_logprobs": [dict(place) if place else None for place in choice.scores],
    }


def prompt_logprobs(places: Sequence[Place]) -> list[dict[str, Any] | None]:
    """Return the scores of a prompt's tokens, keyed by token id."""
    return [
        {
            str(token_id(scored.token)): {
                "logprob": scored.logprob,
                "rank": 1 + sum(other.logprob > scored.logprob for other in place),
                "decoded_token": scored.token,
            }
            for scored in place
        }
        or None
        for place in places
    ]
