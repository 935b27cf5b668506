"""The embedded log does what a list per partition would do, whatever is done to it."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.local.log import Log, LogConsumer
from services.runtime.ports import Record

PARTITIONS = 2
TOPICS = ("plain", "compacted")
MEMBERS = ("one", "two")
Place = tuple[str, int]

records = st.lists(
    st.builds(
        Record,
        topic=st.sampled_from(TOPICS),
        key=st.sampled_from("abcdé"),
        value=st.sampled_from([b"", b"x", b"yy", b"\x00"]),
        headers=st.dictionaries(st.just("type"), st.text(max_size=3), max_size=1),
        partition_key=st.sampled_from(["", "g1", "g2"]),
    ),
    max_size=4,
)


class LogAndReference(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.places = [(topic, part) for topic in TOPICS for part in range(PARTITIONS)]
        self.stored: dict[Place, dict[int, Record]] = {place: {} for place in self.places}
        self.published: dict[Place, dict[int, Record]] = {place: {} for place in self.places}
        self.ends = dict.fromkeys(self.places, 0)
        self.committed = {member: dict.fromkeys(self.places, 0) for member in MEMBERS}
        self.open()

    def open(self) -> None:
        self.log = Log(Path(self.folder.name) / "log.db", {"compacted"}, PARTITIONS)
        self.readers: dict[str, LogConsumer] = {}
        self.reached: dict[str, dict[Place, int]] = {}
        for member in MEMBERS:
            self.join(member)

    def join(self, member: str) -> None:
        self.readers[member] = self.log.consumer(member, TOPICS)
        self.reached[member] = dict(self.committed[member])

    def append(self, record: Record) -> None:
        place = (record.topic, self.log.partition(record.partition_key or record.key))
        if record.topic == "compacted":
            for part in range(PARTITIONS):
                stored = self.stored["compacted", part]
                self.stored["compacted", part] = {
                    offset: other for offset, other in stored.items() if other.key != record.key
                }
        if record.topic != "compacted" or record.value:
            self.stored[place][self.ends[place]] = record
        self.published[place][self.ends[place]] = record
        self.ends[place] += 1

    @rule(groups=st.lists(records, max_size=3))
    def publish_at_once(self, groups: list[list[Record]]) -> None:
        async def publish() -> None:
            await asyncio.gather(*map(self.log.publish, groups))

        self.runner.run(publish())
        for group in groups:
            for record in group:
                self.append(record)

    @rule(member=st.sampled_from(MEMBERS), limit=st.integers(1, 6), commits=st.booleans())
    def read(self, member: str, limit: int, commits: bool) -> None:
        reader, reached = self.readers[member], self.reached[member]
        got = self.runner.run(reader.poll(limit, wait=False))
        assert len(got) <= limit
        for place in self.places:
            own = [d for d in got if (d.topic, d.partition) == place]
            offsets_of = [d.offset for d in own]
            assert offsets_of == sorted({o for o in offsets_of if o >= reached[place]})
            # A reader that keeps up may see what compaction removes later, as with Kafka; what is
            # left by it is never passed over.
            end = self.ends[place] if len(got) < limit else max(offsets_of, default=-1) + 1
            left = {o for o in self.stored[place] if reached[place] <= o < end}
            assert left <= set(offsets_of)
            for delivery in own:
                record = self.published[place][delivery.offset]
                assert (delivery.key, delivery.value) == (record.key, record.value)
                assert delivery.headers == record.headers
        offsets = {(d.topic, d.partition): d.offset + 1 for d in got}
        reached |= offsets
        if len(got) < limit:
            assert reader.lag == 0
        if commits:
            self.runner.run(reader.commit(offsets))
            self.committed[member] |= offsets

    @rule(member=st.sampled_from(MEMBERS))
    def begin_again(self, member: str) -> None:
        self.join(member)

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.log.close())
        self.open()

    @invariant()
    def history_and_ends_agree(self) -> None:
        for topic in TOPICS:
            found = self.runner.run(self.log.history(topic))
            expected = [
                (part, offset, record.key, record.value)
                for part in range(PARTITIONS)
                for offset, record in sorted(self.stored[topic, part].items())
            ]
            assert [(d.partition, d.offset, d.key, d.value) for d in found] == expected
        assert {place: self.log.end(*place) for place in self.places} == self.ends

    def teardown(self) -> None:
        self.runner.run(self.log.close())
        self.runner.close()
        self.folder.cleanup()


LogAndReference.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestLogAndReference = LogAndReference.TestCase
