"""Text embeddings by hashing: texts that share words are near, others are about orthogonal.

A text is a bag of its content words and pairs of neighbouring ones. Each of these features has a
fixed random direction, whose signs are the bits of its hash (random projection by random signs,
Achlioptas 2003), so that cosines are those of the bags but for noise of about 1/sqrt(384).
"""

from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.local.simulator.prompt import content_words

DIMENSIONS = 384
_PAIR_WEIGHT = 0.5


def embed(text: str) -> NDArray[np.float32]:
    """Return the L2-normalised vector of `text`, of shape (384,)."""
    weights = _features(text)
    directions = np.stack([_direction(feature) for feature in weights])
    vector = np.fromiter(weights.values(), np.float32, len(weights)) @ directions
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _features(text: str) -> dict[str, float]:
    words = content_words(text)
    if not words:
        # Nothing but stop words, digits or signs: the text as a whole, so that equal ones are equal
        return {"\x00" + " ".join(text.lower().split()): 1.0}
    counts = Counter(words)
    pairs = Counter(f"{first} {second}" for first, second in pairwise(words))
    return {word: 1.0 + np.log(count) for word, count in counts.items()} | {
        pair: _PAIR_WEIGHT * (1.0 + np.log(count)) for pair, count in pairs.items()
    }


@lru_cache(maxsize=65_536)
def _direction(feature: str) -> NDArray[np.float32]:
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=DIMENSIONS // 8).digest()
    bits = np.unpackbits(np.frombuffer(digest, np.uint8))
    return bits.astype(np.float32) * 2.0 - 1.0
