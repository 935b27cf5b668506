"""The loop of a service: poll, handle in lanes, acknowledge contiguously."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from services.runtime import tracing
from services.runtime.errors import Rejected, Retryable
from services.runtime.fencing import is_marker
from services.runtime.log_context import bound
from services.runtime.message_spans import processing
from services.runtime.ordering import Handler, KeyLanes, OffsetTracker
from services.runtime.ports import Delivery
from services.runtime.transport_metrics import KafkaMetrics

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
"""Of a supervised worker at a message whose handler crashes."""
_LONGEST_PAUSE = 30.0


class EventSource(Protocol):
    """A member of a consumer group."""

    async def poll(self, limit: int, wait: bool = True) -> list[Delivery]:
        """Return the next messages, at most `limit`; waits for at least one unless told not to."""

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the next offset to read of each (topic, partition)."""


class DeadLetters(Protocol):
    """Where a message goes that no handler can take."""

    async def bury(self, service: str, delivery: Delivery, reason: str) -> None:
        """Keep the message with the reason."""


@dataclass(frozen=True, slots=True)
class Route:
    """What handles the messages of one topic."""

    topic: str
    handle: Handler
    width: int = 1
    """Messages of one key in work at once."""
    begins: str = ""
    """Type of the event that begins a trace of its own; others go on with that of their sender."""
    traced: bool = True
    """Off: what is done with the messages is no part of their trace."""


class Worker:
    """Runs the handlers of one service over one event source.

    Several topics whose messages share keys and a width of 1 share their lanes, so that what
    happens to one key happens in order whatever topic it comes from.

    A worker that is `supervised` works on whatever happens, as a service does: what may succeed
    later is tried until it does, and a message at which the handler crashes time and again becomes
    a dead letter. One that is not ends with the error, which is then told to a person.
    """

    def __init__(
        self,
        service: str,
        source: EventSource,
        routes: Sequence[Route],
        dead_letters: DeadLetters,
        max_pending: int = 1024,
        supervised: bool = False,
        metrics: KafkaMetrics | None = None,
    ) -> None:
        self.service = service
        self._metrics = metrics = metrics or KafkaMetrics()
        metrics.in_flight[service] = lambda: self._pending
        for route in routes:  # A first one is to be seen as one more than none.
            metrics.dead_letters[route.topic] += 0
            metrics.retried[route.topic] += 0
        self._source = source
        self._routes = {route.topic: route for route in routes}
        self._dead_letters = dead_letters
        self._max_pending = max_pending
        self._supervised = supervised
        self._tracker = OffsetTracker()
        self._lanes = {width: KeyLanes(self._work, width) for width in {r.width for r in routes}}
        self._committable: dict[tuple[str, int], int] = {}
        self._pending = 0
        self._room = asyncio.Event()
        self._advanced = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def pending(self) -> int:
        """Messages taken from the source and not yet done."""
        return self._pending

    async def run(self) -> None:
        """Work until cancelled; raises what a handler raised that is no verdict on its message."""
        poller = asyncio.create_task(self._poll(), name=f"{self.service}-poll")
        committer = asyncio.create_task(self._commit_forever(), name=f"{self.service}-commit")
        try:
            await asyncio.gather(poller, committer)
        finally:
            poller.cancel()
            committer.cancel()
            await asyncio.gather(poller, committer, return_exceptions=True)
            for lanes in self._lanes.values():
                await lanes.cancel()
            await self.commit()

    async def step(self) -> bool:
        """Handle one message to its end, alone; False when there is none (deterministic runs)."""
        deliveries = await self._source.poll(1, wait=False)
        for delivery in deliveries:
            self._begin(delivery)
            await self._work(delivery)
            self._raise_failure()
        await self.commit()
        return bool(deliveries)

    def _begin(self, delivery: Delivery) -> None:
        self._tracker.begin((delivery.topic, delivery.partition), delivery.offset)
        self._pending += 1

    async def revoke(self, partitions: set[int]) -> None:
        """Drop all that is in work of partitions that are somebody else's now."""
        for place in [place for place in self._committable if place[1] in partitions]:
            del self._committable[place]
        for topic in self._routes:
            for partition in partitions:
                self._tracker.forget((topic, partition))
        for lanes in self._lanes.values():
            self._pending -= await lanes.cancel(lambda d: d.partition in partitions)
        self._room.set()

    async def finish(self) -> None:
        """Wait until all that was taken is done, and commit it."""
        while self._pending:
            self._room.clear()
            self._raise_failure()
            await self._room.wait()
        await self.commit()

    async def commit(self) -> None:
        """Commit what is done so far."""
        offsets = dict(self._committable)
        if not offsets:
            return
        await self._source.commit(offsets)
        # Only now: a commit that is cut off is made again.
        for place, offset in offsets.items():
            if self._committable.get(place) == offset:
                del self._committable[place]

    async def _poll(self) -> None:
        while True:
            room = self._max_pending - self._pending
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            for delivery in await self._source.poll(room):
                self._begin(delivery)
                self._lanes[self._routes[delivery.topic].width].submit(delivery)
            self._raise_failure()

    async def _commit_forever(self) -> None:
        while True:
            await self._advanced.wait()
            self._advanced.clear()
            self._raise_failure()
            await self.commit()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _work(self, delivery: Delivery) -> None:
        if self._failure is not None:
            return  # What follows a failed message must not overtake it.
        try:
            await self._handle(delivery)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failure = error
            self._advanced.set()
            self._room.set()
            return
        self._pending -= 1
        self._metrics.handled[delivery.topic] += 1
        place = (delivery.topic, delivery.partition)
        offset = self._tracker.done(place, delivery.offset)
        if offset is not None:
            self._committable[place] = offset
            self._advanced.set()
        self._room.set()

    async def _handle(self, delivery: Delivery) -> None:
        if is_marker(delivery):
            return
        began, seconds = time.monotonic(), self._metrics.handling_seconds.labels(delivery.topic)
        with bound(topic=delivery.topic, key=delivery.key), self._span(delivery):
            await self._persist(delivery)
            seconds.observe(time.monotonic() - began, tracing.exemplar())

    def _span(self, delivery: Delivery) -> tracing.Spanning:
        route = self._routes[delivery.topic]
        if not route.traced:
            return tracing.outside()
        begins = bool(route.begins) and delivery.headers.get("type") == route.begins
        return processing(self.service, delivery, begins)

    async def _persist(self, delivery: Delivery) -> None:
        attempt, pause = 1, 1.0
        while True:
            try:
                await self._attempt(delivery)
                return
            except Rejected as error:
                await self._bury(delivery, str(error))
                return
            except Retryable as error:
                if not self._supervised:
                    raise
                _log.warning("tried again", reason=str(error), **self._named(delivery))
            except Exception as error:
                if not self._supervised:
                    raise
                _log.exception("handler crashed", attempt=attempt, **self._named(delivery))
                if attempt == _ATTEMPTS:
                    reason = f"the handler crashed {attempt} times: {type(error).__name__}: {error}"
                    await self._bury(delivery, reason)
                    return
                attempt += 1
            self._metrics.retried[delivery.topic] += 1
            if (span := tracing.current()) is not None:
                span.add_event("tried again")
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        _log.error("dead letter", reason=reason, **self._named(delivery))
        if (span := tracing.current()) is not None:
            tracing.buried(span)
        await self._dead_letters.bury(self.service, delivery, reason)

    def _named(self, delivery: Delivery) -> dict[str, str]:
        place = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
        return {"service": self.service, "place": place, "key": delivery.key}

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await self._routes[delivery.topic].handle(delivery)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled the handler, only something that it awaited.
            raise RuntimeError(f"{self.service}: {delivery.topic} broke off inside") from error
