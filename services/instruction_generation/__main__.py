"""Composition root: `python -m services.instruction_generation`, or `matrix serve ...`."""

import asyncio
import sys

import structlog
from matrix.instruction_generation.v1.service_pb2_grpc import (
    add_InstructionGenerationServiceServicer_to_server,
)

from services.events import topics as t
from services.events.dead_letters import DeadLetterTopic
from services.instruction_generation.application import Generation
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.consumer import GenerationConsumer
from services.instruction_generation.keeping import ClaimsKeeping
from services.instruction_generation.planner import Planner
from services.instruction_generation.queries import DatasetQueries, Previews
from services.instruction_generation.servicer import NAME as SERVICE
from services.instruction_generation.servicer import PERMISSIONS, InstructionGenerationServicer
from services.kinds import load_kinds
from services.runtime.backbone import Backbone
from services.runtime.errors import Retryable
from services.runtime.grpc_server import Served
from services.runtime.keeping import Restoring
from services.runtime.ownership import Keeper
from services.runtime.ports import Delivery
from services.runtime.service import Composed, Membership, main
from services.runtime.state import Changelog
from services.runtime.worker import Route, Worker

NAME = "instruction_generation"
HANDS = 256
"""Candidates whose instruction is made at once."""
TICK_SECONDS = 1.0
_log = structlog.get_logger(__name__)


def compose(backbone: Backbone) -> Composed:
    """Put the service together."""
    settings, kinds = backbone.settings, load_kinds()
    ownership = backbone.ownership(
        NAME,
        t.SAMPLES_JUDGED.name,
        fenced=[t.CANDIDATES.name, t.DATASETS.name],
        restored=[t.INSTRUCTION_GENERATION_ANSWERS.name],
        compacted=[t.CANDIDATES.name, t.DATASETS.name],
    )
    journal = backbone.journal(t.INSTRUCTION_GENERATION_ANSWERS.name, ownership)
    planner = Planner(
        Changelog(t.CANDIDATES.name, GROUP_CLAIMS, ownership),
        backbone.models,
        ownership.owns,
        settings.reuse_after_seconds,
    )
    consumer = GenerationConsumer(
        Generation(planner, kinds, journal, backbone.clock),
        ownership,
        supervised=True,
        metrics=backbone.metrics.line,
    )
    letters = DeadLetterTopic(backbone.publisher, backbone.metrics)
    keeping = ClaimsKeeping(consumer, journal, t.CANDIDATES.name, Restoring(NAME, letters))

    async def on_verdict(delivery: Delivery) -> None:
        if await backbone.followed.counts(delivery):
            await consumer.on_verdict(delivery)

    worker = Worker(
        NAME,
        ownership.member,
        [Route(t.SAMPLES_JUDGED.name, on_verdict, traced=False)],
        letters,
        settings.max_pending,
        supervised=True,
        metrics=backbone.metrics.kafka,
    )

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await consumer.tick()
            except Retryable as error:
                _log.warning("planning is put off", reason=str(error))

    async def work_off() -> None:
        await consumer.work(HANDS)

    servicer = InstructionGenerationServicer(
        DatasetQueries(planner),
        Previews(planner, kinds, backbone.models),
        consumer,
        kinds,
        lambda: planner.society.regions if planner.society else {},
        ownership.owns,
        backbone.peers,
        backbone.clock,
    )
    return Composed(
        memberships=[Membership(ownership, worker, Keeper(keeping.adopt, keeping.release))],
        served=[Served(add_InstructionGenerationServiceServicer_to_server, servicer, SERVICE)],
        permissions=PERMISSIONS,
        topics=[
            topic.name
            for topic in (
                t.INSTRUCTIONS_GENERATED,
                t.SAMPLES_JUDGED,
                t.SCENARIOS_EXTRACTED,
                t.DATASETS,
                t.POPULATION,
                t.CANDIDATES,
                t.INSTRUCTION_GENERATION_ANSWERS,
                t.DEAD_LETTERS,
            )
        ],
        broadcasts=consumer.broadcasts(),
        background=[tick, work_off],
    )


if __name__ == "__main__":
    sys.exit(main(NAME, compose))
