"""Embeddings in memory: similarity, and one byte per dimension."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

_SCALE = 127.0


def quantised(vector: Sequence[float]) -> bytes:
    """Return an L2-normalised vector in one signed byte per dimension (a quarter of float32)."""
    scaled = np.clip(np.asarray(vector, dtype=np.float32) * _SCALE * 4, -_SCALE, _SCALE)
    return bytes(scaled.round().astype(np.int8).tobytes())


def similarities(query: Sequence[float], stored: Sequence[bytes]) -> list[float]:
    """Return the cosine similarity of a vector to each quantised one; 0 where lengths differ."""
    if not stored:
        return []
    length = len(query)
    if any(len(item) != length for item in stored):
        return [0.0] * len(stored)
    matrix = np.frombuffer(b"".join(stored), dtype=np.int8).reshape(len(stored), length)
    unit = np.asarray(query, dtype=np.float32)
    norms = np.linalg.norm(matrix.astype(np.float32), axis=1) * (np.linalg.norm(unit) or 1.0)
    products = matrix.astype(np.float32) @ unit
    return [float(p / n) if n else 0.0 for p, n in zip(products, norms, strict=True)]


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors; 0 when either is empty or zero."""
    a, b = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    if a.shape != b.shape or not a.size:
        return 0.0
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0
