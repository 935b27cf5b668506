"""A report for somebody else's screen: made in a thread, and handed out piece by piece."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from services.reward_filtering.report import REPORT_COLUMNS, report_of
from services.reward_filtering.report_page import page
from services.runtime.errors import NotFound, Rejected
from services.runtime.tables import Table

CHUNK_BYTES = 1024 * 1024
MAX_CANDIDATES = 50_000
"""Of one report: while it is made, a candidate takes about 20 KB of memory."""


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """What a page is on."""

    accepted: int
    candidates: int
    bytes: int


class Reports:
    """Reports that this process makes, one at a time."""

    def __init__(self, max_candidates: int = MAX_CANDIDATES) -> None:
        """Set up.

        Args:
            max_candidates: Of one report.
        """
        self._max_candidates = max_candidates
        self._room = asyncio.Semaphore(1)

    async def stream(
        self, accepted: Table, rejected: Table, name: str
    ) -> AsyncGenerator[bytes | ReportSummary]:
        """Yield a page in pieces, and at last what it is on.

        Args:
            accepted: The dataset's table; need not exist.
            rejected: That of its rejected candidates; need not exist.
            name: Of the dataset.

        Raises:
            NotFound: There is neither table.
            Rejected: There are no candidates in them, or too many.
            Retryable: The object store is away.
        """
        async with self._room:
            making = asyncio.ensure_future(asyncio.to_thread(self._made, accepted, rejected, name))
            try:
                content, summary = await asyncio.shield(making)
            finally:
                # A caller who goes away does not end the thread, and its memory is not free yet.
                await asyncio.wait([making])
        # Outside: a caller who reads slowly holds up nobody.
        for start in range(0, len(content), CHUNK_BYTES):
            yield content[start : start + CHUNK_BYTES]
        yield summary

    def _made(self, accepted: Table, rejected: Table, name: str) -> tuple[bytes, ReportSummary]:
        versions = [table.version() for table in (accepted, rejected)]
        if versions == [None, None]:
            raise NotFound(f"{accepted.uri}: nothing of dataset {name!r} was delivered yet")
        tables = list(zip((accepted, rejected), versions, strict=True))
        count = sum(table.count(version) for table, version in tables)
        if count > self._max_candidates:
            raise Rejected(
                f"dataset {name!r} has {count:,} candidates, and a service reports on at most "
                f"{self._max_candidates:,}: export its samples instead"
            )
        taken, others = (table.read(REPORT_COLUMNS, version=version) for table, version in tables)
        facts = report_of(name, taken, others)
        content = page(facts).encode()
        return content, ReportSummary(facts.accepted, facts.candidates, len(content))
