"""Order and acknowledgement: lanes by key, and offsets that never pass unfinished work."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush

from services.runtime.ports import Delivery

Handler = Callable[[Delivery], Awaitable[None]]
Place = tuple[str, int]
"""A topic and a partition."""


class OffsetTracker:
    """Which offset of each partition may be committed: the first that is not done yet."""

    def __init__(self) -> None:
        self._begun: dict[Place, deque[int]] = defaultdict(deque)
        self._done: dict[Place, list[int]] = defaultdict(list)

    def begin(self, place: Place, offset: int) -> None:
        """Note that a message is in work; offsets of a partition begin in rising order."""
        self._begun[place].append(offset)

    def done(self, place: Place, offset: int) -> int | None:
        """Note that a message is done; return the new offset to commit, if it moved.

        A committed offset is the next one to read, as in Kafka.
        """
        if place not in self._begun:
            return None  # dropped while the message was in work
        begun, finished = self._begun[place], self._done[place]
        heappush(finished, offset)
        last = None
        while begun and finished and begun[0] == finished[0]:
            last = begun.popleft()
            heappop(finished)
        return None if last is None else last + 1

    def forget(self, place: Place) -> None:
        """Drop a partition that is no longer ours."""
        self._begun.pop(place, None)
        self._done.pop(place, None)


class KeyLanes:
    """Runs handlers so that messages of one key are handled in order, those of others at once.

    With a `width` above 1 that many messages of one key run at once, begun in order.
    """

    def __init__(self, handle: Handler, width: int = 1) -> None:
        self._handle = handle
        self._width = width
        self._waiting: dict[str, deque[Delivery]] = {}
        self._running: dict[str, int] = defaultdict(int)
        self._tasks: dict[asyncio.Task[None], Delivery] = {}

    @property
    def in_flight(self) -> int:
        """Messages submitted and not yet done."""
        return len(self._tasks) + sum(map(len, self._waiting.values()))

    def submit(self, delivery: Delivery) -> None:
        """Handle the message when those of its key before it leave room."""
        if self._running[delivery.key] < self._width:
            self._start(delivery)
        else:
            self._waiting.setdefault(delivery.key, deque()).append(delivery)

    def _start(self, delivery: Delivery) -> None:
        self._running[delivery.key] += 1
        task = asyncio.create_task(self._run(delivery), name=f"{delivery.topic}/{delivery.key}")
        self._tasks[task] = delivery
        # Not in `_run`: a task that is cancelled before its first step runs none of it.
        task.add_done_callback(lambda ended: self._leave(ended, delivery.key))

    async def _run(self, delivery: Delivery) -> None:
        await self._handle(delivery)

    def _leave(self, task: asyncio.Task[None], key: str) -> None:
        self._tasks.pop(task, None)
        self._running[key] -= 1
        waiting = self._waiting.get(key)
        if waiting:
            self._start(waiting.popleft())
            if not waiting:
                del self._waiting[key]
        elif not self._running[key]:
            del self._running[key]

    async def cancel(self, of: Callable[[Delivery], bool] = lambda _: True) -> int:
        """Drop what waits, and cancel what runs; nothing of it is acknowledged.

        Args:
            of: Which messages; all by default.

        Returns:
            How many messages were dropped before they were done.
        """
        dropped = 0
        for key, waiting in list(self._waiting.items()):
            kept = deque(delivery for delivery in waiting if not of(delivery))
            dropped += len(waiting) - len(kept)
            if kept:
                self._waiting[key] = kept
            else:
                del self._waiting[key]
        tasks = [task for task, delivery in self._tasks.items() if of(delivery)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return dropped + sum(task.cancelled() for task in tasks)
