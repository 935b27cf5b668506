"""What a platform sends, an export or a report: taken whole, or not at all."""

import shutil
import tempfile
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from matrix.reward_filtering.v1 import service_pb2 as pb

from services.reward_filtering.export_folder import put_in_place, refuse_foreign
from services.runtime.errors import Rejected, Retryable
from services.runtime.storage_errors import storage_errors

MAX_PAGE_BYTES = 64 * 1024 * 1024
"""Of a report: far more than its examples and pictures can be."""


async def receive_export(
    parts: AsyncIterable[pb.ExportDatasetResponse],
    name: str,
    target: Path,
    received: Callable[[int], None] = lambda count: None,
) -> pb.ExportSummary:
    """Write what `ExportDataset` sends to a folder, and return its summary.

    The copy is made beside `target` and then renamed, so that `target` is never half written.

    Args:
        parts: the answers of the service.
        name: of the dataset.
        target: the folder to write; an earlier export of the same dataset there is replaced.
        received: told the bytes so far.

    Raises:
        Rejected: `target` holds something else, or what is sent is no export.
        Retryable: it ends before it is whole, or the disk is full.
    """
    with _put_whole(target, name) as folder:
        return await _written(parts, folder, received)


@contextmanager
def _put_whole(target: Path, name: str) -> Iterator[Path]:
    """Give a folder to write to, which becomes `target` if nothing goes wrong."""
    place = target.absolute()
    refuse_foreign(place, name)
    with storage_errors(target):
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, because a rename must stay on one file system.
        workshop = Path(tempfile.mkdtemp(prefix=f".{place.name}.export-", dir=place.parent))
        try:
            made = workshop / "made"
            made.mkdir()
            yield made
            refuse_foreign(place, name)
            put_in_place(made, place, workshop / "replaced")
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


async def _written(
    parts: AsyncIterable[pb.ExportDatasetResponse], folder: Path, received: Callable[[int], None]
) -> pb.ExportSummary:
    files, size, file, path = 0, 0, None, ""
    try:
        async for part in parts:
            if part.WhichOneof("part") == "summary":
                return _checked(part.summary, files, size)
            if file is None or part.chunk.path != path:
                if file is not None:
                    file.close()
                path = part.chunk.path
                file, files = _begun(folder, path), files + 1
            file.write(part.chunk.data)
            size += len(part.chunk.data)
            received(size)
    finally:
        if file is not None:
            file.close()
    raise Retryable(f"the export ended after {size:,} bytes, before it was whole: try again")


def _checked(summary: pb.ExportSummary, files: int, size: int) -> pb.ExportSummary:
    if (summary.files, summary.bytes) != (files, size):
        raise Retryable(
            f"the export says {summary.files} files of {summary.bytes:,} bytes, and {files} of "
            f"{size:,} have come: try again"
        )
    return summary


def _begun(folder: Path, path: str) -> BinaryIO:
    """Return a new file at a path that the server named, which may not lead out of the folder."""
    parts = PurePosixPath(path).parts
    wrong = not parts or path.startswith("/") or ".." in parts or not path.isprintable()
    if wrong or "\\" in path or ":" in path:
        raise Rejected(f"the server sends a file {path!r}: that is no path inside an export")
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise Rejected(f"the server sends the file {path!r} twice: no export does") from None


async def receive_page(
    parts: AsyncIterable[pb.ReportDatasetResponse],
) -> tuple[str, pb.ReportSummary]:
    """Return the page that `ReportDataset` sends, and its summary.

    Raises:
        Rejected: what is sent is no page.
        Retryable: it ends before it is whole.
    """
    content = bytearray()
    async for part in parts:
        if part.WhichOneof("part") == "summary":
            if part.summary.bytes != len(content):
                raise Retryable(
                    f"the report says {part.summary.bytes:,} bytes, and {len(content):,} have "
                    "come: try again"
                )
            try:
                return content.decode(), part.summary
            except UnicodeDecodeError:
                raise Rejected("the server sends a report that is no text: no page is") from None
        content += part.chunk
        if len(content) > MAX_PAGE_BYTES:
            raise Rejected(
                f"the server sends a report of more than {MAX_PAGE_BYTES:,} bytes: no page is"
            )
    raise Retryable(
        f"the report ended after {len(content):,} bytes, before it was whole: try again"
    )
