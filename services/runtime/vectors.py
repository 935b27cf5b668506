"""Embeddings in memory: similarity, and one byte per dimension."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

_SCALE = 127.0


def quantised(vector: Sequence[float]) -> bytes:
    """Return the direction of a vector in one signed byte per dimension (a quarter of float32).

    Scaled by its largest component, whose size is lost: only for cosines.
    """
    array = np.asarray(vector, dtype=np.float32)
    largest = np.abs(array).max(initial=0.0) or 1.0
    return bytes((array / largest * _SCALE).round().astype(np.int8).tobytes())


def similarities(query: Sequence[float], stored: Sequence[bytes]) -> list[float]:
    """Return the cosine similarity of a vector to each quantised one; 0 where lengths differ."""
    vector = np.asarray(query, dtype=np.float32)
    fitting = [place for place, item in enumerate(stored) if len(item) == len(query)]
    joined = b"".join(stored[place] for place in fitting)
    matrix = np.frombuffer(joined, dtype=np.int8).reshape(len(fitting), len(query))
    matrix = matrix.astype(np.float32)
    norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    found = [0.0] * len(stored)
    for place, product, norm in zip(fitting, matrix @ vector, norms, strict=True):
        found[place] = float(product / norm) if norm else 0.0
    return found


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors; 0 when either is empty or zero."""
    a, b = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    if a.shape != b.shape or not a.size:
        return 0.0
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0
