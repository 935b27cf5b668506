"""Populations to measure with: as many people as one wants, as like each other as texts are."""

from collections.abc import Sequence

import numpy as np

from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.grouping import Vectors
from services.agent_state.profile_files import read_profiles
from services.agent_state.profiles import Profile
from services.local.minilm import MiniLMEmbedder

MOVED = 0.5
"""What part of the difference of two people another one is moved by."""


def builtin_profiles() -> tuple[Profile, ...]:
    """Return the people who ship with the platform."""
    return read_profiles(builtin_profiles_path()).profiles


async def builtin_embeddings() -> Vectors:
    """Return the embeddings of the built-in profiles (1,000 x 384), as an import makes them."""
    embedder = MiniLMEmbedder()
    try:
        texts = [f"{p.headline}. {p.description}" for p in builtin_profiles()]
        return np.asarray(await embedder.embed(texts), dtype=np.float32)
    finally:
        embedder.close()


def grown(texts: Vectors, people: int, seed: int = 0) -> Vectors:
    """Return unit vectors (people x d) that are spread like `texts`.

    Each is one of the texts, moved by half of the difference of two others: no direction of the
    space gets more variance than real texts have in it.
    """
    rng = np.random.default_rng(seed)
    base, one, two = rng.integers(len(texts), size=(3, people))
    rows = np.empty((people, texts.shape[1]), dtype=np.float32)
    for begin in range(0, people, 65536):
        part = slice(begin, begin + 65536)
        moved = texts[base[part]] + MOVED * (texts[one[part]] - texts[two[part]])
        rows[part] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return rows


def cohesion(embeddings: Vectors, parts: Sequence[Sequence[int]]) -> float:
    """Return the mean cosine of a person to the centre of the own group."""
    sums = (np.linalg.norm(embeddings[list(part)].sum(axis=0)) for part in parts)
    return float(sum(sums)) / len(embeddings)
