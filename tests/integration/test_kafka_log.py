"""Publishing and reading by hand, on a real broker."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import UnknownError

from services.local.servers.tansu import Tansu
from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.kafka_reader import KafkaReader
from services.runtime.kafka_tail import KafkaTail, read_all
from services.runtime.kafka_topics import TopicSpec, create_topics
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery, Record
from services.runtime.settings import KafkaSettings
from tests.integration.brokers import PARTITIONS, broker, fresh_topics, publishing, until
from tests.integration.servers import freeze, fresh_name, thaw


@pytest.fixture
def settings(tansu_memory: Tansu) -> KafkaSettings:
    return broker(tansu_memory)


async def test_a_record_comes_back_as_it_was_in_the_partition_of_its_key(
    settings: KafkaSettings,
) -> None:
    (topic,) = await fresh_topics(settings, "records")
    records = [Record(topic, f"k{n}", bytes([n]) * n, {"type": "T", "ü": "é"}) for n in range(20)]
    async with publishing(settings, topic) as publisher:
        await publisher.publish(records)
    found = {delivery.key: delivery for delivery in await read_all(settings, "test", [topic])}
    assert len(found) == len(records)
    for record in records:
        delivery = found[record.key]
        assert (delivery.value, delivery.headers) == (record.value, record.headers)
        assert delivery.partition == partition_of(record.key, PARTITIONS)


async def test_a_partition_key_or_a_partition_decides_before_the_key(
    settings: KafkaSettings,
) -> None:
    (topic,) = await fresh_topics(settings, "records")
    async with publishing(settings, topic) as publisher:
        await publisher.publish([Record(topic, "a", b"1", partition_key="b")])
        await publisher.publish([Record(topic, "a", b"2", partition=3)])
    places = {d.value: d.partition for d in await read_all(settings, "test", [topic])}
    assert places == {b"1": partition_of("b", PARTITIONS), b"2": 3}


async def test_records_of_a_key_keep_their_order_however_they_are_published(
    settings: KafkaSettings,
) -> None:
    (topic,) = await fresh_topics(settings, "records")
    async with publishing(settings, topic) as publisher:
        await asyncio.gather(
            *(publisher.publish([Record(topic, "k", str(n).encode())]) for n in range(300))
        )
    values = [int(d.value) for d in await read_all(settings, "test", [topic])]
    assert values == list(range(300))


async def test_a_record_too_large_is_refused_and_the_next_one_is_not(
    settings: KafkaSettings,
) -> None:
    small = settings.model_copy(update={"max_message_bytes": 2048})
    (topic,) = await fresh_topics(small, "records")
    async with publishing(small, topic) as publisher:
        with pytest.raises(Rejected, match=r"3000 bytes .* MATRIX_KAFKA__MAX_MESSAGE_BYTES, 2048"):
            await publisher.publish([Record(topic, "k", b"x" * 3000)])
        await publisher.publish([Record(topic, "k", b"x" * 2048)])
    assert [len(d.value) for d in await read_all(settings, "test", [topic])] == [2048]


def _has_sent(sender: Any, requests: int) -> bool:
    return bool(sender._client.in_flight_request_count() >= requests)


async def test_a_producer_rests_while_no_more_requests_may_be_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only an answer may end the wait.
    monkeypatch.setattr("services.runtime.kafka_refusals._UNANSWERED_MS", 600_000.0)
    server = Tansu(tmp_path)
    await server.start()
    try:
        settings = broker(server).model_copy(update={"linger_ms": 0})
        topics = await fresh_topics(settings, "some", "others")
        async with publishing(settings, *topics) as publisher:
            await publisher.publish([Record(topic, "k", b"0") for topic in topics])
            producer = publisher._producer
            assert producer is not None
            sender, looks = producer._sender, 0
            look = sender._send_producer_data

            def counted() -> float:
                nonlocal looks
                looks += 1
                under_way: float = look()
                return under_way

            monkeypatch.setattr(sender, "_send_producer_data", counted)
            freeze(server.process)
            under_way = []
            for number in range(8):  # One request a partition, and at most five in all.
                record = Record(topics[number % 2], "k", b"1", partition=number // 2)
                under_way.append(asyncio.create_task(publisher.publish([record])))
                enough = partial(_has_sent, sender, min(number + 1, 5))
                await until(enough, "a request")
            await asyncio.sleep(0.1)
            looks = 0
            await asyncio.sleep(0.5)
            resting = looks
            thaw(server.process)
            async with asyncio.timeout(30):
                await asyncio.gather(*under_way)
    finally:
        await server.kill()
    assert resting <= 2


async def test_an_answer_that_spoils_the_producer_is_got_over(settings: KafkaSettings) -> None:
    (topic,) = await fresh_topics(settings, "spoilt")
    async with publishing(settings, topic) as publisher:
        await publisher.publish([Record(topic, "k", b"1")])
        # What kafka-python does on an answer like "unknown server error", for good.
        assert publisher._producer is not None
        spoilt = publisher._producer._transaction_manager
        spoilt.transition_to_fatal_error(UnknownError())
        with pytest.raises(Retryable, match="did not take 1 records"):
            await publisher.publish([Record(topic, "k", b"2")])
        await publisher.publish([Record(topic, "k", b"2")])
        await publisher.publish([Record(topic, "k", b"3")])
    history = await read_all(settings, "test", [topic])
    assert [message.value for message in history] == [b"1", b"2", b"3"]


async def test_reading_up_to_markers_ends_with_them(settings: KafkaSettings) -> None:
    (topic,) = await fresh_topics(settings, "records")
    reader = KafkaReader(settings, "test")
    async with publishing(settings, topic) as publisher:
        for n in range(50):
            await publisher.publish([Record(topic, "k", str(n).encode(), partition=n % 2)])
        await publisher.publish([Record(topic, "m", b"end", partition=part) for part in (0, 1)])
        await publisher.publish([Record(topic, "k", b"later", partition=0)])
        # Twice: a reader is used again and again.
        for _ in range(2):
            found = await reader.up_to({(topic, 0): b"end", (topic, 1): b"end"})
            values = [[d.value for d in found if d.partition == part] for part in (0, 1)]
            assert values[0] == [*(str(n).encode() for n in range(0, 50, 2)), b"end"]
            assert values[1] == [*(str(n).encode() for n in range(1, 50, 2)), b"end"]
    await reader.close()


async def test_one_message_is_read_again_and_one_that_is_not_there_is_not_found(
    settings: KafkaSettings,
) -> None:
    (topic,) = await fresh_topics(settings, "records")
    reader = KafkaReader(settings, "test")
    async with publishing(settings, topic) as publisher:
        for n in range(5):
            await publisher.publish([Record(topic, "k", str(n).encode(), partition=1)])
        assert (await reader.at(topic, 1, 3)).value == b"3"
        with pytest.raises(NotFound, match=r"\[1\]@77"):
            await reader.at(topic, 1, 77, seconds=1.0)
        assert (await reader.at(topic, 1, 0)).value == b"0"
    await reader.close()


async def test_a_follower_reads_what_was_there_and_then_what_comes(
    settings: KafkaSettings,
) -> None:
    (topic,) = await fresh_topics(settings, "records")
    seen: list[bytes] = []

    async def take(delivery: Delivery) -> None:
        if delivery.value == b"bad":
            raise Rejected("not so")
        seen.append(delivery.value)

    async with publishing(settings, topic) as publisher:
        await publisher.publish([Record(topic, "k", v, partition=2) for v in (b"a", b"bad", b"b")])
        tail = KafkaTail(settings, "test", [topic], take)
        await tail.start()
        await tail.caught_up()
        assert seen == [b"a", b"b"]
        await publisher.publish([Record(topic, "k", b"c", partition=2)])
        await tail.passed(topic, 2, 3)
        assert seen == [b"a", b"b", b"c"]
        await tail.close()


async def test_a_follower_of_news_gets_nothing_older(settings: KafkaSettings) -> None:
    (topic,) = await fresh_topics(settings, "records")
    seen: list[bytes] = []

    async def take(delivery: Delivery) -> None:
        seen.append(delivery.value)

    async with publishing(settings, topic) as publisher:
        await publisher.publish([Record(topic, f"k{n}", b"old") for n in range(30)])
        tail = KafkaTail(settings, "test", [topic], take, from_now=True)
        await tail.start()
        await tail.caught_up()
        await publisher.publish([Record(topic, "k", b"new")])
        await until(lambda: bool(seen), "the news")
        assert seen == [b"new"]
        await tail.close()


async def test_topics_are_made_once_and_another_number_of_partitions_is_refused(
    settings: KafkaSettings,
) -> None:
    specs = [TopicSpec(fresh_name("t"), compacted=True), TopicSpec(fresh_name("t"), kept=True)]
    names = tuple(spec.name for spec in specs)
    assert create_topics(settings, specs).created == names
    assert create_topics(settings, specs).existing == names
    other = settings.model_copy(update={"partitions": PARTITIONS + 1})
    with pytest.raises(Rejected, match=r"has 4 partitions, MATRIX_KAFKA__PARTITIONS is 5"):
        create_topics(other, specs)
