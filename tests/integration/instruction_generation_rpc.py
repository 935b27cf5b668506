"""Replicas of InstructionGenerationService on real servers, over a log and simulated models."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from matrix.instruction_generation.v1 import service_pb2 as pb
from matrix.instruction_generation.v1.service_pb2_grpc import (
    add_InstructionGenerationServiceServicer_to_server,
)

from services.events import DatasetDeclared, SocietyImported
from services.events.topics import CANDIDATES, DATASETS, POPULATION, SCENARIOS_EXTRACTED
from services.instruction_generation.application import Generation
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.consumer import GenerationConsumer
from services.instruction_generation.planner import Planner
from services.instruction_generation.queries import DatasetQueries, Previews
from services.instruction_generation.servicer import (
    NAME,
    InstructionGenerationServicer,
)
from services.runtime.answering import Replicas
from services.runtime.state import Changelog
from tests.integration.generating import KINDS, scenario
from tests.integration.rpc import replicas
from tests.integration.running import Process, events, open_log, process, publish, work

SOCIETY = SocietyImported(30, 6, {"r00": 20, "r01": 10}, 0, "test", 1.0)


def order(name: str = "d", **fields: Any) -> pb.CreateDatasetRequest:
    return pb.CreateDatasetRequest(**{"name": name, "kind": "sft", "size": 30, **fields})


class Replica:
    """What a replica of the service is made of, without its server."""

    def __init__(self, parts: Process, name: str, owns: Callable[[str], bool]) -> None:
        self.parts = parts
        self.owns = owns
        claims = Changelog(CANDIDATES.name, GROUP_CLAIMS, parts.log)
        self.planner = Planner(claims, parts.models, owns=lambda key: self.owns(key))
        generation = Generation(self.planner, KINDS, parts.journal, clock=lambda: 7.0)
        self.consumer = GenerationConsumer(generation, parts.log)
        self.worker = parts.worker(name, self.consumer.broadcasts())

    def build(self, peers: Replicas) -> InstructionGenerationServicer:
        return InstructionGenerationServicer(
            DatasetQueries(self.planner),
            Previews(self.planner, KINDS, self.parts.models),
            self.consumer,
            KINDS,
            lambda: self.planner.regions,
            lambda key: self.owns(key),
            peers,
            lambda: 7.0,
        )


@asynccontextmanager
async def serving(
    folder: Path, *owning: Callable[[str], bool], society: bool = True
) -> AsyncIterator[tuple[list[Replica], list[grpc.aio.Channel]]]:
    log = open_log(folder / "log.db")
    async with process(log) as parts:
        all_of_them = [
            Replica(parts, f"replica {number}", owns)
            for number, owns in enumerate(owning or [lambda key: True])
        ]
        if society:
            await publish(log, POPULATION, "society", SOCIETY)
        await publish(log, SCENARIOS_EXTRACTED, "group-bread", scenario("bread"))
        await caught_up(all_of_them)
        add = add_InstructionGenerationServiceServicer_to_server
        async with replicas(add, NAME, *(replica.build for replica in all_of_them)) as channels:
            yield all_of_them, channels
    await log.close()


async def caught_up(all_of_them: list[Replica]) -> None:
    for replica in all_of_them:
        await work(replica.worker)


async def orders(replica: Replica) -> list[DatasetDeclared]:
    return await events(replica.parts.log, DATASETS)


def begins_with(letter: str) -> Callable[[str], bool]:
    return lambda key: key.startswith(letter)
