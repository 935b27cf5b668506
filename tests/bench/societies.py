"""Societies of any size in a log, as they are after they lived for some steps.

A small one is imported and lives through the real code of all services; a large one is many copies
of its groups, each with ids and a rank of its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from services.agent_state.profile_files import ProfileImport
from services.events import Appetite, PopulationSet, codec
from services.events import topics as t
from services.kinds import load_kinds
from services.local.composition import Composition
from services.local.log import Log
from services.local.society import import_society
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.domain import ModulatorState
from services.runtime.metrics import Metrics
from services.runtime.ports import Record
from tests.bench.instant import InstantEmbedder, InstantModel
from tests.bench.populations import builtin_profiles

TEMPLATE_AGENTS = 250
STEPS = 20
"""Steps after which memories were summarised once or twice."""
RING = ("agent_state", "message_modulation", "scenario_extraction")
REGIONS = tuple(f"r{number:02}" for number in range(16))
Milestone = tuple[int, Callable[[], Awaitable[None]]]
_STATES = (t.AGENTS.name, t.GROUPS.name, t.WINDOWS.name)


def opened(path: Path) -> Log:
    """Return a log as a run opens it."""
    return Log(path, {topic.name for topic in t.TOPICS if topic.compacted})


def composed(log: Log, model: InstantModel) -> Composition:
    """Return the services as a run composes them, over a model that answers at once."""
    return Composition(
        log,
        model,
        InstantEmbedder(),
        load_kinds(),
        "structured",
        log_directory(log) / "datasets",
        Metrics(),
        time.time,
        seeded=False,
    )


def log_directory(log: Log) -> Path:
    """Return where a log is."""
    return log._file.path.parent


def appetites(regions: Sequence[str], hungry: bool) -> list[Record]:
    """Return what says that all regions are wanted, or that none is."""
    return [
        codec.to_record(t.POPULATION, f"appetite/{each}", Appetite(each, hungry, ""))
        for each in regions
    ]


async def live(
    composition: Composition, milestones: Sequence[Milestone], until_idle: bool = False
) -> None:
    """Let the ring turn, once, until the last milestone is done or nobody moves any more.

    Args:
        composition: A new one, restored.
        milestones: What is to be done after how many steps of groups, in order.
        until_idle: Whether it is to turn on after the last one.
    """
    metrics, ring = composition.metrics.society, [composition.workers[name] for name in RING]
    sources = [composition.sources[name] for name in RING]
    running = [asyncio.create_task(worker.run()) for worker in ring]
    left = list(milestones)
    try:
        while any(w.pending for w in ring) or any(s.lag for s in sources):
            await asyncio.wait(running, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                if task.done():
                    task.result()
            if left and metrics.steps >= left[0][0]:
                await left.pop(0)[1]()
                if not left and not until_idle:
                    break
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def template(directory: Path) -> list[dict[str, Record]]:
    """Return the last states of each group of a small society: by topic, a group at a time."""
    log = opened(directory / "template.db")
    try:
        composition = composed(log, InstantModel())
        profiles = builtin_profiles()[:TEMPLATE_AGENTS]
        made = await import_society(composition, ProfileImport(profiles, ()), "bench", seed=0)
        regions = list(made.society.regions)
        await log.publish(appetites(regions, True))
        rest = partial(log.publish, appetites(regions, False))
        await live(composition, [(STEPS * made.society.groups, rest)], until_idle=True)
        groups: dict[str, dict[str, Record]] = {}
        for topic in _STATES:
            for delivery in await log.history(topic):
                record = Record(topic, delivery.key, delivery.value)
                groups.setdefault(delivery.key, {})[topic] = record
        return list(groups.values())
    finally:
        await log.close()


async def write_society(log: Log, groups: Sequence[dict[str, Record]], agents: int) -> int:
    """Write copies of `groups` until they have `agents` people; returns how many they have."""
    rank, copy = 0, 0
    while rank < agents:
        records = []
        for states in groups:
            if rank >= agents:
                break
            named, size = _copied(states, copy, rank)
            records += named
            rank += size
        await log.publish(records)
        copy += 1
    return rank


def _copied(states: dict[str, Record], copy: int, rank: int) -> tuple[list[Record], int]:
    """Return one group's states with ids of their own, and how many people it has."""
    held: ModulatorState = MODULATOR_STATE.decode(states[t.GROUPS.name].value)
    ids = [held.group.group_id, *(card.agent_id for card in held.agents)]
    records = []
    for topic, record in states.items():
        value = record.value
        if topic == t.GROUPS.name:
            value = MODULATOR_STATE.encode(replace(held, group=replace(held.group, rank=rank)))
        key = record.key
        for known in ids:
            value = value.replace(known.encode(), _renamed(known, copy).encode())
            key = key.replace(known, _renamed(known, copy))
        records.append(Record(topic, key, value))
    return records, len(held.agents)


def _renamed(known: str, copy: int) -> str:
    """Return another id of the same length, so that no length inside a message changes."""
    return str(UUID(int=UUID(known).int ^ (copy << 64)))


def limit(agents: int | None) -> Record:
    """Return what says how many may be active."""
    return codec.to_record(t.POPULATION, "limits", PopulationSet(agents, 0.0))
