"""Dataset tables on a real S3 server: writers side by side, and a store that goes away."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import polars
import pyarrow as pa
import pytest

from services.local.servers.seaweedfs import SeaweedFS
from services.runtime.errors import Rejected, Retryable
from services.runtime.object_store import (
    REQUEST_SECONDS,
    RETRY_SECONDS,
    Folder,
    delta_options,
    prepare_bucket,
    table_uri,
)
from services.runtime.settings import ObjectStoreSettings
from services.runtime.tables import Moved, Table
from tests.integration.lossy_proxy import lossy_proxy
from tests.integration.servers import CREDENTIALS, freeze, thaw, wait_for

SCHEMA = pa.schema([pa.field("id", pa.string(), False)])
QUICK = {"timeout": "1s", "retry_timeout": "1s", "max_retries": "3"}
"""For tests that wait until the client gives up."""

WRITER = """
import os, sys
import pyarrow as pa
from services.runtime.object_store import delta_options, table_uri
from services.runtime.settings import read_settings
from services.runtime.tables import Table

store = read_settings().object_store
name, appends = sys.argv[1], int(sys.argv[2])
schema = pa.schema([pa.field("id", pa.string(), False)])
table = Table(table_uri(store, "sft"), schema, delta_options(store), compact_files=8)
start = table.offset(name)
print("ready", flush=True)
sys.stdin.readline()
for offset in range(start, start + appends):
    table.append([{"id": f"{name}:{offset}"}], {name: offset + 1})
    table.compact()
"""


def environment(store: ObjectStoreSettings) -> dict[str, str]:
    return os.environ | {
        "MATRIX_OBJECT_STORE__URL": store.url,
        "MATRIX_OBJECT_STORE__ENDPOINT": store.endpoint,
        "MATRIX_OBJECT_STORE__ACCESS_KEY": store.access_key.get_secret_value(),
        "MATRIX_OBJECT_STORE__SECRET_KEY": store.secret_key.get_secret_value(),
    }


def opened(store: ObjectStoreSettings, **options: str) -> Table:
    return Table(table_uri(store, "sft"), SCHEMA, delta_options(store) | options)


def append(table: Table, offset: int) -> int:
    return table.append([{"id": f"p:{offset}"}], {"p": offset + 1})


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[SeaweedFS]:
    """A server that this test may break."""
    server = SeaweedFS(tmp_path, CREDENTIALS)
    await server.start()
    yield server
    await server.kill()


def test_processes_that_append_at_once_lose_no_row_and_double_none(
    bucket: ObjectStoreSettings,
) -> None:
    appends, names = 9, [f"samples-judged-{n}" for n in range(3)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name, str(appends)],
            env=environment(bucket),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in names
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.communicate(b"go\n", timeout=180)
        assert writer.returncode == 0
    table = opened(bucket)
    rows = table.read()["id"].to_pylist()
    assert sorted(rows) == sorted(f"{name}:{n}" for name in names for n in range(appends))
    assert table.offsets(names) == dict.fromkeys(names, appends)


def test_a_foreign_reader_with_plain_s3_credentials_sees_every_row(
    bucket: ObjectStoreSettings,
) -> None:
    table = opened(bucket)
    for offset in range(3):
        append(table, offset)
    frame = polars.read_delta(
        table.uri,
        storage_options={
            "aws_access_key_id": CREDENTIALS.access_key,
            "aws_secret_access_key": CREDENTIALS.secret_key,
            "aws_endpoint_url": bucket.endpoint,
            "aws_region": "us-east-1",
            "aws_allow_http": "true",
        },
    )
    assert sorted(frame["id"].to_list()) == ["p:0", "p:1", "p:2"]


def test_a_writer_learns_of_a_rivals_commit_however_it_was_made(
    bucket: ObjectStoreSettings,
) -> None:
    stale, owner = opened(bucket), opened(bucket)
    append(owner, 0)
    assert stale.offset("p") == 1
    append(owner, 1)
    owner.append([{"id": "q:0"}], {"q": 1})
    with pytest.raises(Moved, match="moved p from 1 to 2"):
        append(stale, 2)
    assert stale.offsets(["p", "q"]) == {"p": 2, "q": 1}
    append(stale, 2)
    assert sorted(opened(bucket).ids()) == ["p:0", "p:1", "p:2", "q:0"]


def test_files_that_are_no_table_are_left_alone(bucket: ObjectStoreSettings) -> None:
    folder = Folder(table_uri(bucket, "sft"), delta_options(bucket))
    folder.write("notes.txt", b"mine")
    with pytest.raises(Rejected, match=r"not a dataset table and not empty .*notes\.txt"):
        append(opened(bucket), 0)
    assert folder.entries() == ([], ["notes.txt"])


async def test_a_lost_answer_to_a_commit_neither_doubles_nor_loses_its_rows(
    bucket: ObjectStoreSettings,
) -> None:
    append(opened(bucket), 0)
    async with lossy_proxy(bucket.endpoint) as proxy:
        table = opened(bucket.model_copy(update={"endpoint": proxy.endpoint}))
        assert await asyncio.to_thread(table.offset, "p") == 1
        proxy.marker = b"PUT /" + table.uri.removeprefix("s3://").encode() + b"/_delta_log/"
        await asyncio.to_thread(append, table, 1)
        assert proxy.lost == 1
    assert sorted(opened(bucket).read()["id"].to_pylist()) == ["p:0", "p:1"]


async def test_a_lost_answer_to_a_merging_keeps_the_merged_rows(
    bucket: ObjectStoreSettings,
) -> None:
    for offset in range(4):
        append(opened(bucket), offset)
    async with lossy_proxy(bucket.endpoint) as proxy:
        store = bucket.model_copy(update={"endpoint": proxy.endpoint})
        table = Table(table_uri(store, "sft"), SCHEMA, delta_options(store), compact_files=4)
        assert await asyncio.to_thread(table.count) == 4
        proxy.marker = b"PUT /" + table.uri.removeprefix("s3://").encode() + b"/_delta_log/"
        await asyncio.to_thread(table.compact)
        assert proxy.lost == 1
    assert sorted(opened(bucket).read()["id"].to_pylist()) == [f"p:{n}" for n in range(4)]


def test_a_store_that_is_away_is_noticed_within_half_a_minute() -> None:
    assert REQUEST_SECONDS + RETRY_SECONDS <= 30


async def test_an_event_loop_turns_while_the_store_is_frozen(own: SeaweedFS) -> None:
    store = own.settings("datasets")
    await prepare_bucket(store)
    table = Table(table_uri(store, "sft"), SCHEMA, delta_options(store), compact_files=2)
    append(table, 0)
    append(table, 1)
    folder = Folder(table.uri, delta_options(store))
    other = Table(table_uri(store, "other"), SCHEMA, delta_options(store))
    for work in (
        lambda: append(table, 2),
        table.compact,
        table.ids,
        lambda: opened(store).offsets(["p"]),
        other.exists,
        folder.entries,
    ):
        freeze(own.process)
        waiting = asyncio.create_task(asyncio.to_thread(work))
        # A library that held the interpreter lock would keep us from ever waking the server.
        for _ in range(20):
            await asyncio.sleep(0.005)
            assert not waiting.done()
        thaw(own.process)
        await waiting
    assert sorted(table.ids()) == ["p:0", "p:1", "p:2"]


async def test_a_store_that_is_down_or_frozen_is_retryable_and_nothing_is_lost(
    own: SeaweedFS,
) -> None:
    store = own.settings("datasets")
    await prepare_bucket(store)
    append(opened(store), 0)
    table = opened(store, **QUICK)
    freeze(own.process)
    with pytest.raises(Retryable, match="storage did not answer"):
        await asyncio.to_thread(append, table, 1)
    await own.kill()
    with pytest.raises(Retryable, match="storage did not answer"):
        await asyncio.to_thread(append, table, 1)
    await own.start()
    table = opened(store)
    assert table.offset("p") == 1
    append(table, 1)
    assert sorted(opened(store).read()["id"].to_pylist()) == ["p:0", "p:1"]


def test_a_store_without_room_is_retryable_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path, CREDENTIALS)
    wait_for(server.start())
    try:
        store = server.settings("datasets")
        wait_for(prepare_bucket(store))
        table = opened(store)
        append(table, 0)
        assert server.process.pid is not None
        file_size = (server.process.pid, resource.RLIMIT_FSIZE)
        before = resource.prlimit(*file_size, (10, resource.RLIM_INFINITY))
        with pytest.raises(Retryable, match="500 Internal Server Error"):
            append(opened(store, **QUICK), 1)
        resource.prlimit(*file_size, before)
        append(table, 1)
        assert sorted(opened(store).read()["id"].to_pylist()) == ["p:0", "p:1"]
    finally:
        wait_for(server.kill())
