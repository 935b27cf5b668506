"""ExportDataset on real servers: a frozen copy, piece by piece."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from datasets import load_dataset
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.events import ChatMessage, Response
from tests.integration.reward_filtering_rpc import judged, serving
from tests.integration.rpc import Code, ending, listen, until


@pytest.mark.parametrize(
    ("format", "suffix"),
    [("EXPORT_FORMAT_UNSPECIFIED", "parquet"), ("EXPORT_FORMAT_JSONL", "jsonl")],
)
async def test_an_export_written_from_its_chunks_is_a_dataset(
    tmp_path: Path, format: str, suffix: str
) -> None:
    long = "long " * 300_000
    big = replace(judged(9), messages=(ChatMessage("user", long), ChatMessage("assistant", "No.")))
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(*(judged(n) for n in range(5)), big)
        await replica.deliver()
        parts = [
            part
            async for part in listen(channel, pb.ExportDatasetRequest(dataset="d", format=format))
        ]
    *chunks, last = parts
    target = tmp_path / "copy"
    for part in chunks:
        assert part.WhichOneof("part") == "chunk"
        assert len(part.chunk.data) <= 1024 * 1024
        path = target / part.chunk.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(part.chunk.data)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    assert [str(path.relative_to(target)) for path in files] == [
        "README.md",
        f"data/train-00000-of-00001.{suffix}",
    ]
    assert (last.summary.rows, last.summary.files) == (6, 2)
    assert last.summary.bytes == sum(path.stat().st_size for path in files)
    rows = load_dataset(str(target), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(rows["id"]) == sorted(s.sample_id for s in (*map(judged, range(5)), big))


async def test_an_export_has_the_funnel_and_what_is_known_of_the_models(tmp_path: Path) -> None:
    licences = {"m": "Apache-2.0"}
    async with serving(tmp_path, licences=licences) as ((replica,), (channel,)):
        await replica.take_in(*(judged(n, accepted=n < 3) for n in range(7)))
        await replica.deliver()
        parts = [part async for part in listen(channel, pb.ExportDatasetRequest(dataset="d"))]
    files: dict[str, bytes] = {}
    for part in parts[:-1]:
        files[part.chunk.path] = files.get(part.chunk.path, b"") + part.chunk.data
    assert list(files) == ["README.md", "funnel.svg", "data/train-00000-of-00001.parquet"]
    assert parts[-1].summary.files == 3
    assert parts[-1].summary.bytes == sum(map(len, files.values()))
    card = files["README.md"].decode()
    assert "Of 7 candidates 3 were accepted." in card
    assert "| response | length | 2 | 5 |" in card
    assert "\nlicense: apache-2.0\n" in card
    assert "7 candidates, 3 accepted" in "".join(
        ElementTree.fromstring(files["funnel.svg"]).itertext()
    )


async def test_an_export_keeps_as_many_rollouts_as_are_asked_for(tmp_path: Path) -> None:
    said = tuple(
        Response("student", f"said {n}", float(n < 2), ("wrong", "correct")[n < 2])
        for n in range(20)
    )
    solved = replace(judged(1), kind="reasoning", student_responses=said)
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(solved)
        await replica.deliver()
        for asked, kept in ((0, 16), (4, 4), (256, 20)):
            request = pb.ExportDatasetRequest(
                dataset="d", format="EXPORT_FORMAT_JSONL", rollouts=asked
            )
            chunks = [part.chunk async for part in listen(channel, request)]
            (row,) = [json.loads(chunk.data) for chunk in chunks if chunk.path.endswith(".jsonl")]
            assert len(row["rollouts"]) == len(row["rewards"]) == len(row["advantages"]) == kept
            assert sum(row["rewards"]) == 2
        for wrong in (-1, 1, 257, 2**62):
            request = pb.ExportDatasetRequest(dataset="d", rollouts=wrong)
            got, code, told = await ending(listen(channel, request))
            assert (got, code) == ([], Code.INVALID_ARGUMENT)
            assert "give 2 to 256" in told
        request = pb.ExportDatasetRequest(dataset="d", shape="sft", rollouts=8)
        got, code, told = await ending(listen(channel, request))
        assert (got, code) == ([], Code.INVALID_ARGUMENT)
        assert "an export of shape sft has none" in told


async def test_an_export_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(judged(1))
        for request, expected in [
            (pb.ExportDatasetRequest(dataset="unknown"), Code.NOT_FOUND),
            (pb.ExportDatasetRequest(dataset="d"), Code.NOT_FOUND),
            (pb.ExportDatasetRequest.FromString(b"\n\x01d\x10\x09"), Code.INVALID_ARGUMENT),
        ]:
            got, code, _ = await ending(listen(channel, request))
            assert (got, code) == ([], expected)


async def test_nothing_is_left_of_an_export_whose_caller_went_away(tmp_path: Path) -> None:
    long = replace(judged(1), messages=(ChatMessage("user", "long " * 2_000_000),))
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(long)
        await replica.deliver()
        stream = listen(channel, pb.ExportDatasetRequest(dataset="d", format="EXPORT_FORMAT_JSONL"))
        assert (await stream.read()).chunk.path == "README.md"
        assert list(replica.scratch.iterdir())
        stream.cancel()
        await until(lambda: not list(replica.scratch.iterdir()))
