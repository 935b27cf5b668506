"""An export for somebody else's disk: made in a scratch folder, and handed out piece by piece."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.reward_filtering.card_facts import Format
from services.reward_filtering.export import ExportResult, export_dataset
from services.reward_filtering.shapes import Shape
from services.runtime.tables import Table

CHUNK_BYTES = 1024 * 1024
_AT_ONCE = 2
"""Exports that are made at the same time: each holds a shard in memory."""


@dataclass(frozen=True, slots=True)
class FileChunk:
    """A piece of a file."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was exported."""

    version: int
    rows: int
    files: int
    bytes: int


class Exports:
    """Exports that this process makes."""

    def __init__(
        self, scratch: Path | None = None, licences: Mapping[str, str] | None = None
    ) -> None:
        """Set up.

        Args:
            scratch: Folder with room for copies, by default the system's for temporary files.
            licences: Of models, by name, as far as they are known.
        """
        self._scratch = scratch
        self._licences = licences or {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def stream(
        self,
        table: Table,
        name: str,
        format: Format,
        shape: Shape | None = None,
        *,
        rejected: Table | None = None,
        rollouts: int | None = None,
    ) -> AsyncGenerator[FileChunk | ExportSummary]:
        """Yield the files of an export in pieces, the card first, and at last what they were.

        Args:
            table: Of the dataset.
            name: Of the dataset.
            format: Of the data files.
            shape: Columns that a trainer takes; by default those of the dataset's kind.
            rejected: The table of the dataset's rejected candidates; it need not exist.
            rollouts: Kept of each prompt at most, in shape `grpo` only; by default 16.

        Raises:
            NotFound: there is no such table.
            Rejected: it has no samples yet, or none that the shape can use, or `rollouts` does
                not fit.
            Retryable: the disk is full, or the object store is away.
        """
        async with self._room:
            scratch = Path(
                await asyncio.to_thread(tempfile.mkdtemp, prefix="export-", dir=self._scratch)
            )
            made = asyncio.to_thread(
                export_dataset,
                *(table, name, scratch / "export", format, shape),
                rejected=rejected,
                rollouts=rollouts,
                licences=self._licences,
            )
            making = asyncio.ensure_future(made)
            try:
                result = await asyncio.shield(making)
                sent = 0
                for path in (*result.about, *result.files):
                    # Not in a thread: who is cancelled there would leave the file open.
                    with (result.path / path).open("rb") as file:
                        data = await asyncio.to_thread(file.read, CHUNK_BYTES)
                        yield FileChunk(path, data)
                        while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
                            yield FileChunk(path, data)
                        sent += file.tell()
                yield _summary(result, sent)
            finally:
                # A caller who goes away does not end the thread, which may still be writing.
                await asyncio.wait([making])
                await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _summary(result: ExportResult, sent: int) -> ExportSummary:
    return ExportSummary(result.version, result.rows, len(result.about) + len(result.files), sent)
