"""`matrix dead-letters` on a real broker: looked at, and put back as they were."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.events import QuotaReleased, codec
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import DEAD_LETTERS, INSTRUCTIONS_GENERATED, SAMPLES_JUDGED, TOPICS
from services.local.servers.process import free_port
from services.local.servers.tansu import Tansu
from services.runtime.fencing import EPOCH
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.kafka_tail import read_all
from services.runtime.kafka_topics import TopicSpec, create_topics
from services.runtime.metrics import Metrics
from services.runtime.ports import Delivery, Record
from services.runtime.settings import KafkaSettings
from tests.integration.cli_rpc import Said, command, said

PARTITIONS = 3
GARBAGE = b"\xff\x00garbage\n"
LONG = b"x" * 300_000


@dataclass
class Broker:
    """A broker of this test's own, with the product's topics."""

    settings: KafkaSettings
    publisher: KafkaPublisher

    async def bury(
        self, value: bytes, reason: str = "no use", service: str = "scribe", **fields: object
    ) -> None:
        """Bury a message of instructions-generated, partition 2, unless told otherwise."""
        values = {
            "topic": INSTRUCTIONS_GENERATED.name,
            "partition": 2,
            "offset": 17,
            "key": "d/r00",
            "headers": {"type": "InstructionGenerated", "message-id": "m1"},
            **fields,
        }
        letters = DeadLetterTopic(self.publisher, Metrics())
        await letters.bury(service, Delivery(value=value, **values), reason)  # type: ignore[arg-type]

    async def matrix(self, *arguments: str | Path, **environment: str) -> Said:
        """Run a command about dead letters."""
        variables = {"MATRIX_KAFKA__BOOTSTRAP_SERVERS": self.settings.bootstrap_servers}
        return await asyncio.to_thread(
            said, "dead-letters", *arguments, **{**variables, **environment}
        )

    async def places(self) -> list[str]:
        return [row["place"] for row in (await self.matrix("list", "--json")).rows]

    async def messages(self, topic: str) -> list[Delivery]:
        return await read_all(self.settings, "test", [topic])


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    server = Tansu(tmp_path)
    await server.start()
    settings = KafkaSettings(bootstrap_servers=server.bootstrap_servers, partitions=PARTITIONS)
    specs = [TopicSpec(topic.name, topic.compacted, topic.kept) for topic in TOPICS]
    await asyncio.to_thread(create_topics, settings, specs)
    publisher = KafkaPublisher(settings, "test")
    await publisher.start([DEAD_LETTERS.name])
    yield Broker(settings, publisher)
    await publisher.close()
    await server.stop()


async def test_letters_are_listed_with_time_service_topic_and_reason(broker: Broker) -> None:
    empty = await broker.matrix("list")
    for number in range(3):
        await broker.bury(GARBAGE, f"bad \x1b[31m{number}", key=f"key {number}")
    rows = (await broker.matrix("list", "--json")).rows
    table = await broker.matrix("list")
    newest = await broker.matrix("list", "--limit", "1")
    assert (empty.code, "no dead letters" in empty.err) == (0, True)
    assert [row["reason"] for row in rows] == [f"bad \x1b[31m{number}" for number in range(3)]
    assert {row["service"] for row in rows} == {"scribe"}
    assert rows[0]["buried_at"] > 1.7e9
    assert (rows[0]["topic"], rows[0]["partition"], rows[0]["offset"]) == (
        INSTRUCTIONS_GENERATED.name,
        2,
        17,
    )
    assert (rows[0]["bytes"], rows[0]["replayed_at"]) == (len(GARBAGE), None)
    assert all(row["place"] in table.out for row in rows)
    assert "scribe  matrix.instructions-generated.v1" in table.out
    assert "bad \\u001b[31m2" in newest.out
    assert "bad \\u001b[31m1" not in newest.out
    assert "newest 1 of 3" in newest.err
    assert max(map(len, table.out.splitlines())) <= 80


async def test_a_letter_is_shown_decoded_if_it_can_be_and_else_as_bytes(broker: Broker) -> None:
    release = QuotaReleased("d", "r00", 4)
    record = codec.to_record(SAMPLES_JUDGED, "d/r00", release)
    await broker.bury(
        record.value, topic=record.topic, headers=dict(record.headers), key=record.key
    )
    await broker.bury(GARBAGE, key=record.key)
    good, bad = await broker.places()
    decoded = await broker.matrix("show", good)
    (fields,) = (await broker.matrix("show", good, "--json")).rows
    raw = await broker.matrix("show", bad, "--raw")
    undecoded = await broker.matrix("show", bad)
    assert '"released": 4' in decoded.out
    assert "matrix.samples-judged.v1[2]@17" in decoded.out
    assert fields["event"] == {"dataset": "d", "stratum": "r00", "released": 4}
    assert raw.raw == GARBAGE
    assert "ff 00 67 61 72" in undecoded.out
    assert "are no matrix.events.v1.InstructionGenerated" in undecoded.out


async def test_a_replay_puts_the_message_back_as_it_was_and_marks_the_letter(
    broker: Broker,
) -> None:
    headers = {"type": "InstructionGenerated", "traceparent": "00-a-b-01", EPOCH: "5"}
    await broker.bury(GARBAGE, headers=headers, partition=1)
    (place,) = await broker.places()
    done = await broker.matrix("replay", place)
    (message,) = await broker.messages(INSTRUCTIONS_GENERATED.name)
    (row,) = (await broker.matrix("list", "--json")).rows
    table = await broker.matrix("list")
    again = await broker.matrix("replay", place)
    forced = await broker.matrix("replay", place, "--again")
    assert (done.code, done.err) == (0, "1 letter replayed\n")
    assert (message.value, message.key, message.partition) == (GARBAGE, "d/r00", 1)
    # Nobody owns a replayed message: with its old epoch it would not count.
    assert message.headers == {
        "type": "InstructionGenerated",
        "traceparent": "00-a-b-01",
        "replayed-from": f"matrix.dead-letters.v1[{place.replace('@', ']@')}",
    }
    assert row["replayed_at"] >= row["buried_at"]
    assert f"{place} (replayed)" in table.out
    assert (again.code, "was replayed already" in again.err) == (2, True)
    assert forced.code == 0
    assert len(await broker.messages(INSTRUCTIONS_GENERATED.name)) == 2


async def test_all_that_is_whole_and_ours_is_replayed_once(broker: Broker) -> None:
    await broker.bury(b"one", key="a")
    await broker.bury(b"two", key="b", topic="somebody.elses")
    await broker.bury(LONG, key="c")
    await broker.bury(b"four", key="d", partition=PARTITIONS)
    await broker.bury(b"five", key="e")
    stray = Record(DEAD_LETTERS.name, "f", b"hello", {"type": "Greeting"})
    await broker.publisher.publish([stray])
    done = await broker.matrix("replay", "--all")
    again = await broker.matrix("replay", "--all")
    waiting = (await broker.matrix("list", "--waiting", "--json")).rows
    messages = await broker.messages(INSTRUCTIONS_GENERATED.name)
    assert done.err.splitlines()[-1] == "2 letters replayed"
    assert done.err.count("not replayed: ") == 4
    assert "'somebody.elses'" in done.err
    assert again.err.splitlines()[-1] == "0 letters replayed"
    assert sorted(message.value for message in messages) == [b"five", b"one"]
    assert len(waiting) == 4


async def test_a_letter_that_was_cut_is_refused_with_where_it_is_whole(broker: Broker) -> None:
    await broker.bury(LONG)
    (row,) = (await broker.matrix("list", "--json")).rows
    refused = await broker.matrix("replay", row["place"])
    shown = await broker.matrix("show", row["place"])
    assert row["cut"] is True
    assert refused.code == 2
    assert "matrix.instructions-generated.v1[2]@17" in refused.err
    assert "only its beginning was kept" in shown.out
    assert not await broker.messages(INSTRUCTIONS_GENERATED.name)


async def test_a_place_without_a_letter_is_refused(broker: Broker) -> None:
    await broker.bury(GARBAGE)
    (place,) = await broker.places()
    await broker.matrix("replay", place)
    partition, _, offset = place.partition("@")
    mark = f"{partition}@{int(offset) + 1}"
    for wrong, told in (
        (mark, f"no letter at {mark}"),
        (f"{partition}@999", "no letter at"),
        ("99@0", f"has {PARTITIONS} partitions"),
        ("x", "'x' is no place"),
    ):
        for verb in ("show", "replay"):
            refused = await broker.matrix(verb, wrong)
            assert (refused.code, told in refused.err) == (2, True), refused.err
    assert (await broker.matrix("replay")).code == 2
    assert (await broker.matrix("replay", place, "--all")).code == 2


async def test_the_broker_is_that_of_the_platform_whose_file_is_given(
    broker: Broker, tmp_path: Path
) -> None:
    await broker.bury(GARBAGE)
    nobody = f"127.0.0.1:{free_port()}"
    file, bare = tmp_path / "endpoints.json", tmp_path / "bare.json"
    file.write_text(json.dumps({"kafka": broker.settings.bootstrap_servers}))
    bare.write_text("{}")
    away = {"MATRIX_KAFKA__BOOTSTRAP_SERVERS": nobody}
    assert len((await broker.matrix("list", "--json", "--server", file, **away)).rows) == 1
    refused = await broker.matrix("list", "--server", bare)
    assert (refused.code, "names no broker" in refused.err) == (2, True)


async def test_a_broker_that_does_not_answer_is_named() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    # In a process of its own: kafka-python leaves sockets open where nobody answers.
    process = await asyncio.create_subprocess_exec(
        *command("dead-letters", "list"),
        env={**os.environ, "MATRIX_KAFKA__BOOTSTRAP_SERVERS": nobody},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert f"broker {nobody} gave no answer".encode() in told


async def test_a_broker_without_the_topics_is_told_apart_from_one_without_letters(
    tmp_path: Path,
) -> None:
    server = Tansu(tmp_path)
    await server.start()
    try:
        where = {"MATRIX_KAFKA__BOOTSTRAP_SERVERS": server.bootstrap_servers}
        refused = await asyncio.to_thread(said, "dead-letters", "list", **where)
    finally:
        await server.stop()
    assert refused.code == 2
    assert "has no topic matrix.dead-letters.v1" in refused.err
