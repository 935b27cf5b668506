"""Bad input to a running platform: each has its status or its dead letter, and all goes on."""

import asyncio
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pyarrow as pa
import pytest
import pytest_asyncio
from deltalake import write_deltalake
from matrix.instruction_generation.v1 import service_pb2 as pb
from matrix.instruction_generation.v1.service_pb2_grpc import InstructionGenerationServiceStub

from services.events import DeadLetter, InstructionGenerated, SampleJudged, codec
from services.events import topics as t
from services.runtime.kafka_tail import read_all
from tests.cluster.bad_messages import FOREIGN, Bad, Sender, bad_messages
from tests.cluster.platform import Platform, check, platform, told_by
from tests.e2e.conftest import command

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAMPLES = 30
_STATUS = grpc.StatusCode


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def now(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    with pytest.MonkeyPatch.context() as environment:
        # The last samples of a small dataset would wait for half a minute.
        environment.setenv("MATRIX_REUSE_AFTER_SECONDS", "2")
        async with platform(tmp_path_factory.mktemp("bad"), replicas=1, agents=60) as running:
            yield running


async def refused(
    now: Platform, request: pb.CreateDatasetRequest, token: str, seconds: float = 20
) -> tuple[grpc.StatusCode, str]:
    """Return the status that an order is refused with, and its message."""
    (address,) = now.file("endpoints.json")["instruction_generation"]
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = InstructionGenerationServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = [("authorization", f"Bearer {token}")]
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.CreateDataset(request, metadata=metadata, timeout=seconds)
    return error.value.code(), error.value.details() or ""


@pytest.mark.parametrize(
    ("status", "named", "order"),
    [
        (_STATUS.INVALID_ARGUMENT, "size is 0", {"name": "none", "kind": "sft", "size": 0}),
        (_STATUS.INVALID_ARGUMENT, "size is -3", {"name": "none", "kind": "sft", "size": -3}),
        (_STATUS.NOT_FOUND, "'poems'", {"name": "none", "kind": "poems", "size": 5}),
        (_STATUS.INVALID_ARGUMENT, "'../up'", {"name": "../up", "kind": "sft", "size": 5}),
        (_STATUS.INVALID_ARGUMENT, "''", {"name": "", "kind": "sft", "size": 5}),
    ],
)
async def test_an_order_that_cannot_be_is_refused_by_the_value(
    now: Platform, status: grpc.StatusCode, named: str, order: dict[str, Any]
) -> None:
    request = pb.CreateDatasetRequest(**order)
    code, told = await refused(now, request, now.secret("operator-token"))
    assert (code, named in told) == (status, True), told


async def test_a_caller_who_may_not_order_is_told_so_and_no_token_is_repeated(
    now: Platform,
) -> None:
    order = pb.CreateDatasetRequest(name="none", kind="sft", size=5)
    code, told = await refused(now, order, "invented-token")
    assert code is _STATUS.UNAUTHENTICATED
    assert "invented-token" not in told
    reader = now.secret("reader-token")
    code, told = await refused(now, order, reader)
    assert (code, "reader" in told, reader in told) == (_STATUS.PERMISSION_DENIED, True, False)
    assert "none" not in [dataset.order.dataset for dataset in await datasets(now)]


def storage_options(now: Platform) -> dict[str, str]:
    return {
        "aws_region": "us-east-1",
        "aws_endpoint_url": now.told.split("object store: ")[1].split(",")[0],
        "aws_allow_http": "true",
        "aws_access_key_id": now.secret("s3-access-key"),
        "aws_secret_access_key": now.secret("s3-secret-key"),
    }


async def datasets(now: Platform) -> list[Any]:
    return list((await now.ask("ListDatasets", pb.ListDatasetsRequest())).datasets)


async def test_verdicts_that_their_table_cannot_take_are_buried_and_other_datasets_go_on(
    now: Platform,
) -> None:
    options = storage_options(now)
    other = pa.table({"title": ["a table of somebody else"]})
    await asyncio.to_thread(write_deltalake, "s3://matrix/odd", other, storage_options=options)
    await now.order("odd", 5)
    await now.order("even", 10)
    await now.filled("even", 10, seconds=90)
    # All that the odd one accepted is in the dead letters, and its table is as it was.
    while await now.accepted("odd") < 5 or len(await buried(now, "odd")) < 5:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    letters = await buried(now, "odd")
    assert {letter.service for letter in letters} == {"dataset-writer"}
    assert all("s3://matrix/odd" in letter.reason for letter in letters), letters[0].reason
    assert now.rows("odd") == other.to_pylist()
    check(told_by(await now.history(), "even"), now.rows("even"), 10)


async def buried(now: Platform, dataset: str) -> list[DeadLetter]:
    """Return the letters that hold verdicts on a dataset."""
    found = []
    for letter in await letters_of(now):
        if letter.headers.get("type") == "SampleJudged" and FOREIGN not in letter.headers:
            sample = codec.CODECS["SampleJudged"].decode(letter.value)
            found += [letter] if sample.dataset == dataset else []
    return found


async def letters_of(now: Platform) -> list[DeadLetter]:
    messages = await read_all(now.kafka, "test-letters", [t.DEAD_LETTERS.name])
    return [codec.from_delivery(each) for each in messages if "type" in each.headers]


async def until_buried(now: Platform, expected: Counter[tuple[str, str, int, str]]) -> None:
    """Wait until just these letters are there: service, topic, partition and offset, reason."""
    found: Counter[tuple[str, str, int, str]] = Counter()
    missing = expected
    try:
        async with asyncio.timeout(100):
            while missing:
                found = places(await letters_of(now))
                missing = expected - found
                await asyncio.sleep(0.5)
    except TimeoutError:
        pytest.fail(f"not buried: {missing}\n{now.told[-3000:]}")
    assert found == expected


def places(letters: list[DeadLetter]) -> Counter[tuple[str, str, int, str]]:
    return Counter(
        (letter.service, letter.topic, letter.partition, str(letter.offset)) for letter in letters
    )


async def dead_letters(now: Platform, *arguments: str) -> str:
    """Run a command about dead letters."""
    endpoints = str(now.directory / "endpoints.json")
    line = command("dead-letters", *arguments, "--server", endpoints)
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MATRIX_")}
    done = await asyncio.to_thread(
        subprocess.run, line, capture_output=True, text=True, timeout=60, env=plain
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
async def test_bad_messages_are_buried_with_their_reason_and_all_goes_on(now: Platform) -> None:
    await now.order("even", 10)  # Perhaps once more, which changes nothing.
    await now.filled("even", 10, seconds=90)
    began = now.services()
    history = await now.history()
    before = places(await letters_of(now))
    later = later_candidate(history)
    with Sender(now.kafka.bootstrap_servers) as sender:
        sent = await asyncio.to_thread(sender.send_all, bad_messages(history, later))
    await now.order("after", SAMPLES)
    expected = before + Counter(
        (service, bad.topic, partition, str(offset))
        for bad, partition, offset in sent
        for service in bad.buried_by
    )
    await until_buried(now, expected)
    assert_reasons(sent, await letters_of(now))
    await now.filled("after", SAMPLES, seconds=120)
    assert now.services() == began, "a service was restarted"
    told = ours(await now.history())
    check(told_by(told, "after"), now.rows("after"), SAMPLES)
    check(told_by(told, "even"), now.rows("even"), 10)
    assert places(await letters_of(now)) == expected

    await the_commands_agree(now, sum(expected.values()))
    await a_letter_that_is_good_now_is_replayed(now, later)
    await what_restarts_goes_on(now)


def later_candidate(history: list[Any]) -> InstructionGenerated:
    """Return a candidate of a dataset that nobody has ordered yet."""
    last = [m for m in history if m.topic == t.INSTRUCTIONS_GENERATED.name][-1]
    candidate: InstructionGenerated = codec.from_delivery(last)
    return replace(candidate, dataset="later", candidate_id="0" * 32)


def ours(history: list[Any]) -> list[Any]:
    """Return what the platform itself said."""
    events = {topic.name for topic in t.TOPICS if topic.carries}
    return [
        message
        for message in history
        if FOREIGN not in message.headers and (message.headers or message.topic not in events)
    ]


def assert_reasons(sent: list[tuple[Bad, int, int]], letters: list[DeadLetter]) -> None:
    by_place = {(each.service, each.topic, each.partition, each.offset): each for each in letters}
    for bad, partition, offset in sent:
        for service in bad.buried_by:
            letter = by_place[service, bad.topic, partition, offset]
            assert bad.reason in letter.reason, (bad.name, letter.reason)


async def the_commands_agree(now: Platform, count: int) -> None:
    """`list` and `show` tell of all that is on the topic."""
    listed = await dead_letters(now, "list", "--json", "--limit", "10000")
    rows = [json.loads(line) for line in listed.splitlines()]
    assert len(rows) == count
    letters = Counter((each.service, each.reason) for each in await letters_of(now))
    assert Counter((row["service"], row["reason"]) for row in rows) == letters
    shown = json.loads(await dead_letters(now, "show", rows[-1]["place"], "--json"))
    assert shown["reason"] == rows[-1]["reason"]


async def a_letter_that_is_good_now_is_replayed(
    now: Platform, candidate: InstructionGenerated
) -> None:
    """A candidate that came before its order is judged, once, however often it is replayed."""
    await now.order("later", 5)
    listed = await dead_letters(now, "list", "--json", "--limit", "10000")
    (place,) = [
        row["place"]
        for row in map(json.loads, listed.splitlines())
        if "dataset 'later' is not known" in row["reason"]
    ]
    assert "1 letter replayed" in await dead_letters(now, "replay", place)
    assert "1 letter replayed" in await dead_letters(now, "replay", place, "--again")
    async with asyncio.timeout(60):
        while not await verdicts(now, candidate.candidate_id):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    await now.filled("later", 5, seconds=60)
    found = await verdicts(now, candidate.candidate_id)
    assert [(each.dataset, each.stratum) for each in found] == [("later", candidate.stratum)]
    row = json.loads(await dead_letters(now, "show", place, "--json"))
    assert row["replayed_at"] is not None


async def verdicts(now: Platform, sample_id: str) -> list[SampleJudged]:
    messages = ours(await read_all(now.kafka, "test-verdicts", [t.SAMPLES_JUDGED.name]))
    events = [codec.from_delivery(each) for each in messages if "type" in each.headers]
    return [e for e in events if isinstance(e, SampleJudged) and e.sample_id == sample_id]


async def what_restarts_goes_on(now: Platform) -> None:
    """A service that reads all of it anew, from the beginning, comes up and works."""
    killed = now.services()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    await now.until(lambda: len(now.services().keys() - killed.keys()) == 5, "new processes", 30)
    await now.order("again", 10)
    fresh = now.services()
    await now.filled("again", 10, seconds=120)
    assert now.services() == fresh, "a service was restarted"
    check(told_by(ours(await now.history()), "again"), now.rows("again"), 10)
