"""Log-probabilities of tokens and of what might have stood in their place."""

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from services.local.simulator.vocabulary import ADJECTIVES, NOUNS, VERBS

_OTHERS = tuple(" " + word for word in dict.fromkeys((*NOUNS, *VERBS, *ADJECTIVES)))
_AFTER_VERDICTS = (
    *("yes", "no", " Yes", " No", "YES", "NO", "The", "It", "I", "This", "Maybe", "There", "In"),
    *("A", "True", "False", "Not", "To", "As", "If", "For", "We"),
)
_VERDICT_REMAINDER = 0.2
"""Share of the unlikelier verdict's probability that all tokens but the verdicts have together."""

MOST_ALTERNATIVES = 20


class Scored(NamedTuple):
    """A token and its natural log-probability."""

    token: str
    logprob: float


Place = Sequence[Scored]
"""A token as it stands in a text, then the likeliest ones for its place, best first.

Empty for a first token, which nothing precedes.
"""


def verdict_scores(yes: str, no: str, log_odds: float) -> list[Scored]:
    """Return the likeliest first tokens of a verdict, best first, as a distribution.

    `yes` and `no` lead, and their log-probabilities differ by `log_odds` = ln(P(yes) / P(no)).
    """
    less = 1.0 / (1.0 + math.exp(abs(log_odds)))
    remainder = _VERDICT_REMAINDER * less
    kept = math.log1p(-remainder)
    first, second = (yes, no) if log_odds > 0 else (no, yes)
    scores = [
        Scored(first, kept - math.log1p(math.exp(-abs(log_odds)))),
        Scored(second, kept + math.log(less)),
    ]
    others = (token for token in _AFTER_VERDICTS if token not in (yes, no))
    for place, token in enumerate(others, 1):
        scores.append(Scored(token, math.log(remainder) - place * math.log(2)))
    return scores


def token_scores(tokens: Sequence[str], count: int, random: Random) -> list[list[Scored]]:
    """Return for each token itself, as the likeliest, and `count` - 1 other tokens after it.

    The probabilities of one list fall and sum to less than 1; there is always the token itself.
    """
    scores = []
    for token in tokens:
        chance = random.uniform(0.3, 0.98)
        place = [Scored(token, math.log(chance))]
        if count > 1:
            share = min(chance, 1.0 - chance) * 0.5
            offset = random.randrange(len(_OTHERS))
            for step in range(count):
                other = _OTHERS[(offset + 7 * step) % len(_OTHERS)]
                if other != token and len(place) < count:
                    place.append(Scored(other, math.log(share) - (step + 1) * math.log(1.5)))
        scores.append(place)
    return scores


def prompt_scores(tokens: Sequence[str], count: int, random: Random) -> list[Place]:
    """Return for each token of a prompt itself and `count` likely ones for its place."""
    places: list[Place] = [()] if tokens else []
    for given, *others in token_scores(tokens[1:], count + 1, random):
        # What was given need not be likely.
        places.append((Scored(given.token, given.logprob - random.expovariate(0.5)), *others))
    return places
