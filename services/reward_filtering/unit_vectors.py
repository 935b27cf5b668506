"""Embeddings in memory, and the one among them that is nearest to another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.reward_filtering.growing_matrix import Rows

FARTHEST = 2.0
"""Distance when there is nothing to compare with: that of opposite vectors."""

_BLOCK = 1024
"""Embeddings that are widened to floating point at a time."""

_SCALE = np.float32(32767)
"""Of the components of unit vectors, which are kept as 16-bit integers: widening them is ten times
as fast as with half precision, and they are more precise."""

_ROUNDING = 1e-5
"""What a product of a matrix may differ by from that of one of its rows."""


@dataclass(slots=True)
class VectorSearch:
    """A vector, and what is found so far of the one nearest to it."""

    unit: npt.NDArray[np.float32]
    looked_at: int = 0
    """Vectors that were there at the last look: the next one goes on behind them."""
    cosine: float = -math.inf
    place: int = -1


class UnitVectors:
    """Embeddings under their ids, by their direction in 16 bits a component."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._rows: Rows[np.int16] | None = None

    def search(self, embedding: Sequence[float], whose: str) -> VectorSearch:
        """Return the search for an embedding, of any norm but 0.

        Raises:
            ValueError: the embedding is zero, not finite, or not as long as the others.
        """
        vector = np.asarray(embedding, dtype=np.float32)
        norm = float(np.linalg.norm(vector))
        if not (np.isfinite(norm) and norm > 0):
            raise ValueError(f"embedding of {whose!r} has norm {norm}: give a vector that is not 0")
        self._check_width(vector, whose)
        return VectorSearch(vector / np.float32(norm))

    def add(self, sample_id: str, of: VectorSearch) -> None:
        """Remember an embedding.

        Raises:
            ValueError: it is not as long as the others.
        """
        self._check_width(of.unit, sample_id)
        if self._rows is None:
            self._rows = Rows(len(of.unit), np.int16)
        self._rows.append(np.rint(of.unit * _SCALE).astype(np.int16))
        self._ids.append(sample_id)

    def nearest(self, to: VectorSearch) -> tuple[float, str]:
        """Return 1 - cosine to the nearest vector, the first of equals, and its id.

        A search that is asked again looks at what was added since, and answers as a new one would.

        Raises:
            ValueError: the vector is not as long as the others.
        """
        if self._rows is None:
            return FARTHEST, ""
        self._check_width(to.unit, "asked for")
        matrix, scaled = self._rows.filled, to.unit / _SCALE
        for start in range(to.looked_at, len(matrix), _BLOCK):
            block = matrix[start : start + _BLOCK].astype(np.float32)
            cosines = block @ scaled
            # A product with a matrix rounds by where in it a row stands. One by one, equal rows
            # are equally near, and what is found does not depend on the looks before.
            least = max(float(cosines.max()), to.cosine) - _ROUNDING
            for place in np.flatnonzero(cosines >= least).tolist():
                cosine = float(block[place] @ scaled)
                if cosine > to.cosine:
                    to.cosine, to.place = cosine, start + place
        to.looked_at = len(matrix)
        distance = float(np.float32(1.0 - to.cosine))
        return min(max(distance, 0.0), FARTHEST), self._ids[to.place]

    def _check_width(self, vector: npt.NDArray[np.float32], whose: str) -> None:
        width = len(vector) if self._rows is None else self._rows.filled.shape[1]
        if width != len(vector):
            raise ValueError(
                f"embedding of {whose!r} has {len(vector)} dimensions, the others {width}: "
                "one dataset keeps to one embedding model"
            )
