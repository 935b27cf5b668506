"""A matrix that rows are added to."""

from typing import Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


class Rows(Generic[T]):
    """A matrix that grows by rows, its room by a quarter at a time."""

    def __init__(self, width: int, dtype: type[T], order: Literal["C", "F"] = "C") -> None:
        """Prepare for rows.

        Args:
            width: Elements of a row.
            dtype: Their type.
            order: "C" when rows are read one by one, "F" when all are compared column by column.
        """
        self._room: npt.NDArray[T] = np.empty((8, width), dtype, order)
        self._order = order
        self._size = 0

    @property
    def filled(self) -> npt.NDArray[T]:
        """The rows that were added, in order."""
        return self._room[: self._size]

    def append(self, row: npt.NDArray[T]) -> None:
        """Add a row."""
        if self._size == len(self._room):
            size = self._size + max(8, self._size // 4)
            grown = np.empty((size, self._room.shape[1]), self._room.dtype, self._order)
            grown[: self._size] = self._room
            self._room = grown
        self._room[self._size] = row
        self._size += 1
