import asyncio
from collections import Counter, defaultdict
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.ordering import KeyLanes, OffsetTracker, Place
from services.runtime.ports import Delivery

KEYS = st.lists(st.sampled_from("abc"), max_size=12)
WIDTHS = st.integers(1, 3)
CHOICES = st.lists(st.integers(0, 99), max_size=30)


def messages(keys: list[str]) -> list[Delivery]:
    return [Delivery("topic", 0, offset, key, b"", {}) for offset, key in enumerate(keys)]


async def settled() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


class Desk:
    """Handles messages that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Delivery] = []
        self.done: list[Delivery] = []
        self.open: dict[int, asyncio.Future[None]] = {}

    async def handle(self, delivery: Delivery) -> None:
        self.begun.append(delivery)
        self.open[delivery.offset] = asyncio.get_running_loop().create_future()
        try:
            await self.open[delivery.offset]
            self.done.append(delivery)
        finally:
            del self.open[delivery.offset]

    async def finish(self, choice: int) -> None:
        """End one of the messages in work."""
        futures = list(self.open.values())
        futures[choice % len(futures)].set_result(None)
        await settled()


@given(KEYS, WIDTHS, CHOICES)
def test_lanes_begin_messages_of_a_key_in_order_and_as_many_as_fit(
    keys: list[str], width: int, choices: list[int]
) -> None:
    async def scenario() -> None:
        desk = Desk()
        lanes = KeyLanes(desk.handle, width)
        submitted = messages(keys)
        for step in range(len(keys) * 2):
            choice = choices[step] if step < len(choices) else 0
            # Odd choices end a message before the next one comes.
            if desk.open and (choice % 2 or step >= len(keys)):
                await desk.finish(choice // 2)
            if step < len(keys):
                lanes.submit(submitted[step])
                await settled()
            left: Counter[str] = Counter(keys[: step + 1])
            left.subtract(delivery.key for delivery in desk.done)
            at_once = Counter(submitted[offset].key for offset in desk.open)
            assert at_once == Counter({key: min(width, count) for key, count in left.items()})
            assert lanes.in_flight == left.total()
        while desk.open:
            await desk.finish(0)
        assert len(desk.done) == len(keys)
        begun: dict[str, list[int]] = defaultdict(list)
        for delivery in desk.begun:
            begun[delivery.key].append(delivery.offset)
        assert all(offsets == sorted(offsets) for offsets in begun.values())

    asyncio.run(scenario())


@given(KEYS, WIDTHS, CHOICES, st.booleans())
def test_cancelled_lanes_finish_nothing_more_and_are_free_again(
    keys: list[str], width: int, choices: list[int], begun: bool
) -> None:
    async def scenario() -> None:
        desk = Desk()
        lanes = KeyLanes(desk.handle, width)
        for delivery in messages(keys):
            lanes.submit(delivery)
        if begun:
            await settled()
        for choice in choices[:3]:
            if desk.open:
                await desk.finish(choice)
        before, seen = list(desk.done), len(desk.begun)
        await lanes.cancel()
        await settled()
        assert (desk.done, len(desk.begun), lanes.in_flight) == (before, seen, 0)
        for delivery in messages(keys):
            lanes.submit(delivery)
        await settled()
        while desk.open:
            await desk.finish(0)
        assert len(desk.done) == len(before) + len(keys)

    asyncio.run(scenario())


@given(
    st.lists(st.sets(st.integers(0, 40), max_size=10), min_size=2, max_size=2),
    st.randoms(use_true_random=False),
)
def test_offsets_commit_up_to_the_first_unfinished_whatever_finishes_first(
    partitions: list[set[int]], random: Random
) -> None:
    tracker = OffsetTracker()
    work: list[tuple[Place, int]] = []
    for partition, offsets in enumerate(partitions):
        for offset in sorted(offsets):  # gaps: compaction took what was there
            tracker.begin(("topic", partition), offset)
            work.append((("topic", partition), offset))
    random.shuffle(work)
    open_ = {("topic", number): set(offsets) for number, offsets in enumerate(partitions)}
    committed: dict[Place, int] = {}
    for place, offset in work:
        moved = tracker.done(place, offset)
        open_[place].remove(offset)
        done = set(partitions[place[1]]) - open_[place]
        first_open = min(open_[place], default=99)
        behind = [offset for offset in done if offset < first_open]
        if moved is not None:
            assert moved > committed.get(place, 0)
            committed[place] = moved
        assert committed.get(place) == (max(behind) + 1 if behind else None)


def test_messages_begun_later_wait_for_earlier_ones() -> None:
    tracker, place = OffsetTracker(), ("topic", 0)
    tracker.begin(place, 7)
    tracker.begin(place, 8)
    assert tracker.done(place, 8) is None
    tracker.begin(place, 9)
    assert tracker.done(place, 7) == 9
    assert tracker.done(place, 9) == 10


def test_what_ends_after_its_partition_was_dropped_moves_nothing() -> None:
    tracker, place = OffsetTracker(), ("topic", 0)
    tracker.begin(place, 4)
    tracker.begin(place, 5)
    assert tracker.done(place, 5) is None
    tracker.forget(place)
    assert tracker.done(place, 4) is None
    tracker.begin(place, 4)  # ours again, from the last commit
    tracker.begin(place, 5)
    tracker.begin(place, 6)
    assert tracker.done(place, 6) is None
    assert tracker.done(place, 4) == 5
    assert tracker.done(place, 5) == 7
