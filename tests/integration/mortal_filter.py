"""The reward filter as a process that dies, or freezes, at a point of one's choice.

A point is before and after whatever it does to the world: a model call, a publish (also in its
middle, when it is of several records), a run of code, a commit, an append to a table. The model
answers by a hash of what it is asked, so that a call that is repeated is answered alike, and a run
that was disturbed can be compared with one that was not.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import services.reward_filtering
from services.events import (
    DatasetDeclared,
    FilterSpec,
    Grant,
    InstructionGenerated,
    Provenance,
    Requirement,
    SampleJudged,
    codec,
)
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import (
    DATASETS,
    DEAD_LETTERS,
    INSTRUCTIONS_GENERATED,
    MODEL_ANSWERS,
    SAMPLES_JUDGED,
)
from services.kinds import load_kinds
from services.local.composition import prompts_of
from services.local.log import Log, LogConsumer
from services.reward_filtering.application import Filtering
from services.reward_filtering.consumer import FilteringConsumer
from services.reward_filtering.sample_schema import REJECTED, SAMPLE_SCHEMA
from services.reward_filtering.workbench import Workbench
from services.reward_filtering.writer import DatasetWriter
from services.runtime.fencing import EPOCH, Fence, marker
from services.runtime.journal import ModelJournal
from services.runtime.metrics import Metrics
from services.runtime.ports import Delivery, Record
from services.runtime.tables import Table
from services.runtime.worker import Worker
from tests.integration.fates import WORDS, Bench, Embedder, Fate, Model
from tests.integration.running import open_log, publish

KINDS = load_kinds()
PROMPTS = prompts_of(services.reward_filtering)
STRATA = ("r00", "r01")
DATASET = "d"


class Way:
    """The way out to the log, fenced where verdicts are concerned."""

    def __init__(self, log: Log, fate: Fate) -> None:
        self._log = log
        self._fate = fate
        self.epochs: dict[int, int] = {}
        """By partition: the offset of our marker in the log of verdicts."""
        self.journalled = 0
        """Answers of which it is known that they are in the log."""

    async def take(self) -> None:
        """Own every partition of the verdicts."""
        places = range(self._log.partitions)
        markers = [marker(SAMPLES_JUDGED.name, part) for part in places]
        await self._log.publish(markers)
        for record, part in zip(markers, places, strict=True):
            found = await self._log.read(SAMPLES_JUDGED.name, part, 0, -1)
            self.epochs[part] = next(d.offset for d in found if d.value == record.value)

    def _stamped(self, record: Record) -> Record:
        if record.topic != SAMPLES_JUDGED.name:
            return record
        part = self._log.partition(record.partition_key or record.key)
        return replace(record, headers={**record.headers, EPOCH: str(self.epochs[part])})

    async def publish(self, records: Sequence[Record]) -> None:
        if not records:
            return
        stamped = [self._stamped(record) for record in records]
        await self._fate.reach()
        if len(stamped) > 1:
            await self._log.publish(stamped[:1])
            await self._fate.reach()
            await self._log.publish(stamped[1:])
        else:
            await self._log.publish(stamped)
        self.journalled += sum(r.topic == MODEL_ANSWERS.name and bool(r.value) for r in records)
        await self._fate.reach()


class Source:
    """Candidates as the log delivers them; commits may be cut off."""

    def __init__(self, consumer: LogConsumer, fate: Fate) -> None:
        self._consumer = consumer
        self._fate = fate

    async def poll(self, limit: int, wait: bool = True) -> list[Delivery]:
        return await self._consumer.poll(limit, wait)

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        await self._fate.reach()
        await self._consumer.commit(offsets)
        await self._fate.reach()


class MortalTable(Table):
    """A table whose writer may die at an append."""

    fate: Fate

    def append(
        self,
        rows: Sequence[Mapping[str, object]],
        offsets: Mapping[str, int],
        *,
        force: bool = False,
    ) -> int:
        self.fate.point()
        version = super().append(rows, offsets, force=force)
        self.fate.point()
        return version


@dataclass
class Life:
    """One process of the filter."""

    log: Log
    fate: Fate
    way: Way
    filtering: Filtering
    consumer: FilteringConsumer
    worker: Worker

    async def work(self) -> None:
        """Handle everything there is, message by message; raises DeadError when it dies."""
        while await self.worker.step():
            pass


@dataclass
class World:
    """What outlives the processes: the log, the tables, and what was paid."""

    folder: Path
    kind: str
    paid: Counter[str] = field(default_factory=Counter)

    def open(self) -> Log:
        return open_log(self.folder / "log.db")

    async def begin(self, candidates: Sequence[InstructionGenerated], granted: int) -> None:
        """Write an order and its candidates."""
        log = self.open()
        asked = tuple(dict.fromkeys(each.requirement for each in candidates))
        grants = tuple(Grant(stratum, granted) for stratum in STRATA)
        order = DatasetDeclared(DATASET, self.kind, 99, "", asked, spec(self.kind), grants)
        await publish(log, DATASETS, DATASET, order)
        sent = [
            codec.to_record(INSTRUCTIONS_GENERATED, f"{DATASET}/{each.stratum}", each)
            for each in candidates
        ]
        await log.publish(sent)
        await log.close()

    def copy(self, folder: Path) -> "World":
        """Return another world that has begun in the same way."""
        folder.mkdir(parents=True)
        shutil.copy(self.folder / "log.db", folder / "log.db")
        return World(folder, self.kind)

    async def start(self, log: Log, fate: Fate) -> Life:
        """Start a process that takes over what the log holds, as `__main__` has it."""
        way = Way(log, fate)
        await way.take()
        model = Model(self.kind, fate, self.paid)
        journal = ModelJournal(MODEL_ANSWERS.name, model, way)
        journal.restore(await log.history(MODEL_ANSWERS.name))

        async def open_sandbox() -> Bench:
            return Bench(fate)

        filtering = Filtering(
            journal,
            Embedder(fate),
            PROMPTS,
            KINDS,
            clock=lambda: 0.0,
            workbench=Workbench(open_sandbox=open_sandbox),
        )
        consumer = FilteringConsumer(filtering, way)
        valid = Fence().filtered(await log.history(SAMPLES_JUDGED.name))
        consumer.restore(await log.history(DATASETS.name), valid)
        routes = consumer.routes()
        source = Source(log.consumer("filter", [route.topic for route in routes]), fate)
        worker = Worker("filter", source, routes, DeadLetterTopic(log, Metrics()))
        return Life(log, fate, way, filtering, consumer, worker)

    @asynccontextmanager
    async def life(self, fate: Fate, beside: Life | None = None) -> AsyncIterator[Life]:
        """A process over the log; leaving it is its end, of all that it had in work as well.

        One that lives `beside` another has its log: the file is for one of them.
        """
        log = beside.log if beside else self.open()
        others = asyncio.all_tasks()
        try:
            yield await self.start(log, fate)
        finally:
            left = {t for t in asyncio.all_tasks() - others if t.get_name() != "log-flush"}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            if beside is None:
                await log.close()

    async def look(self) -> "Seen":
        """Return what is in the log."""
        log = self.open()
        try:
            return await seen(log)
        finally:
            await log.close()

    async def deliver(self, fate: Fate) -> None:
        """Write the tables until all is written; raises DeadError when the writer dies."""
        log = self.open()
        fence = Fence()
        fence.filtered(await log.history(SAMPLES_JUDGED.name))

        def open_table(name: str) -> Table:
            table = MortalTable(str(self.folder / "tables" / name), SAMPLE_SCHEMA)
            table.fate = fate
            return table

        source = Source(log.consumer("dataset-writer", [SAMPLES_JUDGED.name]), fate)
        writer = DatasetWriter(source, open_table, valid=fence.valid, patient=False)
        try:
            while deliveries := await source.poll(3, wait=False):
                await writer.write(deliveries)
        finally:
            await log.close()

    def rows(self, accepted: bool) -> list[str]:
        """Return the ids in a table; none when there is no table."""
        name = DATASET if accepted else f"{REJECTED}{DATASET}"
        table = Table(str(self.folder / "tables" / name), SAMPLE_SCHEMA)
        return list(table.read(["id"])["id"].to_pylist()) if table.exists() else []


@dataclass(frozen=True)
class Seen:
    """What a log holds in the end."""

    judged: list[SampleJudged]
    """The verdicts that count."""
    answers: list[Delivery]
    letters: list[Delivery]


async def seen(log: Log) -> Seen:
    """Return what is in a log."""
    valid = Fence().filtered(await log.history(SAMPLES_JUDGED.name))
    answers = await log.history(MODEL_ANSWERS.name)
    letters = await log.history(DEAD_LETTERS.name)
    return Seen([codec.from_delivery(delivery) for delivery in valid], answers, letters)


def spec(kind: str) -> FilterSpec:
    """The kind's own filter, with fewer calls."""
    return replace(
        KINDS[kind].filter,
        responses=2,
        student_responses=2,
        rollouts=4,
        screening_rollouts=2,
        max_turns=3,
        min_response_words=1,
    )


def candidates(kind: str, each: int) -> list[InstructionGenerated]:
    """Candidates of two strata, in turns; of each the last but one is no request, the last a copy.

    They are made of words that they do not share, so that none is near another by chance.
    """
    rng = Random(kind)
    pool = iter(rng.sample(WORDS, len(WORDS)))
    style = "plain" if kind != "safety" else "harmful, asked straight"
    made = []
    for number in range(each):
        for stratum in STRATA:
            first, *others = (next(pool) for _ in range(6))
            text = f"How do I mend the {first} with {' '.join(others)} {number}?"
            if kind == "safety" and number % 2:
                style = "benign look-alike"
            asked = Requirement(f"q{number}", "advice", 1, style)
            origin = Provenance("s", "g", "a", persona="Mina bakes bread.")
            made.append(
                InstructionGenerated(
                    f"{stratum}-c{number}", DATASET, stratum, kind, asked, text, origin
                )
            )
    for stratum in STRATA:
        twin = next(c for c in made if c.stratum == stratum)
        made.append(replace(twin, candidate_id=f"{stratum}-refused", instruction="Why though?"))
        made.append(replace(twin, candidate_id=f"{stratum}-copy"))
    return made
