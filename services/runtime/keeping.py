"""State that comes and goes with partitions: changelogs and the journal of model answers."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from services.runtime.errors import Rejected
from services.runtime.journal import ModelJournal
from services.runtime.ownership import History, Keeper
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery
from services.runtime.state import Changelog
from services.runtime.worker import DeadLetters

_log = structlog.get_logger(__name__)


async def _nothing(partition: int) -> None:
    return None


class Restoring:
    """Takes over what a log holds, message by message; what cannot be read is a dead letter.

    The key of such a message keeps what it had before: one bad record does not keep a service down.
    """

    def __init__(self, service: str, letters: DeadLetters) -> None:
        self._service = service
        self._letters = letters

    async def restore(
        self, history: Iterable[Delivery], take: Callable[[list[Delivery]], object]
    ) -> list[Delivery]:
        """Give the messages to `take` one by one, and return those that it could read."""
        readable = []
        for delivery in history:
            try:
                take([delivery])
            except Rejected as error:
                place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
                _log.error("record passed over", place=place, reason=str(error))
                await self._letters.bury(self._service, delivery, str(error))
            except Exception as error:
                place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
                _log.exception("record passed over: taking it over crashed", place=place)
                reason = f"taking it over crashed: {type(error).__name__}: {error}"
                await self._letters.bury(self._service, delivery, reason)
            else:
                readable.append(delivery)
        return readable


def keeper(
    changelog: Changelog[Any],
    journal: ModelJournal,
    units: Sequence[str],
    partitions: int,
    restoring: Restoring,
    adopted: Callable[[int], Awaitable[None]] = _nothing,
) -> Keeper:
    """Return how a service keeps one changelog, keyed like its input, and its model answers.

    Args:
        changelog: of the service.
        journal: of the service; several services write to its topic.
        units: the kinds of units of work (the first part of their names) that are this service's.
        partitions: of all topics.
        restoring: how the service takes over what it reads.
        adopted: what is to be done when a partition's state is here.
    """
    prefixes = tuple(f"{unit}/" for unit in units)

    async def adopt(partition: int, history: History) -> None:
        await restoring.restore(history[changelog.topic], changelog.restore)
        journal.restore(d for d in history[journal.topic] if d.key.startswith(prefixes))
        await adopted(partition)

    async def release(gone: set[int]) -> None:
        changelog.forget(lambda key: partition_of(key, partitions) in gone)
        journal.forget_partitions(gone)

    return Keeper(adopt, release)
