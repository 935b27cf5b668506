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

from services.local.simulator.vocabulary import OWN_WORDS, STOP_WORDS

_SECTION = re.compile(r"<([a-z][a-z_]*)>(.*?)</\1>", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{3,}")
_ASCII_WORD = re.compile(r"[a-z]{3,}")
"""The same for ASCII in lower case, at half the time."""
_LISTED = re.compile(r"^[ \t]*(\d{1,6})[.)][ \t]+(.*)$", re.MULTILINE)
_WEIGHT_STEP = 4
"""How much more the words of a section count than those of the section before it."""
_TOPICS = 5
"""Words that a request is about: those that count most."""
_WORDS_TO_CARE = 2
"""Content words that an observation shares with a persona who makes something of it."""
_LISTS = ("people", "groups")
_STEPS = re.compile(r"\b(\d{1,4}) steps\b")
_MOST_STEPS = 50
_LAST_CHARACTERS = 20_000
"""Words are taken from no more than this much of a text's end: later text counts more anyway."""


def content_words(text: str) -> list[str]:
    """Return the words of `text` in order, in lower case, without stop words and short ones."""
    text = text.lower()
    pattern = _ASCII_WORD if text.isascii() else _WORD
    return [word for word in pattern.findall(text) if word not in STOP_WORDS]


@dataclass(frozen=True)
class Prompt:
    """A prompt as (role, content) turns, with what can be read out of it."""

    messages: tuple[tuple[str, str], ...]

    @cached_property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """All (tag, text inside) of the last turns, in order; those before are worked examples."""
        if not any("</" in content for content in self._asked):
            return ()
        return tuple(
            (match[1], match[2]) for content in self._asked for match in _SECTION.finditer(content)
        )

    @cached_property
    def _asked(self) -> list[str]:
        """What was said since the last answer."""
        roles = [role for role, _ in self.messages]
        begin = len(roles) - roles[::-1].index("assistant") if "assistant" in roles else 0
        return [content for _, content in self.messages[begin:]]

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

    @cached_property
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

    def listed(self, name: str = "") -> dict[int, str]:
        """Return the numbered lines that the property `name` chooses from, by their number.

        Those of the section of that name; else of `<people>`, else of `<groups>`.
        """
        texts = {tag: text for tag, text in self.sections if tag in _LISTS}
        text = texts.get(name) or next((texts[tag] for tag in _LISTS if tag in texts), "")
        return {int(number): line for number, line in _LISTED.findall(text)}

    @cached_property
    def steps_wanted(self) -> int:
        """How many numbered lines it asks for; 0: none."""
        if not any("numbered line" in content for _, content in self.messages):
            return 0
        wanted = _STEPS.search(self.instructions)
        return min(int(wanted[1]), _MOST_STEPS) if wanted else 0

    @cached_property
    def heeded(self) -> str | None:
        """The lines of the last `<observations>` that have to do with the persona.

        None when it has no observations, or no persona.
        """
        observed, persona = self.last("observations"), self.last("persona")
        if observed is None or persona is None:
            return None
        lines = observed.splitlines()
        return "\n".join(line for line in lines if overlap(line, persona) >= _WORDS_TO_CARE)

    @cached_property
    def word_pool(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Distinct content words, and their cumulative weights (both empty when there are none)."""
        weights: dict[str, int] = {}
        for text, weight in self._weighted_texts():
            for word in content_words(text[-_LAST_CHARACTERS:]):
                weights[word] = weights.get(word, 0) + weight
        # Else its own turns of phrase would crowd out what it was told, from answer to answer.
        told = {word: weight for word, weight in weights.items() if word not in OWN_WORDS}
        weights = told or weights
        if self.wants_request:
            # Who is asked twice about nearly the same thing asks nearly the same twice.
            heaviest = sorted(weights, key=lambda word: -weights[word])[:_TOPICS]
            weights = dict.fromkeys(heaviest, 1)
        return tuple(weights), tuple(accumulate(weights.values()))

    def _weighted_texts(self) -> Iterator[tuple[str, int]]:
        if self.sections:
            # Who somebody is counts less than what happens, wherever it is said.
            told = sorted(self.sections, key=lambda section: section[0] != "persona")
            for place, (tag, text) in enumerate(told, 1):
                # A person has little to say on what is none of their business.
                heeded = self.heeded if tag == "observations" else None
                # A request is about the scenario; the requirement only says of what sort it is.
                weight = 1 if tag == "requirement" else _WEIGHT_STEP**place
                yield text if heeded is None else heeded, weight
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
    return len(set(content_words(first)) & set(content_words(second)) - OWN_WORDS)


def read_prompt(messages: Sequence[tuple[str, str]]) -> Prompt:
    """Return the prompt of (role, content) turns."""
    return Prompt(tuple(messages))
