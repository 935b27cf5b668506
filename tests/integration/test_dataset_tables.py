"""Dataset tables under crashes, rival writers, full disks and years of small appends."""

import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.reward_filtering.export import export_dataset
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.shapes import shaped
from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.tables import Table

SCHEMA = pa.schema([pa.field("id", pa.string(), False), pa.field("text", pa.string(), False)])

WRITER = """
import sys
import pyarrow as pa
from services.runtime.tables import Table

uri, step, partitions = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
schema = pa.schema([pa.field("id", pa.string(), False), pa.field("text", pa.string(), False)])
table = Table(uri, schema, compact_files=20)
offsets = table.offsets(partitions)
print("ready", flush=True)
while True:
    rows = [
        {"id": f"{name}:{offset}", "text": "x" * 200}
        for name in partitions
        for offset in range(offsets[name], offsets[name] + step)
    ]
    offsets = {name: offset + step for name, offset in offsets.items()}
    table.append(rows, offsets)
    print("appended", flush=True)
    table.compact()
"""


def row(name: str, offset: int) -> dict[str, str]:
    return {"id": f"{name}:{offset}", "text": "x" * 200}


def writer(uri: str, step: int, *partitions: str) -> subprocess.Popen[str]:
    """A process that appends what it reads from endless partitions, until it is killed."""
    command = [sys.executable, "-c", WRITER, uri, str(step), *partitions]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the writer ended by itself"
    assert process.stdout is not None
    process.stdout.close()


def check_story(uri: str, *partitions: str) -> int:
    """The rows are exactly those that the stored offsets say, once each; gives their number."""
    table = Table(uri, SCHEMA)
    said = [
        f"{name}:{offset}"
        for name, end in table.offsets(partitions).items()
        for offset in range(end)
    ]
    stored = table.read(["id"])["id"].to_pylist()
    assert len(stored) == len(set(stored)) == table.count()
    assert sorted(stored) == sorted(said)
    return len(said)


def test_rows_and_offsets_agree_after_every_kill(tmp_path: Path) -> None:
    uri = str(tmp_path / "samples")
    wait = random.Random(7)
    counts = [0]
    for _ in range(10):
        process = writer(uri, 3, "samples-judged-0", "samples-judged-5")
        assert process.stdout is not None
        for _ in range(wait.randint(1, 4)):
            assert process.stdout.readline() == "appended\n"
        time.sleep(wait.uniform(0, 0.1))  # a kill at any moment
        kill(process)
        counts.append(check_story(uri, "samples-judged-0", "samples-judged-5"))
    assert counts == sorted(set(counts)), "an acknowledged row was lost"

    table = Table(uri, SCHEMA)
    end = table.offset("samples-judged-0")
    table.append([row("samples-judged-0", end)], {"samples-judged-0": end + 1})
    check_story(uri, "samples-judged-0", "samples-judged-5")


def test_a_kill_while_the_table_is_made_does_not_block_the_next_writer(tmp_path: Path) -> None:
    for attempt in range(5):
        uri = str(tmp_path / f"samples-{attempt}")
        process = writer(uri, 1, "p-0")
        time.sleep(0.004 * attempt)
        kill(process)
        before = check_story(uri, "p-0")
        table = Table(uri, SCHEMA)
        end = table.offset("p-0")
        table.append([row("p-0", end)], {"p-0": end + 1})
        assert check_story(uri, "p-0") == before + 1


def test_writers_of_different_partitions_share_a_table(tmp_path: Path) -> None:
    uri = str(tmp_path / "samples")
    together = threading.Barrier(3)

    def write(name: str) -> None:
        table = Table(uri, SCHEMA, compact_files=10)
        together.wait()
        for offset in range(25):
            for attempt in range(20):
                try:
                    table.append([row(name, offset)], {name: offset + 1})
                    break
                except Retryable:
                    assert attempt < 19
            table.compact()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, ["p-0", "p-1", "p-2"]))
    assert check_story(uri, "p-0", "p-1", "p-2") == 75


def test_rivals_for_one_partition_never_write_a_record_twice(tmp_path: Path) -> None:
    uri = str(tmp_path / "samples")
    together = threading.Barrier(3)
    refused = 0

    def write(size: int) -> int:
        table, refusals = Table(uri, SCHEMA), 0
        together.wait()
        for _ in range(20):
            start = table.offset("p-0")
            rows = [row("p-0", offset) for offset in range(start, start + size)]
            try:
                table.append(rows, {"p-0": start + size})
            except (Rejected, Retryable):
                refusals += 1
        return refusals

    with ThreadPoolExecutor(3) as pool:
        refused = sum(pool.map(write, [1, 2, 3]))
    assert check_story(uri, "p-0") > 0
    assert refused > 0, "the rivals never met, so this showed nothing"


def test_a_killed_rival_process_and_its_successor_tell_one_story(tmp_path: Path) -> None:
    uri = str(tmp_path / "samples")
    frozen = writer(uri, 2, "p-0")
    time.sleep(0.1)
    frozen.send_signal(signal.SIGSTOP)
    owner = Table(uri, SCHEMA)
    end = owner.offset("p-0")
    owner.append([row("p-0", end)], {"p-0": end + 1})
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(timeout=20) == 1, "the writer that was frozen must be refused"
    assert frozen.stdout is not None
    frozen.stdout.close()
    assert check_story(uri, "p-0") == end + 1


def test_compaction_keeps_rows_offsets_and_versions(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "samples"), SCHEMA, compact_files=30)
    versions = []
    for offset in range(29):
        versions.append(table.append([row("p-0", offset)], {"p-0": offset + 1}))
        assert table.compact() == 0
    table.append([row("p-0", 29)], {"p-0": 30})
    assert table.compact() == 30
    assert table.compact() == 0
    assert check_story(table.uri, "p-0") == 30
    assert [table.count(version) for version in versions] == list(range(1, 30))
    early = table.read(["id"], version=versions[1])["id"].to_pylist()
    assert sorted(early) == ["p-0:0", "p-0:1"]
    table.append([row("p-0", 30)], {"p-0": 31})
    assert check_story(table.uri, "p-0") == 31


def test_offsets_outlive_checkpoints_of_the_log(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "samples"), SCHEMA)
    table.append([row("p-old", 0)], {"p-old": 1})
    for offset in range(120):
        table.append([row("p-0", offset)], {"p-0": offset + 1})
    assert list(Path(table.uri, "_delta_log").glob("*.checkpoint.parquet"))
    assert check_story(table.uri, "p-old", "p-0") == 121


def test_versions_that_never_were_are_not_found(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "samples"), SCHEMA)
    table.append([row("p-0", 0)], {"p-0": 1})
    with pytest.raises(NotFound, match="no version 9"):
        table.count(9)


FULL_DISK = """
import resource, sys
import pyarrow as pa
from services.runtime.errors import Retryable
from services.runtime.tables import Table

schema = pa.schema([pa.field("id", pa.string(), False), pa.field("text", pa.string(), False)])
table = Table(sys.argv[1], schema)
end = table.offset("p-0")
soft = int(sys.argv[2])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
rows = [{"id": f"p-0:{n}", "text": "x" * 200} for n in range(end, end + 3)]
try:
    table.append(rows, {"p-0": end + 3})
except Retryable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
table.append(rows, {"p-0": end + 3})
"""


@pytest.mark.parametrize("limit", [100, 500])
@pytest.mark.parametrize("made_before", [True, False])
def test_a_full_disk_is_retryable_and_harmless(
    tmp_path: Path, limit: int, made_before: bool
) -> None:
    uri = str(tmp_path / "samples")
    if made_before:
        Table(uri, SCHEMA).append([row("p-0", 0)], {"p-0": 1})
    command = [sys.executable, "-c", FULL_DISK, uri, str(limit)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"{uri}: ")
    assert "File too large" in run.stdout
    assert "make room" in run.stdout
    assert check_story(uri, "p-0") == 3 + made_before


def sample(index: int) -> dict[str, Any]:
    texts = {name: f"{name} {index}" for name in SAMPLE_SCHEMA.names}
    return texts | {
        "messages": [
            {"role": "user", "content": f"---\n```\n# {index} <b>\x00\u2028é"},
            {"role": "assistant", "content": "2026-03-01"},
        ],
        "requirement": {
            "id": "r",
            "category": "planning",
            "complexity": 1 + index % 5,
            "style": "- a: b",
            "text": "",
        },
        "rewards": [] if index % 2 else [0.5, -1.5],
        "chosen": -1 if index % 2 else 0,
        "student_responses": [{"text": "Ünder", "reward": 0.25, "outcome": "wrong"}][index % 2 :],
        "rejected": -1,
        "accepted": True,
        "scores": [] if index % 3 else [{"name": "reward_rank", "value": 0.75}],
        "agent_ids": [],
        "action_ids": [f"a{index}"],
        "calls": 3,
        "prompt_tokens": 200,
        "completion_tokens": 40,
        "created_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(microseconds=index),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_an_export_loads_with_the_datasets_library(
    tmp_path: Path, format: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    table = Table(str(tmp_path / "table"), SAMPLE_SCHEMA)
    rows = [sample(index) for index in range(10)]
    for offset, item in enumerate(reversed(rows)):
        table.append([item], {"samples-judged-0": offset + 1})
    target = tmp_path / "chat"
    result = export_dataset(table, "chat", target, format, shard_rows=4)
    assert len(result.files) == 3

    loaded = datasets.load_dataset(str(target), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    made = shaped(pa.Table.from_pylist(rows, SAMPLE_SCHEMA), "sft")
    assert loaded["train"].to_list() == made.to_pylist()
    # Arrow's names of list items aside, both formats load with the types of the table.
    assert loaded["train"].features.arrow_schema.names == made.schema.names
    types = loaded["train"].features.arrow_schema.types
    assert [str(t) for t in types] == [
        str(t).replace("element", "item").replace(" not null", "") for t in SAMPLE_SCHEMA.types
    ]
