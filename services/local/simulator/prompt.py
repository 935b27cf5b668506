"""What the simulated model reads in a prompt: tagged data, content words, numbered lists.

Data of our prompts stands between tags such as `<action>...</action>`. Where there are any, words
come from inside tags only, and whatever a tagged text says is never taken as an instruction: it
can only lend words. A tag inside another tag is part of that one's text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from services.local.simulator.vocabulary import STOP_WORDS

_SECTION = re.compile(r"<([a-z][a-z_]*)>(.*?)</\1>", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{3,}")
_LISTED = re.compile(r"^[ \t]*(\d{1,6})[.)][ \t]+(.*)$", re.MULTILINE)
_LAST_CHARACTERS = 20_000
"""Words are taken from no more than this much of a text's end: later text counts more anyway."""


def content_words(text: str) -> list[str]:
    """Return the words of `text` in order, in lower case, without stop words and short ones."""
    return [word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]


@dataclass(frozen=True)
class Prompt:
    """A prompt as (role, content) turns, with what can be read out of it."""

    messages: tuple[tuple[str, str], ...]

    @cached_property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """All (tag, text inside), in order."""
        if not any("</" in content for _, content in self.messages):
            return ()
        return tuple(
            (match[1], match[2])
            for _, content in self.messages
            for match in _SECTION.finditer(content)
        )

    def last(self, *tags: str) -> str | None:
        """Return the text of the last section with one of `tags`, if there is any."""
        return next((text for tag, text in reversed(self.sections) if tag in tags), None)

    @property
    def instructions(self) -> str:
        """All that stands outside of tags."""
        contents = (content for _, content in self.messages)
        if not self.sections:
            return "\n".join(contents)
        return "\n".join(_SECTION.sub(" ", content) for content in contents)

    @property
    def wants_request(self) -> bool:
        """Whether it asks for something that a user would ask, rather than for an answer."""
        if any(tag == "requirement" for tag, _ in self.sections):
            return True
        # Cheap test first: most prompts say neither.
        if not any(
            "Ask for: question" in content or "Write one request" in content
            for _, content in self.messages
        ):
            return False
        outside = self.instructions
        return "Ask for: question" in outside or "Write one request" in outside

    @cached_property
    def listed(self) -> dict[int, str]:
        """The numbered lines of the last `<people>` or `<groups>` section, by their number."""
        text = self.last("people", "groups")
        return {int(number): line for number, line in _LISTED.findall(text or "")}

    @cached_property
    def word_pool(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Distinct content words, and their cumulative weights (both empty when there are none)."""
        weights: dict[str, int] = {}
        for text, weight in self._weighted_texts():
            for word in content_words(text[-_LAST_CHARACTERS:]):
                weights[word] = weights.get(word, 0) + weight
        return tuple(weights), tuple(accumulate(weights.values()))

    def _weighted_texts(self) -> Iterator[tuple[str, int]]:
        if self.sections:
            for place, (_, text) in enumerate(self.sections, 1):
                yield text, place
            return
        asked = [content for role, content in self.messages if role == "user"]
        for content in asked[:-1]:
            yield content, 1
        if asked:
            middle = asked[-1].rfind(" ", 0, len(asked[-1]) // 2 + 1) + 1
            yield asked[-1][:middle], 3
            yield asked[-1][middle:], 6


def overlap(first: str, second: str) -> int:
    """Return how many content words two texts share."""
    return len(set(content_words(first)) & set(content_words(second)))


def read_prompt(messages: Sequence[tuple[str, str]]) -> Prompt:
    """Return the prompt of (role, content) turns."""
    return Prompt(tuple(messages))
