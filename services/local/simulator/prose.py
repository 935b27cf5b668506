"""Sentences from patterns whose slots are filled with the prompt's words."""

import re
from bisect import bisect
from collections.abc import Sequence
from random import Random

from services.local.simulator.prompt import Prompt
from services.local.simulator.tokens import count_tokens
from services.local.simulator.vocabulary import (
    ADJECTIVES,
    CONTEXTS,
    DEVELOPING,
    DEVELOPMENTS,
    NOUN_BODIES,
    NOUN_OPENINGS,
    NOUNS,
    POLITE_REMARKS,
    SHORT_STATEMENTS,
    STATEMENTS,
    VERB_BODIES,
    VERB_OPENINGS,
    VERBS,
)

_GENERAL_SHARE = 0.12
"""Share of prompt-word slots that get a general noun in spite of the prompt having words."""
_REQUEST_TOKENS = 45
"""How long a request gets: beyond that it would be patterns more than words of the prompt."""
_GENERAL = {"n": NOUNS, "v": VERBS, "a": ADJECTIVES, "d": DEVELOPMENTS}
_SLOT = re.compile(r"\{(\w)\}")
_PARTS = {
    pattern: tuple(_SLOT.split(pattern))
    for patterns in (
        STATEMENTS,
        SHORT_STATEMENTS,
        DEVELOPING,
        POLITE_REMARKS,
        VERB_BODIES,
        NOUN_BODIES,
        CONTEXTS,
    )
    for pattern in patterns
}
"""Each pattern as literal, slot, literal, slot, ..., literal."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Prose:
    """One voice on one prompt: what it says next depends on what it has drawn so far."""

    def __init__(self, prompt: Prompt, random: Random) -> None:
        self._prompt = prompt
        self._wants_request = prompt.wants_request
        self._random = random

    def answer(self, tokens: int, *, exhaustive: bool = False) -> str:
        """Return about `tokens` tokens of sentences, or a request where the prompt wants one.

        A list of steps where the prompt wants that, however long. With `exhaustive` there are at
        least `tokens` of them.
        """
        if self._prompt.steps_wanted and not exhaustive:
            steps = range(1, self._prompt.steps_wanted + 1)
            return "\n".join(f"{number}. {self._fill(SHORT_STATEMENTS)}" for number in steps)
        if self._prompt.heeded is not None and not exhaustive:
            return self._fill(DEVELOPING if self._prompt.heeded else POLITE_REMARKS)
        if self._wants_request and not exhaustive:
            tokens = min(tokens, _REQUEST_TOKENS)
        sentences = [self._request() if self._wants_request else self._statement(tokens)]
        length = count_tokens(sentences[0])
        more = CONTEXTS if self._wants_request else STATEMENTS
        while length < (tokens if exhaustive else tokens - 8):
            sentences.append(self._fill(more))
            length += count_tokens(sentences[-1])  # the space between is part of its first token
        return " ".join(sentences)

    def bounded(self, minimum: int, maximum: int | None) -> str:
        """Return text of `minimum` to `maximum` characters, one sentence if it fits."""
        if maximum is not None and maximum < 40:
            return self._fragment(minimum, maximum)
        if self._wants_request:
            text = self._request()
        else:
            text = self._fill(STATEMENTS if maximum is None or maximum > 90 else SHORT_STATEMENTS)
        while len(text) < minimum:
            text += " " + self._fill(CONTEXTS if self._wants_request else STATEMENTS)
        return text if maximum is None else _shortened(text, minimum, maximum)

    def letters(self, minimum: int, maximum: int) -> str:
        """Return random letters: the last resort where distinct texts must be very short."""
        length = self._random.randint(minimum, maximum)
        return "".join(self._random.choices(_LETTERS, k=length))

    def _fragment(self, minimum: int, maximum: int) -> str:
        text = self._word()
        while len(text) < minimum or (len(text) < 12 and self._random.random() < 0.5):
            text += " " + self._word()
        return _shortened(text, minimum, maximum)

    def _statement(self, tokens: int) -> str:
        return self._fill(STATEMENTS if tokens > 12 else SHORT_STATEMENTS)

    def _request(self) -> str:
        if self._random.random() < 0.5:
            openings, bodies = VERB_OPENINGS, VERB_BODIES
        else:
            openings, bodies = NOUN_OPENINGS, NOUN_BODIES
        opening, end = self._random.choice(openings)
        return f"{opening} {self._fill(bodies, capital=False)}{end}"

    def _word(self) -> str:
        words, cumulative = self._prompt.word_pool
        if not words or self._random.random() < _GENERAL_SHARE:
            return self._random.choice(NOUNS)
        # As `choices` draws one, without what it does for many.
        at = bisect(cumulative, self._random.random() * cumulative[-1], 0, len(words) - 1)
        return words[at]

    def _fill(self, patterns: Sequence[str], *, capital: bool = True) -> str:
        parts = list(_PARTS[self._random.choice(patterns)])
        previous = ""
        for place in range(1, len(parts), 2):
            if parts[place] != "w":
                parts[place] = self._random.choice(_GENERAL[parts[place]])
                continue
            word = self._word()
            if word == previous:
                # "The pump and the pump": once more, then let it be.
                word = self._word()
            parts[place] = previous = word
        text = "".join(parts)
        return text[0].upper() + text[1:] if capital else text


def _shortened(text: str, minimum: int, maximum: int) -> str:
    """Cut `text` to `maximum` characters, at the end of a word if `minimum` allows."""
    if len(text) <= maximum:
        return text
    cut = text[:maximum]
    at_word = cut.rfind(" ")
    if at_word > 0 and text[maximum] != " " and at_word >= max(minimum, maximum // 2):
        cut = cut[:at_word]
    return cut if len(cut.rstrip()) < minimum else cut.rstrip()
