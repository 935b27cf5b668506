"""Replicas of RewardFilteringService on real servers, over a log and simulated models."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from matrix.reward_filtering.v1.service_pb2_grpc import (
    add_RewardFilteringServiceServicer_to_server,
)

import services.reward_filtering
from services.events import ChatMessage, Provenance, Requirement, SampleJudged, Usage
from services.events.topics import SAMPLES_JUDGED
from services.kinds import load_kinds
from services.local.composition import prompts_of
from services.reward_filtering.export_stream import Exports
from services.reward_filtering.queries import VerdictIndex
from services.reward_filtering.report_stream import Reports
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.servicer import NAME, RewardFilteringServicer
from services.reward_filtering.trial import Trials
from services.reward_filtering.writer import DatasetWriter
from services.runtime.answering import Replicas
from services.runtime.ids import derived_id
from services.runtime.ports import Delivery
from services.runtime.streams import Fanout
from services.runtime.tables import Table
from tests.integration.rpc import (
    replicas,
)
from tests.integration.running import Process, open_log, process, publish, work


def judged(number: int, dataset: str = "d", accepted: bool = True) -> SampleJudged:
    return SampleJudged(
        sample_id=derived_id("sample", dataset, number),
        dataset=dataset,
        stratum=f"r{number % 3:02}",
        kind="sft",
        requirement=Requirement("r1", "make a plan", 1, "short command"),
        accepted=accepted,
        reason="" if accepted else ("length", "refusal")[number % 2],
        stage="response",
        messages=(ChatMessage("user", f"Question {number}?"), ChatMessage("assistant", "Yes.")),
        provenance=Provenance("s", "g", "a", ("a", "b"), ("x",), "prompt", "m", "m", "m", "Ada"),
        rewards=(0.5, 1.5),
        chosen=1,
        scores={"reward_rank": 0.5},
        usage=Usage(3, 100, 20),
        created_at=1000.0 + number,
        embedding=(0.6, 0.8),
    )


class Replica:
    """What a replica of the service is made of, without its server."""

    def __init__(
        self, parts: Process, folder: Path, name: str, licences: Mapping[str, str] | None = None
    ) -> None:
        self.parts = parts
        self.licences = licences
        self.folder = folder
        self.samples: Fanout[SampleJudged] = Fanout(capacity=8)
        self.verdicts = VerdictIndex(self._read_at, self.samples.publish)
        self.worker = parts.worker(name, self.verdicts.broadcasts())
        self.declared = {"declared"}
        self.reports = Reports()
        self.held: dict[str, Table] = {}
        """Stand in for the tables of their names."""
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)

    async def _read_at(self, partition: int, offset: int) -> Delivery:
        (delivery,) = await self.parts.log.read(SAMPLES_JUDGED.name, partition, offset, 1)
        return delivery

    def table(self, dataset: str) -> Table:
        return self.held.get(dataset) or Table(str(self.folder / "tables" / dataset), SAMPLE_SCHEMA)

    def build(self, peers: Replicas) -> RewardFilteringServicer:
        models = self.parts.models
        prompts = prompts_of(services.reward_filtering)
        return RewardFilteringServicer(
            self.verdicts,
            Trials(models, models, prompts, load_kinds(), lambda: 7.0),
            Exports(self.scratch, self.licences),
            self.reports,
            self.table,
            self.declared,
            self.samples,
            peers,
        )

    async def take_in(self, *samples: SampleJudged) -> None:
        await put(self.parts, *samples)
        await work(self.worker)

    async def deliver(self) -> None:
        """Write the tables."""
        source = self.parts.log.consumer("writer", [SAMPLES_JUDGED.name])
        await DatasetWriter(source, lambda name: str(self.folder / "tables" / name)).step()


async def put(parts: Process, *samples: SampleJudged) -> None:
    for each in samples:
        await publish(parts.log, SAMPLES_JUDGED, f"{each.dataset}/{each.stratum}", each)


@asynccontextmanager
async def serving(
    folder: Path, count: int = 1, licences: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[list[Replica], list[grpc.aio.Channel]]]:
    log = open_log(folder / "log.db")
    async with process(log) as parts:
        all_of_them = [Replica(parts, folder, f"replica {n}", licences) for n in range(count)]
        add = add_RewardFilteringServiceServicer_to_server
        async with replicas(add, NAME, *(replica.build for replica in all_of_them)) as channels:
            yield all_of_them, channels
    await log.close()
