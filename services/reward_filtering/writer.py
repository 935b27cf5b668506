"""The dataset writer: verdicts to rows, committed together with how far it read.

Its member's committed offset only says where reading may begin: what a table holds is told by the
reading positions in the table itself, and records before them are passed over.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from services.events import SampleJudged, codec
from services.reward_filtering.export import SAMPLE_SCHEMA
from services.runtime.ports import Delivery
from services.runtime.tables import Table
from services.runtime.worker import EventSource

ROWS_AT_ONCE = 500


def row(sample: SampleJudged) -> dict[str, Any]:
    """Return the row of an accepted sample; ops/dataset-schema.md says what the columns mean."""
    provenance = sample.provenance
    return {
        "id": sample.sample_id,
        "kind": sample.kind,
        "dataset": sample.dataset,
        "stratum": sample.stratum,
        "messages": [{"role": m.role, "content": m.content} for m in sample.messages],
        "requirement": {
            "id": sample.requirement.requirement_id,
            "category": sample.requirement.category,
            "complexity": sample.requirement.complexity,
            "style": sample.requirement.style,
            "text": sample.requirement.text,
        },
        "rewards": list(sample.rewards),
        "chosen": sample.chosen,
        "scores": [{"name": k, "value": v} for k, v in sorted(sample.scores.items())],
        "persona": provenance.persona,
        "scenario_id": provenance.scenario_id,
        "group_id": provenance.group_id,
        "agent_id": provenance.agent_id,
        "agent_ids": list(provenance.agent_ids),
        "action_ids": list(provenance.action_ids),
        "prompt": provenance.prompt,
        "instruction_model": provenance.instruction_model,
        "response_model": provenance.response_model,
        "reward_model": provenance.reward_model,
        "calls": sample.usage.calls,
        "prompt_tokens": sample.usage.prompt_tokens,
        "completion_tokens": sample.usage.completion_tokens,
        "created_at": datetime.fromtimestamp(sample.created_at, UTC),
    }


def position_name(delivery: Delivery) -> str:
    """Return the name under which a table keeps the reading position of a partition."""
    return f"samples-judged-{delivery.partition}"


class DatasetWriter:
    """Writes the accepted samples of all datasets."""

    def __init__(self, source: EventSource, table_uri: Callable[[str], str]) -> None:
        self._source = source
        self._table_uri = table_uri
        self._tables: dict[str, tuple[Table, set[str]]] = {}
        """By dataset, with the ids of its rows."""
        self.written = 0
        """Rows committed by this process."""
        self.busy = False

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self.write(await self._source.poll(ROWS_AT_ONCE))

    async def step(self) -> bool:
        """Write what is there; False when there is nothing (deterministic runs)."""
        deliveries = await self._source.poll(ROWS_AT_ONCE, wait=False)
        await self.write(deliveries)
        return bool(deliveries)

    async def write(self, deliveries: Iterable[Delivery]) -> None:
        """Commit a batch of verdicts: rows and positions per table, then the member's offsets.

        Raises:
            Rejected: a table is not ours.
            Retryable: storage is full or away; nothing of the batch is lost.
        """
        self.busy = True
        rows: dict[str, list[tuple[str, int, dict[str, Any]]]] = defaultdict(list)
        ends: dict[tuple[str, int], int] = {}
        for delivery in deliveries:
            ends[delivery.topic, delivery.partition] = delivery.offset + 1
            event = codec.from_delivery(delivery)
            if isinstance(event, SampleJudged) and event.accepted:
                entry = (position_name(delivery), delivery.offset, row(event))
                rows[event.dataset].append(entry)
        for dataset, entries in rows.items():
            self.written += await asyncio.to_thread(self._append, dataset, entries)
        if ends:
            await self._source.commit(ends)
        self.busy = False

    def _append(self, dataset: str, entries: list[tuple[str, int, dict[str, Any]]]) -> int:
        if dataset not in self._tables:
            opened = Table(self._table_uri(dataset), SAMPLE_SCHEMA)
            self._tables[dataset] = opened, opened.ids()
        table, ids = self._tables[dataset]
        read = table.offsets(sorted({name for name, _, _ in entries}))
        fresh = [(name, offset, item) for name, offset, item in entries if offset >= read[name]]
        unique: dict[str, dict[str, Any]] = {}
        for _, _, item in fresh:
            if item["id"] not in ids:
                unique.setdefault(item["id"], item)
        offsets = {name: offset + 1 for name, offset, _ in fresh}
        if unique:
            table.append(list(unique.values()), offsets)
            ids.update(unique)
            table.compact()
        return len(unique)
