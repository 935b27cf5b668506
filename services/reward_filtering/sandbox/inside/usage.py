"""What a process without a file system and a process tree of its own has taken so far."""

import os
from typing import Any

__all__ = ["FILES_AT_MOST", "too_much"]

FILES_AT_MOST = 4096
DEPTH_AT_MOST = 64


def _exceeds(folder: str, bytes_at_most: int) -> bool:
    """Return whether a tree holds more than it may; one that cannot be walked does."""
    total = files = 0
    waiting = [(folder, 0)]
    try:
        while waiting:
            path, depth = waiting.pop()
            with os.scandir(path) as entries:
                for entry in entries:
                    files += 1
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
                    if total > bytes_at_most or files > FILES_AT_MOST or depth > DEPTH_AT_MOST:
                        return True
    except FileNotFoundError:
        return False  # it is being changed as we look
    except OSError:
        return True
    return False


def too_much(order: dict[str, Any], process: int) -> str:
    """Return "files" or "threads" if a process has more of it than the order says, else nothing."""
    if _exceeds(order["work"], order["file_bytes"]):
        return "files"
    try:
        threads = len(os.listdir(f"/proc/{process}/task"))
    except OSError:
        return ""
    return "threads" if threads > order["threads"] else ""
