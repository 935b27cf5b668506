import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from services.events import DeadLetter, codec
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import DEAD_LETTERS
from services.local.log import Log
from services.runtime.errors import Rejected, Retryable
from services.runtime.metrics import Metrics
from services.runtime.ports import Delivery, Record
from services.runtime.worker import Route, Worker

FIRST, SECOND = "matrix.first.v1", "matrix.second.v1"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    log = Log(tmp_path / "log.db", compacted=(), partitions=2)
    yield log
    await log.close()


def worker_on(log: Log, *routes: Route, max_pending: int = 1024) -> Worker:
    source = log.consumer("service", [route.topic for route in routes])
    return Worker("service", source, routes, DeadLetterTopic(log, Metrics()), max_pending)


async def publish(log: Log, topic: str, keys: Iterable[str]) -> None:
    """Publish one message per key; each has its number as its value."""
    await log.publish(
        [Record(topic, key, b"%d" % number, {"type": "T"}) for number, key in enumerate(keys)]
    )


async def unacknowledged(log: Log, *topics: str) -> set[bytes]:
    """What a member of the same name would be given after a restart."""
    return {d.value for d in await log.consumer("service", topics).poll(1000, wait=False)}


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is awaited happens in this loop or on a thread
        await asyncio.sleep(0)


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


class Handler:
    """Notes what begins, and holds it until it is released; `poison` is rejected."""

    def __init__(self, *, hold: bool = False, poison: bytes = b"") -> None:
        self.begun: list[bytes] = []
        self.done: list[bytes] = []
        self.held: dict[bytes, asyncio.Event] = {}
        self._hold = hold
        self._poison = poison

    async def __call__(self, delivery: Delivery) -> None:
        self.begun.append(delivery.value)
        if delivery.value == self._poison:
            raise Rejected(f"{delivery.value!r} is not food")
        if self._hold:
            self.held[delivery.value] = asyncio.Event()
            await self.held[delivery.value].wait()
        self.done.append(delivery.value)


async def test_a_rejected_message_goes_to_the_dead_letters_and_the_rest_goes_on(log: Log) -> None:
    handler = Handler(poison=b"1")
    await publish(log, FIRST, "aaab")
    async with running(worker_on(log, Route(FIRST, handler))):
        await until(lambda: len(handler.done) == 3)
    [buried] = await log.history(DEAD_LETTERS.name)
    letter = codec.from_delivery(buried)
    partition = log.partition("a")
    assert letter == DeadLetter(
        FIRST, partition, 1, b"1", {"type": "T"}, "b'1' is not food", "service"
    )
    assert buried.key == "a"
    assert sorted(handler.done) == [b"0", b"2", b"3"]
    assert await unacknowledged(log, FIRST) == set()


async def cancelled_inside(_: Delivery) -> None:
    inner = asyncio.create_task(asyncio.Event().wait())
    inner.cancel()
    await inner


def raises(error: Exception) -> Callable[[Delivery], Awaitable[None]]:
    async def handle(_: Delivery) -> NoReturn:
        raise error

    return handle


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (raises(Retryable("the model is gone")), Retryable),
        (raises(KeyError("a bug")), KeyError),
        (cancelled_inside, RuntimeError),
    ],
)
async def test_any_other_error_ends_the_worker_and_its_message_is_not_acknowledged(
    fail: Callable[[Delivery], Awaitable[None]], expected: type[Exception], log: Log
) -> None:
    handled: list[bytes] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery.value)
        if delivery.value == b"1":
            await fail(delivery)

    await publish(log, FIRST, "aaa")
    async with asyncio.timeout(10):
        with pytest.raises(expected):
            await worker_on(log, Route(FIRST, handle)).run()
    assert handled == [b"0", b"1"], "nothing may overtake the message that failed"
    assert await unacknowledged(log, FIRST) == {b"1", b"2"}
    assert await log.history(DEAD_LETTERS.name) == []


async def test_a_message_that_cannot_be_buried_is_not_acknowledged(
    log: Log, tmp_path: Path
) -> None:
    closed = Log(tmp_path / "closed.db", compacted=())
    await closed.close()
    source = log.consumer("service", [FIRST])
    routes = [Route(FIRST, Handler(poison=b"0"))]
    worker = Worker("service", source, routes, DeadLetterTopic(closed, Metrics()))
    await publish(log, FIRST, "a")
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError):
            await worker.run()
    assert await unacknowledged(log, FIRST) == {b"0"}


@pytest.mark.parametrize("finished", [{0, 1, 2, 3}, {0, 2}, {1, 3}, {0, 1}, {1, 2, 3}, set()])
async def test_a_restart_repeats_from_the_first_unfinished_message_of_a_partition(
    finished: set[int], log: Log, tmp_path: Path
) -> None:
    async def handle(delivery: Delivery) -> None:
        if int(delivery.value) not in finished:
            await asyncio.Event().wait()

    keys = ["k0", "k1", "k2", "k3"]
    await publish(log, FIRST, keys)
    worker = worker_on(log, Route(FIRST, handle))
    async with running(worker):
        await until(lambda: worker.pending == 4)
        await until(lambda: worker.pending == 4 - len(finished))
    again = set()
    for partition in range(log.partitions):
        own = [number for number, key in enumerate(keys) if log.partition(key) == partition]
        first = min(set(own) - finished, default=9)
        again |= {b"%d" % number for number in own if number >= first}
    reopened = Log(tmp_path / "log.db", compacted=(), partitions=2)
    assert await unacknowledged(reopened, FIRST) == again
    await reopened.close()


async def test_a_commit_that_cancellation_cuts_off_is_made_at_the_end(
    log: Log, tmp_path: Path
) -> None:
    handler = Handler(hold=True)
    await publish(log, FIRST, "a")
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    task = asyncio.create_task(worker_on(log, Route(FIRST, handler)).run())
    async with asyncio.timeout(10):
        await until(lambda: bool(handler.held))
        # The log's thread is held up by a publish, so that the commit queues behind it.
        other.execute("BEGIN IMMEDIATE")
        publishing = asyncio.create_task(publish(log, SECOND, "a"))
        await settled()
        handler.held[b"0"].set()
        await settled()
        task.cancel()
        await settled()
        other.rollback()
        other.close()
        await asyncio.gather(task, publishing, return_exceptions=True)
    assert await unacknowledged(log, FIRST) == set()


async def test_no_more_messages_are_taken_than_may_be_pending(log: Log) -> None:
    handler = Handler(hold=True)
    await publish(log, FIRST, [f"k{number}" for number in range(8)])
    worker = worker_on(log, Route(FIRST, handler), max_pending=3)
    async with running(worker):
        for taken in range(3, 9):
            await until(lambda taken=taken: len(handler.begun) >= taken)  # type: ignore[misc]
            for _ in range(3):
                await log.read(FIRST, 0, 0, 1)  # whoever reads the log has had his turn before
            assert len(handler.begun) == taken
            assert worker.pending == 3
            handler.held[handler.begun[taken - 3]].set()
        for event in handler.held.values():
            event.set()
        await until(lambda: worker.pending == 0)
    assert len(handler.done) == 8


async def test_messages_of_a_key_are_in_order_across_the_topics_of_a_worker(log: Log) -> None:
    first, second = Handler(hold=True), Handler(hold=True)
    await publish(log, FIRST, ["a"])
    await publish(log, SECOND, ["a", "b"])
    async with running(worker_on(log, Route(FIRST, first), Route(SECOND, second))):
        await until(lambda: second.begun == [b"1"])  # key b waits for nobody
        assert first.begun == [b"0"]
        first.held[b"0"].set()
        await until(lambda: second.begun == [b"1", b"0"])
        assert first.done == [b"0"]


async def test_a_step_is_one_message_to_its_end(log: Log) -> None:
    handler = Handler(poison=b"1")
    await publish(log, FIRST, "aaa")
    worker = worker_on(log, Route(FIRST, handler))
    for left in ({b"1", b"2"}, {b"2"}, set()):
        assert await worker.step()
        assert await unacknowledged(log, FIRST) == left
    assert not await worker.step()
    assert handler.done == [b"0", b"2"]
    assert len(await log.history(DEAD_LETTERS.name)) == 1


async def test_a_failed_step_raises_and_acknowledges_nothing(log: Log) -> None:
    await publish(log, FIRST, "a")
    worker = worker_on(log, Route(FIRST, raises(Retryable("the model is gone"))))
    with pytest.raises(Retryable):
        await worker.step()
    assert await unacknowledged(log, FIRST) == {b"0"}
