"""Work that ends when what it is about is owned no longer."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Running:
    """A piece of work under way."""

    key: str
    task: asyncio.Task[Any]
    """Whose work it is: the caller's own, for a task for each piece costs more than most pieces."""
    cancels: int
    """Requests to cancel the task from before the work."""
    revoked: bool = False


class Revocable:
    """Runs work under the key that it is about, so that it can be revoked with the key.

    Whoever loses a key may be waiting to write for it, and would wait for ever.
    """

    def __init__(self) -> None:
        self._running: set[_Running] = set()

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, key: str, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what the work returns, or None when it was revoked; raises what it raises."""
        task = asyncio.current_task()
        assert task is not None
        running = _Running(key, task, task.cancelling())
        self._running.add(running)
        try:
            result = await work
        except BaseException as error:
            if self._end(running):
                return None
            if isinstance(error, asyncio.CancelledError):
                # Nobody cancelled it, only something that it awaited.
                raise RuntimeError(f"work for {key!r} broke off inside") from error
            raise
        return None if self._end(running) else result

    def _end(self, running: _Running) -> bool:
        """Return whether work that has ended was revoked.

        Raises:
            asyncio.CancelledError: the caller is cancelled, whatever the work made of it.
        """
        self._running.discard(running)
        if running.revoked:
            running.task.uncancel()
        if running.task.cancelling() > running.cancels:
            raise asyncio.CancelledError
        return running.revoked

    def revoke(self, gone: Callable[[str], bool]) -> None:
        """Cancel the work of keys that are gone: it does nothing from now on."""
        for running in [each for each in self._running if gone(each.key)]:
            self._running.remove(running)
            running.revoked = True
            running.task.cancel()
