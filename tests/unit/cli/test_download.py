"""What a server sends as an export or a report: taken whole, or refused with nothing left."""

import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.cli.download import MAX_PAGE_BYTES, receive_export, receive_page
from services.runtime.errors import MatrixError, NotFound, Rejected, Retryable


def chunk(path: str, data: bytes = b"x") -> pb.ExportDatasetResponse:
    return pb.ExportDatasetResponse(chunk=pb.FileChunk(path=path, data=data))


def summary(files: int, size: int) -> pb.ExportDatasetResponse:
    return pb.ExportDatasetResponse(summary=pb.ExportSummary(rows=3, files=files, bytes=size))


async def sent(
    parts: Iterable[pb.ExportDatasetResponse], error: MatrixError | None = None
) -> AsyncIterator[pb.ExportDatasetResponse]:
    for part in parts:
        yield part
    if error is not None:
        raise error


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


WHOLE = (chunk("README.md", b"ab"), chunk("data/a", b"c"), chunk("data/a", b"d"), summary(2, 4))


async def test_chunks_become_the_files_that_they_are_of(tmp_path: Path) -> None:
    progress: list[int] = []
    made = await receive_export(sent(WHOLE), "d", tmp_path / "new" / "copy", progress.append)
    copy = tmp_path / "new" / "copy"
    assert made.rows == 3
    assert progress == [2, 3, 4]
    assert (copy / "README.md").read_bytes() == b"ab"
    assert (copy / "data" / "a").read_bytes() == b"cd"
    assert list(copy.parent.iterdir()) == [copy]


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    await receive_export(sent([chunk("a", b""), summary(1, 0)]), "d", tmp_path / "copy")
    assert (tmp_path / "copy" / "a").read_bytes() == b""


@pytest.mark.parametrize(
    ("parts", "error", "told"),
    [
        (WHOLE[:-1], None, "ended after 4 bytes, before it was whole"),
        ((), None, "ended after 0 bytes"),
        (WHOLE[:2], Retryable("connection lost"), "connection lost"),
        (WHOLE[:2], NotFound("table gone"), "table gone"),
        ((*WHOLE[:2], summary(2, 4)), None, "says 2 files of 4 bytes, and 2 of 3 have come"),
        ((*WHOLE[:3], chunk("README.md"), summary(3, 5)), None, "'README.md' twice"),
        ((chunk("a"), chunk("a/b"), summary(2, 2)), None, "'a/b' twice"),
    ],
)
async def test_what_is_not_whole_leaves_nothing_and_an_earlier_folder_alone(
    tmp_path: Path, parts: tuple[pb.ExportDatasetResponse, ...], error: MatrixError, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with pytest.raises(MatrixError, match=told):
            await receive_export(sent(parts, error), "d", tmp_path / name)
    assert everything(tmp_path) == ["empty"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../out",
        "data/../../out",
        "..",
        "",
        ".",
        "a\\..\\b",
        "C:x",
        "a\nb",
        "\x1b[31m",
    ],
)
async def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Rejected, match="no path inside an export"):
        await receive_export(sent([chunk(path), summary(1, 1)]), "d", tmp_path / "in" / "copy")
    assert list((tmp_path / "in").iterdir()) == []


@given(st.text(alphabet="ab./\\:\0 \n~é", max_size=12))
async def test_whatever_the_path_nothing_is_written_outside(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outer = Path(folder)
        target = outer / "in" / "copy"
        try:
            await receive_export(sent([chunk(path), summary(1, 1)]), "d", target)
        except MatrixError:
            assert everything(outer) == ["in"]
        else:
            assert everything(outer)[:2] == ["in", "in/copy"]
            assert all(each.startswith("in") for each in everything(outer))


def piece(data: bytes) -> pb.ReportDatasetResponse:
    return pb.ReportDatasetResponse(chunk=data)


def end(size: int) -> pb.ReportDatasetResponse:
    return pb.ReportDatasetResponse(summary=pb.ReportSummary(accepted=1, candidates=2, bytes=size))


async def pieces(*parts: pb.ReportDatasetResponse) -> AsyncIterator[pb.ReportDatasetResponse]:
    for part in parts:
        yield part


@given(st.text(), st.integers(1, 5))
async def test_a_page_is_whole_however_it_is_cut(text: str, size: int) -> None:
    raw = text.encode()
    parts = [piece(raw[start : start + size]) for start in range(0, len(raw), size)]
    got, summary = await receive_page(pieces(*parts, end(len(raw))))
    assert (got, summary.candidates) == (text, 2)


@pytest.mark.parametrize(
    ("parts", "kind", "told"),
    [
        ((), Retryable, "ended after 0 bytes, before it was whole"),
        ((piece(b"abc"),), Retryable, "ended after 3 bytes"),
        ((piece(b"abc"), end(4)), Retryable, "says 4 bytes, and 3 have come"),
        ((piece(b"\xff\xfe"), end(2)), Rejected, "no text"),
        ((piece(bytes(MAX_PAGE_BYTES)), piece(b"x")), Rejected, "more than 67,108,864 bytes"),
    ],
)
async def test_a_page_that_is_not_whole_is_refused(
    parts: tuple[pb.ReportDatasetResponse, ...], kind: type[MatrixError], told: str
) -> None:
    with pytest.raises(kind, match=told):
        await receive_page(pieces(*parts))
