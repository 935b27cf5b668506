"""The memory allocators of a process whose many threads work in turns."""

import ctypes
import os
import sys

_OF_LIBRARIES = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "_RJEM_MALLOC_CONF": "narenas:1",
}
"""Of Arrow and of delta-rs (jemalloc): they keep 10 MB for the few rows of a commit, and 15 MB more
after a hundred commits."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of mallopt (malloc.h of the GNU C library)."""
_LARGE_BYTES = 1024 * 1024
_TOP_BYTES = 4 * 1024 * 1024


def share_heap() -> None:
    """Let all threads allocate from one heap, which gives back what it does not need.

    To be called once, before libraries are loaded. The GNU C library gives threads up to eight
    heaps per processor, so that they need not wait for each other; what is freed in one is of no
    use to the others. Ours wait for Python's lock anyway. It also learns to take large blocks from
    the heap once some were freed: an import of profiles then leaves holes of megabytes. With a
    fixed limit they go back to the kernel.

    Other C libraries have no such parameters, and variables that are set already stay.
    """
    for name, value in _OF_LIBRARIES.items():
        os.environ.setdefault(name, value)
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(_ARENA_MAX, 1)
    library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
    library.mallopt(_TRIM_THRESHOLD, _TOP_BYTES)
