"""What a run left behind, read without the platform's own bookkeeping."""

import asyncio
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from services.events import AgentsActed, StepCompleted, codec
from services.events.topics import TOPICS, Topic
from services.local.log import Log
from services.runtime.tables import list_tables


def rows(out: Path, dataset: str = "sft") -> list[dict[str, Any]]:
    """Return a dataset's rows, by id."""
    table = DeltaTable(str(out / "datasets" / dataset)).to_pyarrow_table()
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def ids(out: Path, dataset: str = "sft") -> set[str]:
    """Return the ids of a dataset's rows; none while there is no table."""
    there = dataset in list_tables(str(out / "datasets"))
    return {row["id"] for row in rows(out, dataset)} if there else set()


def events(out: Path, topic: Topic) -> list[Any]:
    """Return all events of a topic, in order within each key."""

    async def read() -> list[Any]:
        log = Log(out / "log.db", {t.name for t in TOPICS if t.compacted})
        try:
            return [codec.from_delivery(d) for d in await log.history(topic.name)]
        finally:
            await log.close()

    return asyncio.run(read())


def count(out: Path, topic: Topic) -> int:
    """Return how many events a topic holds so far; a run may be writing them."""
    try:
        db = sqlite3.connect(f"file:{out / 'log.db'}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return 0  # not begun yet
    try:
        rows = db.execute("SELECT count(*) FROM records WHERE topic=?", (topic.name,))
        found: int = rows.fetchone()[0]
        return found
    except sqlite3.OperationalError:
        return 0
    finally:
        db.close()


def steps_by_group(out: Path, topic: Topic) -> dict[str, dict[int, list[Any]]]:
    """Return the events of every group's steps; a repeated publish stands there repeatedly."""
    found: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for event in events(out, topic):
        if isinstance(event, AgentsActed | StepCompleted):
            found[event.group.group_id][event.step].append(event)
    return found
