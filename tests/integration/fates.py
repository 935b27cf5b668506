"""What a process does not survive, and what it asks: a fate, and models that answer by a hash."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from services.reward_filtering.sandbox import Isolation, Limits, Outcome
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Role


class DeadError(Exception):
    """The process is dead."""


@dataclass
class Fate:
    """How many points a process passes before it dies, or freezes; for ever when None."""

    dies_at: int | None = None
    freezes_at: int | None = None
    passed: int = 0
    dead: bool = False
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def point(self) -> None:
        if self.dead or self.passed == self.dies_at:
            self.dead = True
            raise DeadError
        self.passed += 1

    async def reach(self) -> None:
        place = self.passed
        self.point()
        if self.freezes_at is not None and place >= self.freezes_at:
            # A process freezes as a whole.
            self.frozen.set()
            await self.woken.wait()


@dataclass
class Model:
    """Answers by a hash of the question, in the form that the kind's prompt asks for."""

    kind: str
    fate: Fate
    paid: Counter[str]
    """Calls by stage, of all lives."""

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        await self.fate.reach()
        self.paid[stage] += 1
        await self.fate.reach()
        asked = "\n".join(f"{m.role}: {m.content}" for m in request.messages)
        digest = blake2b(f"{role}/{stage}/{request.n}/{asked}".encode(), digest_size=8).digest()
        rng = Random(digest)
        if role == "reward":
            yes = rng.uniform(0.05, 0.9)
            odds = {"Yes": math.log(yes), "No": math.log(0.95 - yes)}
            return ChatAnswer((Completion("Yes", "length", odds),), "judge", 9, 1)
        texts = tuple(self._text(rng, role, stage) for _ in range(request.n))
        return ChatAnswer(tuple(Completion(t, "stop") for t in texts), str(role), 9, 9)

    def _text(self, rng: Random, role: Role, stage: str) -> str:
        spoken = " ".join(rng.sample(WORDS, 12)).capitalize() + "."
        luck = 0.5 if role == "student" else 0.85
        if stage == "tests":
            return "```python\ndef test_next():\n    assert solve(1) == 2\n```"
        if stage == "reply":
            return "DONE" if rng.random() < 0.3 else f"And what about the {rng.choice(WORDS)}?"
        if self.kind == "reasoning":
            return f"{spoken}\nAnswer: {42 if rng.random() < luck else rng.randint(1, 41)}"
        if self.kind == "code":
            step = 1 if rng.random() < luck else 2
            return f"```python\ndef solve(x):\n    return x + {step}\n```"
        if self.kind == "safety" and rng.random() < 0.6:
            return f"I can't help with that, because it could hurt somebody. {spoken}"
        return spoken


@dataclass
class Bench:
    """A sandbox in which code passes that adds one."""

    fate: Fate
    isolation: Isolation = "rlimits"

    async def run_tests(self, solution: str, tests: str, limits: Limits | None = None) -> Outcome:
        await self.fate.reach()
        return Outcome("passed" if "x + 1" in solution and "assert" in tests else "failed")


class Embedder:
    """Vectors by a hash of the text, of length 1."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        await self._fate.reach()
        return [_unit(text) for text in texts]


def _unit(text: str) -> list[float]:
    rng = Random(text)
    raw = [rng.gauss(0, 1) for _ in range(16)]
    norm = sum(x * x for x in raw) ** 0.5
    return [x / norm for x in raw]


WORDS = (
    "anchor barley candle dagger engine fabric garden hammer island jacket kettle ladder magnet "
    "needle orchid paddle quiver ribbon saddle tablet umbrella velvet window yellow zipper acorn "
    "basket copper donkey ember falcon goblet harbor inkwell jasmine kernel lantern marble nectar "
    "oyster pepper quartz rocket silver timber urchin violin walnut yarrow zephyr almond bronze "
    "cobalt dahlia fossil ginger hazel indigo jungle kelp linen mango nickel olive pewter raven "
    "sesame thistle tulip viola willow badger cedar dune elm fern grove heron iris"
).split()
