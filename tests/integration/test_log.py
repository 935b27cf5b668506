"""The embedded log: order, durability, readers, compaction, and what a full disk does to it."""

import asyncio
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.local.log import Log, LogError
from services.local.log_file import LogFile
from services.runtime.ports import Delivery, Record

CHILD = """
import asyncio, sys
from pathlib import Path
from services.local.log import Log
from services.runtime.ports import Record

async def publish(log, publisher):
    number = sum(d.key == publisher for d in await log.history("t"))
    while True:
        await log.publish([Record("t", publisher, str(number).encode())])
        print(publisher, number, flush=True)
        number += 1

async def main():
    log = Log(Path(sys.argv[1]), ())
    await asyncio.gather(*(publish(log, f"p{i}") for i in range(4)))

asyncio.run(main())
"""


@asynccontextmanager
async def opened(path: Path, partitions: int = 8, read_only: bool = False) -> AsyncIterator[Log]:
    log = Log(path, {"compacted"}, partitions, read_only)
    try:
        yield log
    finally:
        await log.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def record(key: str, value: object, topic: str = "t") -> Record:
    return Record(topic, key, str(value).encode())


def values(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.value.decode() for delivery in deliveries]


def by_key(deliveries: Sequence[Delivery]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.key].append(delivery.value.decode())
    return found


def test_the_cache_grows_with_the_keys_and_a_log_that_is_opened_again_has_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.local.log_file._CACHE_KB", (20, 60))
    monkeypatch.setattr("services.local.log_file._KEYS_PER_CACHE_KB", 1)
    sizes = []
    for begin in range(0, 100, 25):
        file = LogFile(tmp_path / "log.db", ["compacted"], 2, read_only=False)
        for number in range(begin, begin + 25):
            file.write([Record("compacted", str(number), b"1")], {})
        sizes.append(file._db.execute("PRAGMA cache_size").fetchone())
        file.close()
    assert sizes == [(-20,), (-25,), (-50,), (-60,)]


async def test_records_of_a_key_keep_their_order_in_history_and_for_readers(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db") as log:
        for number in range(30):
            await log.publish([record(f"k{number % 5}", number), record("k0", number + 100)])
        expected = {f"k{key}": [str(n) for n in range(30) if n % 5 == key] for key in range(1, 5)}
        expected["k0"] = [
            text for n in range(30) for text in ([str(n)] if n % 5 == 0 else []) + [str(n + 100)]
        ]
        assert by_key(await log.history("t")) == expected
        reader, polled = log.consumer("reader", ["t"]), list[Delivery]()
        while batch := await reader.poll(7, wait=False):
            polled += batch
        assert by_key(polled) == expected
        assert reader.lag == 0


async def test_a_history_read_in_batches_is_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db", partitions=3) as log:
        assert [batch async for batch in log.batches("compacted")] == []
        rng = random.Random(1)
        numbers = [rng.randrange(900) for _ in range(2000)]
        await log.publish([Record("compacted", f"k{n}", f"{n}".encode()) for n in numbers])
        batches = [batch async for batch in log.batches("compacted")]
        whole = await log.history("compacted")
    assert len(batches) > 3
    assert [delivery for batch in batches for delivery in batch] == whole
    assert len({delivery.key for delivery in whole}) == len(whole) == len(set(numbers))


async def test_records_that_share_a_partition_key_share_a_partition(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db") as log:
        await log.publish([Record("t", f"agent-{n}", b"x", {"n": str(n)}, "g1") for n in range(9)])
        history = await log.history("t")
        assert {d.partition for d in history} == {log.partition("g1")}
        assert [d.offset for d in history] == list(range(9))
        assert [d.headers for d in history] == [{"n": str(n)} for n in range(9)]


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    acknowledged: dict[str, int] = {}
    for told in (1, 40, 170):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(told):
            publisher, number = child.stdout.readline().split()
            acknowledged[publisher] = int(number)
        child.send_signal(signal.SIGKILL)
        # The kill may have cut off the last line.
        for line in child.stdout.read().split("\n")[:-1]:
            publisher, number = line.split()
            acknowledged[publisher] = int(number)
        child.stdout.close()
        child.wait()

        async def kept() -> list[Delivery]:
            async with opened(path) as log:
                return await log.history("t")

        found = by_key(asyncio.run(kept()))
        for publisher, last in acknowledged.items():
            numbers = [int(text) for text in found[publisher]]
            assert numbers == list(range(len(numbers))), "lost, doubled or out of order"
            assert len(numbers) > last


async def test_a_reader_goes_on_where_it_committed_and_others_are_not_moved(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db", partitions=1) as log:
        await log.publish([record("k", n) for n in range(10)])
        reader = log.consumer("reader", ["t"])
        assert values(await reader.poll(6)) == list("012345")
        await reader.commit({("t", 0): 4})
        assert values(await reader.poll(2)) == list("67")
    async with opened(tmp_path / "log.db", partitions=1) as log:
        assert log.end("t", 0) == 10
        assert values(await log.consumer("reader", ["t"]).poll(100)) == list("456789")
        assert values(await log.consumer("other", ["t"]).poll(100)) == list("0123456789")
        await log.publish([record("k", "new")])
        assert [d.offset for d in await log.read("t", 0, 10, 5)] == [10]


async def test_what_is_in_the_file_but_not_told_yet_is_not_passed_over(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db", partitions=1) as log:
        reader = log.consumer("reader", ["t"])
        await log.publish([record("k", n) for n in range(3)])
        # As between the thread that writes and the loop that hears of it.
        log._file.write([record("k", n) for n in range(3, 6)], {})
        assert values(await reader.poll(100)) == list("012")
        assert values(await reader.poll(100)) == list("345")
        assert reader.lag == 0


@pytest.mark.parametrize("topic", ["t", "compacted"])
async def test_a_slow_reader_finds_in_the_file_what_is_not_at_hand_any_more(
    tmp_path: Path, topic: str
) -> None:
    async with opened(tmp_path / "log.db", partitions=2) as log:
        reader, found = log.consumer("reader", [topic]), []
        for number in range(100):
            await log.publish([record(f"k{number}", number, topic)])
            if number % 7 == 0:
                found += values(await reader.poll(1 + number % 3))
        while reader.lag:
            found += values(await reader.poll(5))
        assert sorted(found, key=int) == [str(n) for n in range(100)]


async def test_a_position_is_stored_with_the_records_before_it_or_not_at_all(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "log.db", partitions=1) as log:
        reader = log.consumer("reader", ["t"])
        await log.publish([record("k", 0)])
        await reader.poll(1)
        with full_disk(0):
            results = await asyncio.gather(
                log.publish([record("k", "x" * 100_000)]),
                reader.commit({("t", 0): 1}),
                return_exceptions=True,
            )
        assert [type(result) for result in results] == [LogError, LogError]
        assert values(await log.consumer("reader", ["t"]).poll(9)) == ["0"]
        await reader.commit({("t", 0): 1})
        assert log.consumer("reader", ["t"]).lag == 0


async def test_a_waiting_reader_wakes_for_its_topics_only(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db") as log:
        waiting = asyncio.create_task(log.consumer("reader", ["t", "u"]).poll(5))
        await log.publish([record("k", "foreign", topic="v")])
        assert not waiting.done()
        await log.publish([record("k", "mine", topic="u")])
        assert values(await asyncio.wait_for(waiting, 10)) == ["mine"]


async def test_compaction_keeps_the_last_of_each_key_and_tombstones_remove_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as log:
        await log.publish([record(f"k{n % 3}", n, "compacted") for n in range(9)])
        assert by_key(await log.history("compacted")) == {"k0": ["6"], "k1": ["7"], "k2": ["8"]}
        await log.publish([record("k1", "", "compacted"), record("never", "", "compacted")])
    async with opened(path) as log:
        reader = log.consumer("reader", ["compacted"])
        assert by_key(await reader.poll(100)) == {"k0": ["6"], "k2": ["8"]}
        assert reader.lag == 0, "gaps of compaction still count as unread"
        await log.publish([record("k1", "again", "compacted")])
        assert values(await reader.poll(100)) == ["again"]
        assert sorted(values(await log.history("compacted"))) == ["6", "8", "again"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1)))
def test_a_compacted_topic_holds_the_last_of_each_key_however_it_was_written_and_opened(
    batches: list[list[tuple[str, bool]]],
) -> None:
    expected: dict[str, bytes] = {}
    with TemporaryDirectory() as folder:
        for number, batch in enumerate(batches):
            file = LogFile(Path(folder) / "log.db", ["compacted"], 2, read_only=False)
            records = [
                Record("compacted", key, f"{number}/{place}".encode() if kept else b"")
                for place, (key, kept) in enumerate(batch)
            ]
            file.write(records[:1], {})
            file.write(records[1:], {})
            expected.update({each.key: each.value for each in records})
            found = [d for part in (0, 1) for d in file.read("compacted", part, 0, -1)]
            file.close()
            assert len(found) == len({delivery.key for delivery in found})
            assert {d.key: d.value for d in found} == {k: v for k, v in expected.items() if v}


async def test_publishers_at_once_keep_each_their_order(tmp_path: Path) -> None:
    async def publish(log: Log, publisher: int) -> None:
        for number in range(20):
            await log.publish([record("k", f"{publisher}/{number}/{half}") for half in "ab"])

    async with opened(tmp_path / "log.db") as log:
        await asyncio.gather(*(publish(log, n) for n in range(20)))
        history = values(await log.history("t"))
    expected = [f"{number}/{half}" for number in range(20) for half in "ab"]
    for publisher in range(20):
        own = [text.partition("/")[2] for text in history if text.startswith(f"{publisher}/")]
        assert own == expected
    for first, second in zip(history[::2], history[1::2], strict=True):
        assert first[:-1] == second[:-1], "a publisher's records were torn apart"


async def test_publishers_that_wait_together_are_written_together_or_not_at_all(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "log.db") as log:
        await log.publish([record("k", "before")])
        unwritable = Record("t", "k", b"x", {"header": object()})  # type: ignore[dict-item]
        together = [[record("k", "good")], [record("k", "first"), unwritable], [record("k", "too")]]
        ends = await asyncio.gather(*map(log.publish, together), return_exceptions=True)
        assert [type(end) for end in ends] == [type(ends[1])] * 3
        assert isinstance(ends[1], TypeError)
        await log.publish([record("k", "after")])
        assert values(await log.history("t")) == ["before", "after"]


async def test_a_cancelled_publisher_does_not_break_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db") as log:
        for number in range(20):
            tasks = [asyncio.create_task(log.publish([record("k", number)])) for _ in range(3)]
            for _ in range(number):
                await asyncio.sleep(0)
            tasks[1].cancel()
            async with asyncio.timeout(30):
                ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert ends[0] is ends[2] is None
        history = values(await log.history("t"))
        assert all(history.count(str(number)) in (2, 3) for number in range(20))
        assert history == sorted(history, key=int)


async def test_a_cancelled_poll_loses_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db") as log:
        published = [str(n) for n in range(40)]
        await log.publish([record(f"k{n}", n) for n in published])
        rng, got = random.Random(3), list[str]()
        for _ in range(100):
            reader = log.consumer("reader", ["t"])
            polling = asyncio.create_task(reader.poll(100))
            for _ in range(rng.randrange(100)):
                await asyncio.sleep(0)
            polling.cancel()
            ended = await asyncio.gather(polling, return_exceptions=True)
            got = [] if isinstance(ended[0], BaseException) else values(ended[0])
            got += values(await reader.poll(100, wait=False))
            assert sorted(got, key=int) == published


async def test_a_full_disk_is_told_with_the_file_and_room_lets_the_log_go_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    acknowledged = []

    async def fill(log: Log) -> None:
        for number in range(100):
            await log.publish([record("k", f"{number} {'x' * 5000}")])
            acknowledged.append(number)

    async with opened(path) as log:
        with full_disk(100_000):
            with pytest.raises(LogError) as caught:
                await fill(log)
            assert str(path) in str(caught.value)
            assert "disk space" in str(caught.value)
        with full_disk(0), pytest.raises(LogError):
            await log.consumer("reader", ["t"]).commit({("t", 0): 1})
        await log.publish([record("k", "after")])
    async with opened(path) as log:
        numbers = [text.split()[0] for text in values(await log.history("t"))]
        assert numbers == [*map(str, acknowledged), "after"]
        assert len(await log.consumer("reader", ["t"]).poll(1000)) == len(numbers)
        assert acknowledged


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"not a database, but some text that somebody needs" * 100)
    before = path.read_bytes()
    with pytest.raises(LogError, match=r"log\.db: file is not a database.*another --out"):
        Log(path, (), read_only=read_only)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_of_another_program_is_refused_by_a_reader(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(LogError, match="no such table"):
        Log(tmp_path / "log.db", (), read_only=True)


def test_a_log_where_nothing_can_be_made_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"nowhere/log\.db: unable to open"):
        Log(tmp_path / "nowhere" / "log.db", ())
    with pytest.raises(LogError, match=r"log\.db: unable to open"):
        Log(tmp_path / "log.db", (), read_only=True)
    assert not list(tmp_path.iterdir())


async def test_a_reader_follows_a_log_that_is_being_written(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db") as log:
        await log.publish([record("k", 1)])
        async with opened(tmp_path / "log.db", read_only=True) as reading:
            assert values(await reading.history("t")) == ["1"]
            await log.publish([record("k", 2)])
            assert values(await reading.history("t")) == ["1", "2"]
            with pytest.raises(LogError, match="readonly"):
                await reading.publish([record("k", 3)])
        await log.publish([record("k", 4)])
        assert values(await log.history("t")) == ["1", "2", "4"]
