"""The simulated model at work on one choice of one prompt: its words and its decisions."""

from collections.abc import Sequence
from random import Random
from typing import Any

from services.local.simulator.choosing import listed_choice, truth, yes_log_odds
from services.local.simulator.forms import formed
from services.local.simulator.prompt import Prompt
from services.local.simulator.prose import Prose


class Writer:
    """Draws everything from `random`: equal prompts and states give equal answers."""

    def __init__(self, prompt: Prompt, random: Random, stray_share: float = 0.0) -> None:
        self._prompt = prompt
        self._stray_share = stray_share
        self._prose = Prose(prompt, random)
        self.random = random

    def answer(self, tokens: int, *, exhaustive: bool = False) -> str:
        """Return free text of about `tokens` tokens, at least so many with `exhaustive`."""
        text = self._prose.answer(tokens, exhaustive=exhaustive)
        return text if exhaustive else formed(self._prompt, self.random, text)

    def text(self, minimum: int, maximum: int | None) -> str:
        """Return text of `minimum` to `maximum` characters."""
        return self._prose.bounded(minimum, maximum)

    def letters(self, minimum: int, maximum: int) -> str:
        """Return `minimum` to `maximum` random letters."""
        return self._prose.letters(minimum, maximum)

    def option(self, options: Sequence[Any]) -> Any:
        """Return one of `options`; of yes and no the one that a verdict would be."""
        named = {option.lower(): option for option in options if isinstance(option, str)}
        if len(options) == 2 and named.keys() == {"yes", "no"}:
            return named["yes" if self.yes_log_odds() > 0 else "no"]
        return self.random.choice(options)

    def truth(self, name: str) -> bool:
        """Return the value of the boolean property `name`."""
        return truth(self._prompt, self.random, name)

    def yes_log_odds(self) -> float:
        """Return ln(P(yes) / P(no))."""
        return yes_log_odds(self._prompt, self.random)

    def listed(self, name: str = "") -> list[int]:
        """Return all numbers of the list that the property `name` chooses from."""
        return list(self._prompt.listed(name))

    def chosen(self, name: str = "") -> list[int]:
        """Return the numbers of the entries that the action concerns."""
        return listed_choice(self._prompt, self.random, self._stray_share, name)
