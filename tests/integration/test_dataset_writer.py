"""The dataset writer: several replicas, stores that go away, what does not fit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from services.events import ChatMessage, DeadLetter, Provenance, Requirement, SampleJudged
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import DEAD_LETTERS, SAMPLES_JUDGED
from services.local.log import Log
from services.local.servers.seaweedfs import SeaweedFS
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.writer import DatasetWriter
from services.runtime.errors import Retryable
from services.runtime.metrics import Metrics
from services.runtime.object_store import delta_options, prepare_bucket, table_uri
from services.runtime.ports import Delivery, Record
from services.runtime.settings import ObjectStoreSettings
from services.runtime.storage_errors import AccessDenied
from services.runtime.tables import Table
from tests.integration.running import events, open_log, publish
from tests.integration.servers import CREDENTIALS

QUICK = {"timeout": "1s", "retry_timeout": "1s", "max_retries": "2"}


def verdict(number: int, dataset: str = "d", stratum: int = 0) -> SampleJudged:
    return SampleJudged(
        sample_id=f"{dataset}-{number}",
        dataset=dataset,
        stratum=f"s{stratum}",
        kind="sft",
        requirement=Requirement("r", "planning", 2, "plain"),
        accepted=True,
        reason="",
        stage="",
        messages=(ChatMessage("user", "why?"), ChatMessage("assistant", "because")),
        provenance=Provenance("sc", "g", "a"),
        created_at=1_700_000_000.0 + number,
    )


async def judge(log: Log, *verdicts: SampleJudged) -> None:
    for each in verdicts:
        await publish(log, SAMPLES_JUDGED, f"{each.dataset}/{each.stratum}", each)


async def letters(log: Log) -> list[DeadLetter]:
    return await events(log, DEAD_LETTERS)


def rows(table: Table) -> list[str]:
    found: list[str] = table.read(["id"])["id"].to_pylist()
    return sorted(found)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    log = open_log(tmp_path / "log.db")
    yield log
    await log.close()


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str], Table]:
    return lambda name: Table(str(tmp_path / "datasets" / name), SAMPLE_SCHEMA)


def in_store(store: ObjectStoreSettings, **others: str) -> Callable[[str], Table]:
    options = delta_options(store) | others
    return lambda name: Table(table_uri(store, name), SAMPLE_SCHEMA, options)


def make(log: Log, at: Callable[[str], Table], member: str = "writer") -> DatasetWriter:
    source = log.consumer(member, [SAMPLES_JUDGED.name])
    return DatasetWriter(source, at, DeadLetterTopic(log, Metrics()))


async def drain(writer: DatasetWriter) -> None:
    while await writer.step():
        pass


async def test_replicas_that_share_a_dataset_write_each_row_once(
    log: Log, bucket: ObjectStoreSettings
) -> None:
    writers = [make(log, in_store(bucket), f"member-{n}") for n in range(3)]
    expected = []
    for first in range(0, 24, 12):
        batch = [verdict(first + n, stratum=n) for n in range(12)]
        expected += [each.sample_id for each in batch]
        await judge(log, *batch)
        new = [d for d in await log.history(SAMPLES_JUDGED.name) if d.offset >= first // 12]
        shares = [[d for d in new if d.partition % 3 == n] for n in range(3)]
        await asyncio.gather(*(w.write(s) for w, s in zip(writers, shares, strict=True)))
    assert rows(in_store(bucket)("d")) == sorted(expected)
    assert sum(writer.written for writer in writers) == 24


async def test_a_replica_that_lost_its_partition_unawares_doubles_nothing(
    log: Log, at: Callable[[str], Table]
) -> None:
    frozen, owner = make(log, at, "frozen"), make(log, at, "owner")
    await judge(log, *map(verdict, range(3)))
    await drain(frozen)
    await judge(log, *map(verdict, range(3, 6)))
    await drain(owner)
    await judge(log, verdict(6))
    with capture_logs() as told:
        await drain(frozen)
    assert "another writer was here" in [line["event"] for line in told]
    await judge(log, verdict(7), verdict(4))
    await drain(frozen)
    await drain(owner)
    assert rows(at("d")) == [f"d-{n}" for n in range(8)]


async def test_after_a_rebalance_a_writer_goes_on_where_the_last_owner_stopped(
    log: Log, at: Callable[[str], Table]
) -> None:
    first, second = make(log, at, "first"), make(log, at, "second")
    await judge(log, verdict(0))
    await drain(first)
    await judge(log, verdict(1))
    await drain(second)
    first.forget()
    await judge(log, verdict(2), verdict(1))
    await drain(first)
    assert rows(at("d")) == ["d-0", "d-1", "d-2"]


async def test_an_outage_holds_the_commit_back_and_loses_nothing(log: Log, tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path / "store", CREDENTIALS)
    await server.start()
    try:
        store = server.settings("datasets")
        await prepare_bucket(store)
        source = log.consumer("writer", [SAMPLES_JUDGED.name])
        pauses = list[float]()

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                await server.start()

        dead = DeadLetterTopic(log, Metrics())
        writer = DatasetWriter(source, in_store(store, **QUICK), dead, pause=pause)
        await judge(log, verdict(0))
        await drain(writer)
        committed = log._file.committed("writer")
        await server.kill()
        await judge(log, verdict(1), verdict(2, "e"))
        with capture_logs() as told:
            writing = asyncio.create_task(writer.step())
            while not pauses:  # noqa: ASYNC110 - the writer's own pace
                await asyncio.sleep(0.01)
            assert writer.away
            assert log._file.committed("writer") == committed
            await writing
        assert not writer.away
        assert [line["event"] for line in told if line["log_level"] == "warning"] == [
            "dataset store is away",
            "dataset store answers again",
        ]
        assert pauses[2] > pauses[0]
        assert max(pauses) <= 10
        assert rows(in_store(store)("d")) == ["d-0", "d-1"]
        assert rows(in_store(store)("e")) == ["e-2"]
        assert log._file.committed("writer") != committed
        assert await letters(log) == []
    finally:
        await server.kill()


async def test_an_impatient_writer_says_that_the_store_is_away(
    log: Log, bucket: ObjectStoreSettings
) -> None:
    nobody = bucket.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    source = log.consumer("writer", [SAMPLES_JUDGED.name])
    await judge(log, verdict(0))
    with pytest.raises(Retryable, match="storage did not answer"):
        await DatasetWriter(source, in_store(nobody, **QUICK), patient=False).step()


async def test_refused_credentials_end_the_writer_and_bury_nothing(
    log: Log, bucket: ObjectStoreSettings
) -> None:
    wrong = bucket.model_copy(update={"secret_key": bucket.access_key})
    await judge(log, verdict(0))
    with pytest.raises(AccessDenied, match="SignatureDoesNotMatch"):
        await make(log, in_store(wrong)).step()
    assert await letters(log) == []
    writer = make(log, in_store(bucket))
    await drain(writer)
    assert rows(in_store(bucket)("d")) == ["d-0"]


async def test_verdicts_for_a_table_that_is_not_ours_are_buried_and_others_written(
    log: Log, at: Callable[[str], Table], tmp_path: Path
) -> None:
    foreign = pa.schema([pa.field("id", pa.string(), False)])
    Table(str(tmp_path / "datasets" / "old"), foreign).append([{"id": "x"}], {})
    (tmp_path / "datasets" / "notes").mkdir()
    (tmp_path / "datasets" / "notes" / "file.txt").write_text("mine")
    await judge(log, verdict(0, "old"), verdict(1, "d"), verdict(2, "notes"), verdict(3, "old"))
    writer = make(log, at)
    await drain(writer)
    await judge(log, verdict(4, "d"))
    await drain(writer)
    assert rows(at("d")) == ["d-1", "d-4"]
    buried = {
        letter.reason.partition("/datasets/")[2].split(";")[0] for letter in await letters(log)
    }
    assert len(await letters(log)) == 3
    assert {reason.partition(":")[0] for reason in buried} == {"old", "notes"}
    assert "the table has another schema" in " ".join(buried)
    assert {letter.service for letter in await letters(log)} == {"dataset-writer"}


async def test_verdicts_of_which_no_row_can_be_made_are_buried_one_by_one(
    log: Log, at: Callable[[str], Table]
) -> None:
    await judge(log, verdict(0), replace(verdict(1), created_at=1e300), verdict(2))
    await judge(log, replace(verdict(3), created_at=float("nan")))
    headers = {"type": "SampleJudged", "message-id": "m"}
    await log.publish([Record(SAMPLES_JUDGED.name, "d/s0", b"\xff\xff garbage", headers)])
    await log.publish([Record(SAMPLES_JUDGED.name, "d/s0", b"", {"type": "Nothing"})])
    await judge(log, verdict(4))
    await drain(make(log, at))
    assert rows(at("d")) == ["d-0", "d-2", "d-4"]
    reasons = [letter.reason for letter in await letters(log)]
    assert len(reasons) == 4
    assert all(reason.startswith("no row can be made of it: ") for reason in reasons)


async def test_a_dataset_name_that_leads_elsewhere_is_buried(
    log: Log, bucket: ObjectStoreSettings
) -> None:
    await judge(log, verdict(0, "../other"), verdict(1))
    await drain(make(log, in_store(bucket)))
    assert rows(in_store(bucket)("d")) == ["d-1"]
    assert ["dataset name" in letter.reason for letter in await letters(log)] == [True]


async def test_void_records_make_no_rows(log: Log, at: Callable[[str], Table]) -> None:
    def valid(delivery: Delivery) -> bool:
        return delivery.offset != 1

    await judge(log, *map(verdict, range(3)))
    source = log.consumer("writer", [SAMPLES_JUDGED.name])
    await drain(DatasetWriter(source, at, DeadLetterTopic(log, Metrics()), valid))
    assert rows(at("d")) == ["d-0", "d-2"]


async def test_a_topic_made_anew_below_an_old_table_is_told(
    log: Log, at: Callable[[str], Table]
) -> None:
    partition = log.partition("d/s0")
    at("d").append([], {f"samples-judged-{partition}": 100}, force=True)
    await judge(log, verdict(0))
    with capture_logs() as told:
        await drain(make(log, at))
    assert [line["rows"] for line in told if line["log_level"] == "error"] == [1]
