"""Removal of a folder that hostile code has filled."""

import itertools
import os
import secrets
from pathlib import Path

__all__ = ["remove"]


def remove(folder: Path) -> None:
    """Remove a folder whatever is in it: trees deeper than a path can be long, closed folders.

    Folders inside are moved up before they are emptied, so that no path grows and nothing recurs.
    """
    prefix = secrets.token_hex(8)
    moves = itertools.count()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        for name in os.listdir(current):
            path = current / name
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
                continue
            moved = folder / f"{prefix}-{next(moves)}"
            path.chmod(0o700)  # renaming a folder writes to it, and then it is listed
            path.rename(moved)
            waiting.append(moved)
        if current != folder:
            current.rmdir()
    folder.rmdir()
