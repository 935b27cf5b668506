"""The dataset writer: verdicts to rows, committed together with how far it read.

Its member's committed offset only says where reading may begin: what a table holds is told by the
reading positions in the table itself, and records before them are passed over. So several replicas
may write one table, each for its own partitions, and one that lost a partition without knowing it
cannot harm: its append finds the position moved.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from services.events import SampleJudged, codec
from services.reward_filtering.metering import count_rows
from services.reward_filtering.sample_rows import row
from services.reward_filtering.sample_schema import REJECTED, SAMPLE_SCHEMA
from services.reward_filtering.store_spans import Commit, Stored
from services.runtime.errors import Rejected, Retryable
from services.runtime.metrics import Metrics
from services.runtime.ports import Clock, Delivery
from services.runtime.rows import rows_to_arrow
from services.runtime.storage_errors import AccessDenied
from services.runtime.table_appends import LogRow, UniqueAppends
from services.runtime.tables import Moved, Table
from services.runtime.worker import DeadLetters, EventSource

MEMBER = "dataset-writer"
ROWS_AT_ONCE = 500
SHARE = 0.05
"""Of the time that is spent writing: a commit costs the same for one row as for hundreds, and many
small files are merged again and again."""
LONGEST_GATHERING_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0

_log = structlog.get_logger(__name__)


def position_name(delivery: Delivery) -> str:
    """Return the name under which a table keeps the reading position of a partition."""
    return f"samples-judged-{delivery.partition}"


@dataclass(frozen=True, slots=True)
class _Sample:
    """A row and the message that it came in."""

    delivery: Delivery
    row: dict[str, Any]


class DatasetWriter:
    """Writes the accepted samples of all datasets."""

    def __init__(
        self,
        source: EventSource,
        open_table: Callable[[str], Table | str],
        dead_letters: DeadLetters | None = None,
        valid: Callable[[Delivery], bool] = lambda delivery: True,
        patient: bool = True,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        metrics: Metrics | None = None,
        clock: Clock = time.time,
    ) -> None:
        """Set up.

        Args:
            source: Verdicts.
            open_table: Gives the table of a dataset, or the directory of a local one; it need not
                exist yet.
            dead_letters: Takes verdicts that cannot be read or written; without, they raise.
            valid: Says of each message whether it counts; others are passed over.
            patient: Wait, for ever if need be, while storage is away or full; otherwise raise.
            pause: Waits for so many seconds.
            metrics: Of this process.
            clock: Says when rows were committed.
        """
        metrics = metrics or Metrics()
        self._line, self._metrics, self._clock = metrics.line, metrics.store, clock
        self._source = source
        self._open_table = open_table
        self._dead_letters = dead_letters
        self._valid = valid
        self._patient = patient
        self._pause = pause
        self._appends: dict[str, UniqueAppends] = {}
        """By dataset."""
        self._away_since: float | None = None
        self.written = 0
        """Rows given to tables by this process; a rival's, given by both, count for both."""
        self.busy = False

    @property
    def away(self) -> bool:
        """Whether storage did not answer last time, and a batch waits for it."""
        return self._away_since is not None

    async def run(self) -> None:
        """Write until cancelled, with time to gather rows between two commits."""
        while True:
            deliveries = await self._source.poll(ROWS_AT_ONCE)
            begun = time.monotonic()
            await self.write(deliveries)
            if len(deliveries) < ROWS_AT_ONCE:
                spent = time.monotonic() - begun
                await self._pause(min(LONGEST_GATHERING_SECONDS, spent * (1 / SHARE - 1)))

    async def step(self) -> bool:
        """Write what is there; False when there is nothing (deterministic runs)."""
        deliveries = await self._source.poll(ROWS_AT_ONCE, wait=False)
        await self.write(deliveries)
        return bool(deliveries)

    def forget(self) -> None:
        """Look at the tables afresh: partitions have changed hands."""
        self._appends.clear()

    async def write(self, deliveries: Iterable[Delivery]) -> None:
        """Commit a batch of verdicts: rows and positions per table, then the member's offsets.

        Raises:
            AccessDenied: storage as a whole refuses us; nothing of the batch is lost.
            Retryable: as `AccessDenied`, when storage is full or away and we are not patient.
            Rejected: a verdict cannot be read or written, and there are no dead letters.
        """
        self.busy = True
        datasets: dict[str, list[_Sample]] = defaultdict(list)
        ends: dict[tuple[str, int], int] = {}
        for delivery in deliveries:
            ends[delivery.topic, delivery.partition] = delivery.offset + 1
            if not self._valid(delivery):
                continue
            try:
                event = codec.from_delivery(delivery)
                if isinstance(event, SampleJudged):
                    table = event.dataset if event.accepted else f"{REJECTED}{event.dataset}"
                    datasets[table].append(_Sample(delivery, row(event)))
            except (Rejected, ValueError, OverflowError, OSError) as error:  # also an absurd time
                await self._bury(delivery, f"no row can be made of it: {error}")
        for dataset, samples in datasets.items():
            await self._store(dataset, samples)
        if ends:
            await self._source.commit(ends)
        self.busy = False

    async def _store(self, dataset: str, samples: list[_Sample]) -> None:
        """Write the samples of one dataset, however long it takes, or bury them."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                written = await asyncio.to_thread(self._append, dataset, samples)
                self._count(dataset, samples, written)
            except Moved as moved:
                self._metrics.conflicts += 1
                _log.info("another writer was here", dataset=dataset, reason=str(moved))
                self._appends.pop(dataset, None)
            except Retryable as error:
                self._metrics.failures["away"] += 1
                if not self._patient:
                    raise
                self._metrics.away = 1
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    _log.warning("dataset store is away", dataset=dataset, reason=str(error))
                await self._pause(random.uniform(pause / 2, pause))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except AccessDenied:
                self._metrics.failures["denied"] += 1
                raise
            except Rejected as error:
                self._metrics.failures["unfit"] += 1
                self._appends.pop(dataset, None)
                await self._bury_unfit(dataset, samples, error)
                return
            else:
                if self._away_since is not None:
                    seconds = round(time.monotonic() - self._away_since, 1)
                    _log.warning("dataset store answers again", dataset=dataset, seconds=seconds)
                    self._away_since = None
                self._metrics.away = 0
                return

    def _count(self, dataset: str, samples: list[_Sample], written: int) -> None:
        """Count what was committed: those that were there before come first in the log."""
        if not written or dataset.startswith(REJECTED):
            return
        self.written += written
        judged = [each.row["created_at"].timestamp() for each in samples[-written:]]
        count_rows(self._line, dataset, judged, self._clock())

    def _append(self, dataset: str, samples: list[_Sample]) -> int:
        appends = self._appends.get(dataset)
        if appends is None:
            appends = self._appends[dataset] = UniqueAppends(self._open(dataset))
        rows = [LogRow(position_name(s.delivery), s.delivery.offset, s.row) for s in samples]
        table, began = appends.table, time.monotonic()
        size, conflicts, version = table.appended_bytes, table.conflicts, table.appends
        with Commit(table.uri, [sample.delivery for sample in samples]) as commit:
            try:
                written = appends.append(rows)
            finally:
                self._metrics.conflicts += table.conflicts - conflicts
                if table.appends > version:
                    self._metrics.commits += table.appends - version
                    self._metrics.bytes += table.appended_bytes - size
                    self._metrics.commit_seconds.observe(time.monotonic() - began)
            commit.done(appends.version, [Stored(str(s.row["id"]), s.delivery) for s in samples])
        return written

    def _open(self, dataset: str) -> Table:
        opened = self._open_table(dataset)
        return Table(opened, SAMPLE_SCHEMA) if isinstance(opened, str) else opened

    async def _bury_unfit(self, dataset: str, samples: list[_Sample], error: Rejected) -> None:
        """Bury the rows that do not fit and store the rest; when all fit, it is the table."""
        fitting = list[_Sample]()
        for sample in samples:
            try:
                rows_to_arrow([sample.row], SAMPLE_SCHEMA, f"sample {sample.row['id']}")
                fitting.append(sample)
            except Rejected as unfit:
                await self._bury(sample.delivery, str(unfit))
        if len(fitting) < len(samples):
            if fitting:
                await self._store(dataset, fitting)
            return
        for sample in fitting:
            await self._bury(sample.delivery, str(error))

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        if self._dead_letters is None:
            raise Rejected(reason)
        _log.error("dead letter", service=MEMBER, topic=delivery.topic, reason=reason)
        await self._dead_letters.bury(MEMBER, delivery, reason)
