"""Instruments: a model and an embedder that answer at once, so that what is measured is ours.

What they say is of the length that a model of the society says it in; its words are those of the
built-in profiles, so that it is as compressible as prose is.
"""

from collections.abc import Sequence
from random import Random
from zlib import crc32

import numpy as np
import orjson

from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Role
from tests.bench.populations import builtin_profiles

DIMENSIONS = 384
_CHARACTERS_PER_TOKEN = 4.5
_FILLED = 0.7
"""Share of its limit that an answer takes."""
_AWARE_SHARE = 0.35
_FORWARD_SHARE = 0.1
"""Of the people and groups that a decision is about."""


class InstantModel:
    """A `ChatModel` that draws its answers."""

    def __init__(self, seed: int = 0) -> None:
        self.calls = 0
        self._rng = Random(seed)
        self._sentences = [action for p in builtin_profiles() for action in p.actions]

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Answer; see `ports.ChatModel`."""
        self.calls += 1
        text = self._decision(request) if request.json_schema else self._prose(request.max_tokens)
        return ChatAnswer((Completion(text, "stop"),), "instant", 400, request.max_tokens // 2)

    def _prose(self, max_tokens: int) -> str:
        if max_tokens == 150:  # A plan: a list of steps.
            return "\n".join(f"{n}. {self._rng.choice(self._sentences)}" for n in range(1, 9))
        wanted, said = int(_FILLED * _CHARACTERS_PER_TOKEN * max_tokens), ""
        while len(said) < wanted:
            said += f"{self._rng.choice(self._sentences).rstrip('.')}. "
        text = said[:wanted].rstrip()
        return (
            f"Personality: {text[: wanted // 2]}\nGoal: {text[wanted // 2 :]}"
            if (max_tokens == 70)
            else text
        )

    def _decision(self, request: ChatRequest) -> str:
        fields = request.json_schema["properties"] if request.json_schema else {}
        answer: dict[str, object] = {}
        for name, what in fields.items():
            if what["type"] == "array":
                share = _AWARE_SHARE if name == "aware" else _FORWARD_SHARE
                most = what["items"]["maximum"]
                numbers = [n for n in range(1, most + 1) if self._rng.random() < share]
                answer[name] = numbers[: what["maxItems"]]
            else:
                answer[name] = True if what["type"] == "boolean" else "they work side by side"
        return orjson.dumps(answer).decode()


class InstantEmbedder:
    """An `Embedder` of random directions, the same for the same text."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors; see `ports.Embedder`."""
        rows = np.stack(
            [np.random.default_rng(crc32(t.encode())).normal(size=DIMENSIONS) for t in texts]
        )
        listed: list[list[float]] = (
            (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32).tolist()
        )
        return listed
