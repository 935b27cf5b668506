"""Streams to callers that may read slowly: bounded memory, and never a wait for the publisher."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc
import structlog

from services.runtime.grpc_handlers import Context

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Outbox(Generic[T]):
    """What one caller has still to get: at most `capacity` items, then the stream is over."""

    def __init__(self, capacity: int, accept: Callable[[T], bool] | None = None) -> None:
        """Set up.

        Args:
            capacity: items that wait for the caller to read.
            accept: which items the caller wants; all by default.
        """
        self._capacity = capacity
        self._accept = accept
        self._items: deque[T] = deque()
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._ended = False
        self._failure: Exception | None = None

    def offer(self, item: T) -> bool:
        """Add an item, if the caller wants it; never blocks.

        Returns:
            Whether the stream goes on.
        """
        if self._over.is_set() or self._ended:
            return False
        try:
            wanted = self._accept is None or self._accept(item)
        except Exception as error:  # The publisher has nothing to do with it.
            self._failure = error
            return self._stop()
        if not wanted:
            return True
        if len(self._items) >= self._capacity:
            return self._stop()
        self._items.append(item)
        self._news.set()
        return True

    def end(self) -> None:
        """Let the stream end after what was offered so far."""
        self._ended = True
        self._news.set()

    async def forward(self, context: Context, encode: Callable[[T], Any] | None = None) -> None:
        """Write the items to a call, until `end`, or until the caller has read too slowly.

        Headers are sent at once: a caller that has them misses nothing from then on.

        Args:
            context: of the streaming call; it is aborted with RESOURCE_EXHAUSTED after `capacity`
                items that the caller did not read.
            encode: from an item to the message; by default items are messages.
        """
        writing = asyncio.create_task(self._write(context, encode))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait((writing, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # A write to a caller that does not read may take for ever.
            writing.cancel()
            over.cancel()
            await asyncio.gather(writing, over, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        if self._over.is_set():
            _log.info("slow reader", peer=context.peer(), waiting=self._capacity)
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the stream was read too slowly: {self._capacity} items were waiting; call again "
                "to go on from now, and read faster or filter more",
            )
        writing.result()

    async def _write(self, context: Context, encode: Callable[[T], Any] | None) -> None:
        await context.send_initial_metadata(())
        while True:
            while self._items:
                item = self._items.popleft()
                await context.write(item if encode is None else encode(item))
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()

    def _stop(self) -> bool:
        self._items.clear()
        self._over.set()
        return False


class Fanout(Generic[T]):
    """Many subscribers to one source of items; a slow one is ended, and holds up nobody."""

    def __init__(self, capacity: int = 1000) -> None:
        """Set up.

        Args:
            capacity: items that wait for each subscriber to read.
        """
        self._capacity = capacity
        self._outboxes: set[Outbox[T]] = set()
        self._closed = False

    @property
    def subscribers(self) -> int:
        """Calls that get the items."""
        return len(self._outboxes)

    def publish(self, item: T) -> None:
        """Give an item to all who want it; never blocks."""
        # Who is over is forgotten here: its call lasts until its caller reads on, or leaves.
        self._outboxes = {outbox for outbox in self._outboxes if outbox.offer(item)}

    async def forward(
        self,
        context: Context,
        accept: Callable[[T], bool] | None = None,
        encode: Callable[[T], Any] | None = None,
    ) -> None:
        """Write what is published from now on to a streaming call, until it or the source ends.

        Args:
            context: of the call; it is aborted with RESOURCE_EXHAUSTED if its caller does not
                read, and with UNAVAILABLE when the source was closed.
            accept: which items the caller wants; all by default.
            encode: from an item to the message; by default items are messages.
        """
        outbox = Outbox(self._capacity, accept)
        if self._closed:
            outbox.end()
        self._outboxes.add(outbox)
        try:
            await outbox.forward(context, encode)
        finally:
            self._outboxes.discard(outbox)
        await context.abort(
            grpc.StatusCode.UNAVAILABLE, "the replica is going away: call again for the rest"
        )

    def close(self) -> None:
        """End all subscriptions after what was published, so that the server can drain."""
        self._closed = True
        for outbox in self._outboxes:
            outbox.end()
