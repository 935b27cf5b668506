"""The dataset writer as a member of a group: what it may write, and when it looks afresh."""

from collections.abc import Awaitable, Callable, Mapping

from services.reward_filtering.writer import DatasetWriter
from services.runtime.ownership import History
from services.runtime.ports import Delivery
from services.runtime.worker import EventSource


class SettledSource:
    """An event source whose messages come when it is known whether they count.

    A marker that makes a verdict void stands before it in the log, and another reader of the same
    topic sees all markers: once that one has passed a message, its validity is settled.
    """

    def __init__(self, source: EventSource, counts: Callable[[Delivery], Awaitable[bool]]) -> None:
        self._source = source
        self._counts = counts

    async def poll(self, limit: int, wait: bool = True) -> list[Delivery]:
        """Return the next messages; see `worker.EventSource`."""
        deliveries = await self._source.poll(limit, wait)
        for delivery in deliveries:
            await self._counts(delivery)
        return deliveries

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offsets to read."""
        await self._source.commit(offsets)


class Delivering:
    """The writer's work; see `ownership.Work` and `ownership.Keeper`.

    What the tables hold is told by the tables: whatever changes hands, the writer reads there how
    far they are.
    """

    def __init__(self, writer: DatasetWriter) -> None:
        self._writer = writer

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writer.run()

    async def revoke(self, partitions: set[int]) -> None:
        """Look at the tables afresh before the next write."""
        self._writer.forget()

    async def finish(self) -> None:
        """Have nothing to finish: a batch that is cut off is read again."""

    async def adopt(self, partition: int, history: History) -> None:
        """Look at the tables afresh before the next write."""
        self._writer.forget()

    async def release(self, partitions: set[int]) -> None:
        """Have nothing to drop."""
