"""Sums over the candidates of a dataset by stratum and requirement, as arrays.

Each claim asks for those of all requirements at once.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
_FIELDS = 4
"""Candidates, accepted ones, learnability, tokens."""


class RequirementSums:
    """What was counted of each requirement, in each stratum and in all of them together."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._every: Floats = np.zeros((_FIELDS, 0))
        """A column for each requirement. All arrays have room to grow, and as much of it."""
        self._own: dict[str, Floats] = {}

    def column(self, requirement_id: str) -> int:
        """Return where a requirement stands: for ever, once it was asked for."""
        column = self._columns.setdefault(requirement_id, len(self._columns))
        room = self._every.shape[1]
        if column >= room:
            more = ((0, 0), (0, max(16, room)))
            self._every = np.pad(self._every, more)
            self._own = {stratum: np.pad(sums, more) for stratum, sums in self._own.items()}
        return column

    def add(
        self, stratum: str, requirement_id: str, counted: tuple[float, float, float, float]
    ) -> None:
        """Count a candidate: 1, accepted, learnability, tokens."""
        column = self.column(requirement_id)
        if stratum not in self._own:
            self._own[stratum] = np.zeros_like(self._every)
        self._own[stratum][:, column] += counted
        self._every[:, column] += counted

    def of(self, stratum: str, columns: Places, elsewhere: float) -> Floats:
        """Return the sums of requirements in a stratum: a row for each field.

        What was counted in other strata counts `elsewhere` times as much.
        """
        every = self._every[:, columns]
        if stratum not in self._own:
            return elsewhere * every
        own = self._own[stratum][:, columns]
        return own + elsewhere * (every - own)
