"""ReportDataset on real servers: one page, piece by piece, whoever asks."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.events import ChatMessage
from services.reward_filtering.report import REPORT_COLUMNS, report_of
from services.reward_filtering.report_page import page
from services.reward_filtering.report_stream import CHUNK_BYTES, Reports
from services.reward_filtering.sample_rows import row
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.tables import Table
from tests.integration.reward_filtering_rpc import judged, serving
from tests.integration.rpc import Code, ending, listen, until


async def test_a_page_comes_whole_and_is_the_one_that_a_run_has(tmp_path: Path) -> None:
    samples = [judged(n, accepted=n % 3 != 0) for n in range(9)]
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(*samples)
        await replica.deliver()
        *parts, last = [
            part async for part in listen(channel, pb.ReportDatasetRequest(dataset="d"))
        ]
        tables = (replica.table("d"), replica.table("_rejected/d"))
        expected = page(report_of("d", *(table.read(REPORT_COLUMNS) for table in tables)))
    assert {part.WhichOneof("part") for part in parts} == {"chunk"}
    content = b"".join(part.chunk for part in parts)
    assert content.decode() == expected
    assert (last.summary.accepted, last.summary.candidates) == (6, 9)
    assert last.summary.bytes == len(content)


async def test_a_page_larger_than_a_message_comes_in_pieces(tmp_path: Path) -> None:
    # Messages are clipped on the page; the name of a stratum is not.
    wide = replace(judged(1), stratum="r" * (2 * CHUNK_BYTES))
    async with serving(tmp_path) as ((replica,), (channel,)):
        Table(str(replica.folder / "tables" / "d"), SAMPLE_SCHEMA).append([row(wide)], {})
        *parts, last = [
            part async for part in listen(channel, pb.ReportDatasetRequest(dataset="d"))
        ]
    assert len(parts) > 1
    assert all(0 < len(part.chunk) <= CHUNK_BYTES for part in parts)
    assert last.summary.bytes == sum(len(part.chunk) for part in parts)


async def test_what_only_its_tables_know_is_reported_and_exported(tmp_path: Path) -> None:
    again = replace(judged(1), dataset="again")
    refused = replace(judged(2, accepted=False), dataset="hopeless")
    async with serving(tmp_path) as ((replica,), (channel,)):
        for name, sample in (("again", again), ("_rejected/hopeless", refused)):
            Table(str(replica.folder / "tables" / name), SAMPLE_SCHEMA).append([row(sample)], {})
        for name, counts in (("again", (1, 1)), ("hopeless", (0, 1))):
            async for part in listen(channel, pb.ReportDatasetRequest(dataset=name)):
                last = part
            assert (last.summary.accepted, last.summary.candidates) == counts
        async for exported in listen(channel, pb.ExportDatasetRequest(dataset="again")):
            end = exported
        assert end.summary.rows == 1
        for request in (
            pb.ReportDatasetRequest(dataset="_rejected/hopeless"),
            pb.ExportDatasetRequest(dataset="_rejected/hopeless"),
            pb.ReportDatasetRequest(dataset="../tables/again"),
            pb.ReportDatasetRequest(dataset=""),
        ):
            got, code, told = await ending(listen(channel, request))
            assert (got, code) == ([], Code.NOT_FOUND)
            assert "no dataset" in told


async def test_a_report_on_what_is_not_there_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(judged(1))
        Table(str(replica.folder / "tables" / "empty"), SAMPLE_SCHEMA).append([], {}, force=True)
        for name, code, told in [
            ("unknown", Code.NOT_FOUND, "no dataset 'unknown'"),
            ("d", Code.NOT_FOUND, "nothing of dataset 'd' was delivered yet"),
            ("empty", Code.INVALID_ARGUMENT, "has no candidates yet"),
        ]:
            got, ended, details = await ending(
                listen(channel, pb.ReportDatasetRequest(dataset=name))
            )
            assert (got, ended) == ([], code)
            assert told in details


async def test_more_candidates_than_fit_in_memory_are_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        replica.reports._max_candidates = 2
        await replica.take_in(*map(judged, range(3)))
        await replica.deliver()
        got, code, told = await ending(listen(channel, pb.ReportDatasetRequest(dataset="d")))
    assert (got, code) == ([], Code.INVALID_ARGUMENT)
    assert "has 3 candidates, and a service reports on at most 2" in told


class HeldTable(Table):
    """A table that is read when it is told so."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, SAMPLE_SCHEMA)
        self.asked = threading.Event()
        self.let = threading.Event()

    def count(self, version: int | None = None) -> int:
        self.asked.set()
        assert self.let.wait(20)
        return super().count(version)


async def test_a_caller_who_goes_away_leaves_no_work_behind_and_no_room_taken(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(judged(1))
        await replica.deliver()
        held = HeldTable(replica.table("d").uri)
        replica.held["d"] = held
        stream = listen(channel, pb.ReportDatasetRequest(dataset="d"))
        reading = asyncio.ensure_future(stream.read())
        await until(held.asked.is_set)
        # The loop turns while the table is read: another call is answered.
        got, code, _ = await ending(listen(channel, pb.ReportDatasetRequest(dataset="unknown")))
        assert (got, code) == ([], Code.NOT_FOUND)
        stream.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert replica.reports._room.locked()
        held.let.set()
        await until(lambda: not replica.reports._room.locked())
        parts = [part async for part in listen(channel, pb.ReportDatasetRequest(dataset="d"))]
    assert parts[-1].summary.accepted == 1


async def test_a_caller_who_reads_slowly_holds_up_no_other_report(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "d"), SAMPLE_SCHEMA)
    table.append([row(replace(judged(1), messages=(ChatMessage("user", "Which?"),)))], {})
    none = Table(str(tmp_path / "_rejected" / "d"), SAMPLE_SCHEMA)
    reports = Reports()
    slow = reports.stream(table, none, "d")
    first = await anext(slow)
    quick = [part async for part in reports.stream(table, none, "d")]
    assert [first, *[part async for part in slow]] == quick
