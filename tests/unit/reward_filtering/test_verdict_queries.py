"""The verdict index: counts, and pages that hold every verdict once whoever gives them."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.events import ChatMessage, Provenance, Requirement, SampleJudged, Usage, codec
from services.events.topics import SAMPLES_JUDGED
from services.reward_filtering.queries import VerdictIndex, check_known
from services.runtime.errors import NotFound, Rejected
from services.runtime.ids import derived_id
from services.runtime.pages import page_token
from services.runtime.ports import Delivery

Place = tuple[int, int]


def judged(number: int, accepted: bool) -> SampleJudged:
    return SampleJudged(
        sample_id=derived_id("sample", number),
        dataset="d",
        stratum="r00",
        kind="sft",
        requirement=Requirement("r", "", 1, ""),
        accepted=accepted,
        reason="" if accepted else "length",
        stage="response",
        messages=(ChatMessage("user", str(number)),),
        provenance=Provenance("s", "g", "a"),
        usage=Usage(1, 10, 5),
        created_at=float(number),
        embedding=(1.0,),
    )


class Topic:
    """Verdicts in their partitions, and replicas that read these side by side."""

    def __init__(self, partitions: Sequence[int]) -> None:
        self.partitions = partitions
        self.places: list[Place] = []
        self.at: dict[Place, Delivery] = {}
        for number, partition in enumerate(partitions):
            offset = 3 * sum(p == partition for p, _ in self.places)
            self.places.append((partition, offset))
            record = codec.to_record(SAMPLES_JUDGED, "d/r00", judged(number, number % 3 > 0))
            self.at[partition, offset] = Delivery(
                SAMPLES_JUDGED.name, partition, offset, record.key, record.value, record.headers
            )

    async def read_at(self, partition: int, offset: int) -> Delivery:
        return self.at[partition, offset]

    async def replica(self, order: random.Random, count: int | None = None) -> VerdictIndex:
        """Return a replica that read some messages, in order within each partition."""
        index = VerdictIndex(self.read_at)
        places = self.places[:count]
        queues = {p: [place for place in places if place[0] == p] for p, _ in sorted(places)}
        while any(queues.values()):
            partition = order.choice([p for p, queue in queues.items() if queue])
            await index.on_event(self.at[queues[partition].pop(0)])
        return index


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 5), max_size=40),
    st.integers(1, 9),
    st.booleans(),
    st.randoms(use_true_random=False),
)
async def test_pages_of_any_replicas_hold_every_verdict_once(
    partitions: list[int], size: int, include_rejected: bool, order: random.Random
) -> None:
    topic = Topic(partitions)
    replicas = [await topic.replica(order) for _ in range(3)]
    got: list[str] = []
    token = ""
    while True:
        asked = order.choice(replicas)
        page, token = await asked.page("d", token, size, include_rejected)
        got += [sample.messages[0].content for sample in page]
        if not token:
            break
        assert len(page) == size
    wanted = [str(n) for n in range(len(partitions)) if include_rejected or n % 3]
    assert sorted(got) == sorted(wanted)


async def test_verdicts_that_come_between_two_pages_come_after_them() -> None:
    topic = Topic([0, 1, 0, 1, 0, 1])
    index = await topic.replica(random.Random(1), 4)
    first, token = await index.page("d", "", 3, True)
    for place in topic.places[4:]:
        await index.on_event(topic.at[place])
    rest, end = await index.page("d", token, 9, True)
    assert end == ""
    assert len(first) == len(rest) == 3
    assert len({sample.sample_id for sample in (*first, *rest)}) == 6


async def test_counts_are_of_every_verdict_once() -> None:
    topic = Topic([0, 1, 0, 1])
    index = await topic.replica(random.Random(1))
    await index.on_event(topic.at[0, 0])
    assert not index.add(judged(1, True), 7, 7)
    stats = index.stats("d", delivered=2)
    assert (stats.accepted, stats.rejected, stats.delivered) == (2, {"length": 2}, 2)
    assert stats.usage == Usage(4, 40, 20)
    assert (stats.tokens_per_accepted, stats.newest_at) == (30.0, 2.0)
    assert index.stats("unknown").accepted == 0
    assert len(index) == 4


async def test_a_verdict_is_read_where_it_stands_and_told_without_its_embedding() -> None:
    told: list[SampleJudged] = []
    topic = Topic([3])
    index = VerdictIndex(topic.read_at, told.append)
    await index.on_event(topic.at[3, 0])
    sample = await index.sample(derived_id("sample", 0))
    assert told == [sample]
    assert sample.embedding == ()
    for unknown in ("", "x", sample.sample_id.upper(), f"{{{sample.sample_id}}}"):
        with pytest.raises(NotFound):
            await index.sample(unknown)


@pytest.mark.parametrize(
    "place", ["d", [1], [[1]], [[1, 2, 3]], [[0, -1]], [[-1, 0]], [[1 << 20, 0]], [[0, True]], {}]
)
async def test_a_token_that_names_no_places_is_refused(place: object) -> None:
    index = VerdictIndex(Topic([]).read_at)
    with pytest.raises(Rejected, match="page_token"):
        await index.page("d", page_token("samples/d", place), 5, True)


async def test_a_token_holds_for_its_dataset_only() -> None:
    index = await Topic([0, 0, 0]).replica(random.Random(1))
    _, token = await index.page("d", "", 1, True)
    with pytest.raises(Rejected, match="page_token"):
        await index.page("e", token, 1, True)


async def test_a_dataset_is_known_by_its_order_or_by_its_verdicts() -> None:
    index = await Topic([0]).replica(random.Random(1))
    check_known("d", {}, index)
    check_known("ordered", {"ordered": 1}, index)
    with pytest.raises(NotFound, match="'e'"):
        check_known("e", {"ordered": 1}, index)
