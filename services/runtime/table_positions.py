"""How far a table's writers have read: looked up once, then followed from commit to commit.

deltalake looks up a position by reading every commit since the last checkpoint, and keeps nothing:
on an object store up to a hundred requests, for each position.
"""

from collections.abc import Mapping, Sequence

from deltalake import DeltaTable

from services.runtime.object_store import Folder
from services.runtime.table_files import positions_set_by

_COMMITS_TO_FOLLOW = 20
"""Behind by more, positions are looked up again."""


class Positions:
    """The reading positions of one table, as of the version that was last asked about."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._version = -1
        self._known: dict[str, int | None] = {}

    def stored(self, snapshot: DeltaTable, names: Sequence[str]) -> dict[str, int | None]:
        """Return the positions of `names` in the snapshot, None for those that it does not have."""
        self._follow(snapshot.version())
        for name in names:
            if name not in self._known:
                self._known[name] = snapshot.transaction_version(name)
        return {name: self._known[name] for name in names}

    def note_append(self, base: int, version: int, offsets: Mapping[str, int]) -> None:
        """Take over what an own commit on top of version `base` set; nothing was in between."""
        if base == self._version and version == base + 1:
            self._known.update(offsets)
            self._version = version

    def forget(self) -> None:
        """Look everything up again."""
        self._known.clear()
        self._version = -1

    def _follow(self, version: int) -> None:
        if version < self._version or version - self._version > _COMMITS_TO_FOLLOW:
            self._known.clear()
        elif self._known:
            for newer in range(self._version + 1, version + 1):
                self._known.update(positions_set_by(self._folder, newer))
        self._version = version
