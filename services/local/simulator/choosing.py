"""Decisions on a prompt: who of a numbered list, yes or no, true or false.

They are drawn by chance that leans on the words which texts share. The words of the data can thus
move a decision, but what they say cannot: an order inside a tag is only more words.
"""

import re
from random import Random

from services.local.simulator.prompt import Prompt, content_words, overlap

YES_SHARE = 0.95
"""Share of actions taken for plausible."""
_CONTRADICTION = re.compile(r"\b(?:impossible|contradicts)\b", re.IGNORECASE)
_CHANCE_ALONE = 0.1
_CHANCE_PER_SHARED_WORD = 0.2
_HIGHEST_CHANCE = 0.85
_VERDICT_SCALE = 1.5
_VERDICT_OVERLAP = 2.0
_PLAUSIBILITY_NAMES = frozenset(
    ("plausible", "possible", "consistent", "coherent", "realistic", "believable", "valid")
)


def listed_choice(prompt: Prompt, random: Random, stray_share: float, name: str = "") -> list[int]:
    """Return which entries of the numbered list that `name` chooses from concern the action.

    An entry is in with a chance that grows with the content words it shares with the last
    `<action>`: about a tenth of unrelated ones. With a chance of `stray_share` one number that is
    not on the list is added.
    """
    action = prompt.last("action")
    if action is None:
        action = " ".join(text for tag, text in prompt.sections if tag not in ("people", "groups"))
    chosen = []
    listed = prompt.listed(name)
    for number, line in listed.items():
        shared = overlap(action, line)
        chance = min(_HIGHEST_CHANCE, _CHANCE_ALONE + _CHANCE_PER_SHARED_WORD * shared)
        if random.random() < chance:
            chosen.append(number)
    if stray_share and random.random() < stray_share:
        chosen.append(max(listed, default=0) + random.randint(1, 9))
    return chosen


def is_contradiction(prompt: Prompt) -> bool:
    """Whether the last `<action>` says of itself that it cannot be."""
    return _CONTRADICTION.search(prompt.last("action") or "") is not None


def truth(prompt: Prompt, random: Random, name: str) -> bool:
    """Return the value of the boolean property `name`.

    One that asks for plausibility is nearly always true, but for a contradiction; others are even.
    """
    if name.lower().removeprefix("is_") in _PLAUSIBILITY_NAMES:
        return random.random() < YES_SHARE and not is_contradiction(prompt)
    return random.random() < 0.5


def reward_logit(question: str, response: str, draw: float) -> float:
    """Return what a response is worth: a standard normal draw, scaled, plus what it takes up."""
    asked = len(set(content_words(question)))
    share = overlap(question, response) / asked if asked else 0.0
    return _VERDICT_SCALE * draw + _VERDICT_OVERLAP * share


def yes_log_odds(prompt: Prompt, random: Random) -> float:
    """Return ln(P(yes) / P(no)) for the question that the prompt puts.

    An answer is judged by a normal draw of standard deviation 1.5, plus up to 2 for the share of
    the question's words that it takes up; an action is plausible unless it is a contradiction.
    """
    draw = random.gauss(0.0, 1.0)
    response = prompt.last("answer", "response")
    if response is not None:
        return reward_logit(prompt.last("question", "instruction") or "", response, draw)
    if prompt.last("action") is None:
        return _VERDICT_SCALE * draw
    if is_contradiction(prompt):
        return -6.0 - abs(draw)
    if random.random() < YES_SHARE:
        return 2.0 + abs(draw)
    return -0.5 - abs(draw)
