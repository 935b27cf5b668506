"""Partitions come and go between real members of a group: nothing is lost, nobody owns twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.local.servers.tansu import Tansu
from services.runtime.errors import NotOwner, Retryable
from services.runtime.fencing import EPOCH, Fence, marker
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.kafka_tail import read_all
from services.runtime.ports import Record
from services.runtime.settings import KafkaSettings
from tests.integration.brokers import PARTITIONS, broker, publishing, until
from tests.integration.ledgers import Ledger, ledger_topics, outputs
from tests.integration.servers import fresh_name

KEYS = [f"key-{n}" for n in range(16)]
ALL = set(range(PARTITIONS))


@pytest.fixture
def settings(tansu_memory: Tansu) -> KafkaSettings:
    return broker(tansu_memory)


@asynccontextmanager
async def ledgers(settings: KafkaSettings) -> AsyncIterator["Group"]:
    topics = await ledger_topics(settings)
    async with publishing(settings, *topics) as publisher:
        group = Group(settings, topics, publisher)
        try:
            yield group
        finally:
            await asyncio.gather(*(ledger.end() for ledger in group.members))


class Group:
    def __init__(
        self, settings: KafkaSettings, topics: list[str], publisher: KafkaPublisher
    ) -> None:
        self.settings, self.topics, self.publisher = settings, topics, publisher
        self.name = fresh_name("group")
        self.members: list[Ledger] = []
        self.sent = 0

    async def join(self) -> Ledger:
        ledger = Ledger(self.settings, self.topics, self.name)
        self.members.append(await ledger.start())
        return ledger

    async def leave(self, ledger: Ledger) -> None:
        self.members.remove(ledger)
        await ledger.leave()

    async def send(self, rounds: int) -> None:
        for _ in range(rounds):
            await self.publisher.publish(
                [Record(self.topics[0], key, str(self.sent).encode()) for key in KEYS]
            )
            self.sent += 1

    async def settled(self) -> None:
        """Wait until every partition has one owner."""

        def shared_out() -> bool:
            owned = [part for ledger in self.members for part in ledger.owned]
            return sorted(owned) == sorted(ALL) and all(ledger.owned for ledger in self.members)

        await until(shared_out, "one owner of each partition")

    async def done(self) -> None:
        """Wait until all that was sent is in some member's state."""

        def complete() -> bool:
            states = {k: v for ledger in self.members for k, v in ledger.states.items()}
            return all(sorted(states.get(key, [])) == list(range(self.sent)) for key in KEYS)

        await until(complete, "all that was sent")

    async def check(self) -> None:
        """Compare what the log holds with what was sent."""
        history = await read_all(self.settings, "check", [self.topics[1]])
        last = {d.key: d.value for d in Fence().filtered(history)}
        assert set(last) == set(KEYS)
        for key, places in outputs(
            await read_all(self.settings, "check", [self.topics[2]])
        ).items():
            assert sorted(places) == list(range(self.sent)), key
            # In order, and the same story however often it was told.
            assert all(places[number] == {number} for number in places), key


async def test_members_that_join_and_leave_lose_and_double_nothing(
    settings: KafkaSettings,
) -> None:
    async with ledgers(settings) as group:
        first = await group.join()
        await group.send(5)
        await group.settled()
        assert first.owned == ALL
        second = await group.join()
        await group.send(5)
        await group.settled()
        assert first.owned
        assert second.owned
        assert not first.owned & second.owned
        await group.leave(first)
        await group.send(5)
        await group.settled()
        assert second.owned == ALL
        await group.done()
        await group.check()


async def test_what_is_in_work_when_its_partition_goes_is_done_by_the_next_owner(
    settings: KafkaSettings,
) -> None:
    async with ledgers(settings) as group:
        first = await group.join()
        await group.settled()
        first.open.clear()
        await group.send(2)
        await until(lambda: first.waiting == len(KEYS), "all keys in work")
        second = await group.join()
        await group.settled()
        taken = {key for key in KEYS if second.ownership.owns(key)}
        await until(lambda: set(second.states) == taken, "the second one's keys")
        assert first.waiting == len(KEYS) - len(taken)
        first.open.set()
        await group.done()
        await group.check()


async def test_a_former_owner_can_write_no_changelog(settings: KafkaSettings) -> None:
    async with ledgers(settings) as group:
        first = await group.join()
        await group.settled()
        await group.join()
        await group.settled()
        lost = next(key for key in KEYS if not first.ownership.owns(key))
        with pytest.raises(NotOwner, match="another replica"):
            await first.ownership.publish([Record(group.topics[1], lost, b"[]")])
        kept = next(key for key in KEYS if first.ownership.owns(key))
        await first.ownership.publish([Record(group.topics[1], kept, b"[]")])


async def test_a_record_that_was_on_its_way_when_the_owner_changed_is_void_and_healed(
    settings: KafkaSettings,
) -> None:
    async with ledgers(settings) as group:
        first = await group.join()
        await group.send(3)
        await group.settled()
        await group.done()
        changelog = group.topics[1]
        old: dict[str, str] = {}
        async with asyncio.timeout(30):
            while set(old) != set(KEYS):
                history = await read_all(settings, "look", [changelog])
                old = {d.key: d.headers[EPOCH] for d in history if d.key in KEYS}
        await group.leave(first)
        second = await group.join()
        await group.settled()
        # What a frozen owner had in its socket arrives now.
        await group.publisher.publish(
            [Record(changelog, key, b"[99]", {EPOCH: old[key]}) for key in KEYS]
        )
        await group.leave(second)
        third = await group.join()
        await group.settled()
        assert third.ownership.void == len(KEYS)
        assert all(third.states[key] == [0, 1, 2] for key in KEYS)
        # The last record of each key is a valid one again, so that compaction keeps it.
        last = {d.key: d.value for d in await read_all(settings, "look", [changelog])}
        assert all(last[key] == b"[0,1,2]" for key in KEYS)
        await group.send(1)
        await group.done()
        await group.check()


async def test_an_owner_behind_whose_back_another_took_over_notices_and_starts_again(
    settings: KafkaSettings,
) -> None:
    async with ledgers(settings) as group:
        first = await group.join()
        await group.send(2)
        await group.settled()
        await group.done()
        # A person's record is no takeover.
        await group.publisher.publish([Record(group.topics[1], KEYS[0], b"[0,1]")])
        await group.send(1)
        await group.done()
        # One that was frozen while it joined, and wakes after its partitions went to the first.
        await group.publisher.publish([marker(group.topics[1], part) for part in ALL])
        await group.send(1)
        assert first.task is not None
        with pytest.raises(Retryable, match="another process has taken changelog"):
            await asyncio.wait_for(asyncio.shield(first.task), 30)
        group.members.remove(first)
        await first.end()
        await group.join()
        await group.settled()
        await group.done()
        await group.check()


async def test_a_message_at_which_the_handler_crashes_is_buried_and_the_others_go_on(
    settings: KafkaSettings,
) -> None:
    async with ledgers(settings) as group:
        first = await group.join()
        await group.send(1)
        await group.publisher.publish([Record(group.topics[0], KEYS[0], b"no number")])
        await group.send(1)
        await group.done()
        await until(lambda: bool(first.letters.buried), "the dead letter")
        ((delivery, reason),) = first.letters.buried
        assert delivery.value == b"no number"
        assert "crashed 3 times: ValueError" in reason
        await group.check()
