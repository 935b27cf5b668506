"""Work that ends when what it is about is owned no longer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Revocable:
    """Runs work under the key that it is about, so that it can be revoked with the key.

    Whoever loses a key may be waiting to write for it, and would wait for ever.
    """

    def __init__(self) -> None:
        self._keys: dict[asyncio.Task[Any], str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    async def run(self, key: str, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what the work returns, or None when it was revoked; raises what it raises."""
        task = asyncio.create_task(work, name=key)
        self._keys[task] = key
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()  # If it is not done, we are cancelled.
            revoked = self._keys.pop(task, None) is None
        if revoked:
            return None
        if task.cancelled():
            # Nobody cancelled it, only something that it awaited.
            raise RuntimeError(f"work for {key!r} broke off inside")
        return task.result()

    def revoke(self, gone: Callable[[str], bool]) -> None:
        """Cancel the work of keys that are gone: it does nothing from now on."""
        for task, key in list(self._keys.items()):
            if gone(key):
                del self._keys[task]
                task.cancel()
