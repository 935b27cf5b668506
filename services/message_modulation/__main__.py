"""Composition root: `python -m services.message_modulation`, or `matrix serve ...`."""

import sys
from pathlib import Path

from matrix.message_modulation.v1.service_pb2 import DESCRIPTOR
from matrix.message_modulation.v1.service_pb2_grpc import (
    add_MessageModulationServiceServicer_to_server,
)

from services.events import topics as t
from services.events.dead_letters import DeadLetterTopic
from services.message_modulation.application import Modulation
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.consumer import ModulationConsumer
from services.message_modulation.queries import MessageFeed, ModulationQueries, WatchedMessage
from services.message_modulation.routing import Router
from services.message_modulation.servicer import PERMISSIONS, MessageModulationServicer
from services.runtime.backbone import Backbone
from services.runtime.grpc_server import Served
from services.runtime.keeping import Restoring, keeper
from services.runtime.prompts import load_prompts
from services.runtime.resting import AWAKE_GROUPS
from services.runtime.service import Composed, Membership, main
from services.runtime.state import Changelog
from services.runtime.streams import Fanout
from services.runtime.worker import Worker

NAME = "message_modulation"


def compose(backbone: Backbone) -> Composed:
    """Put the service together."""
    prompts = load_prompts(Path(__file__).parent / "prompts")
    ownership = backbone.ownership(
        NAME,
        t.AGENTS_ACTED.name,
        fenced=[t.GROUPS.name],
        restored=[t.MESSAGE_MODULATION_ANSWERS.name],
        compacted=[t.GROUPS.name],
    )
    journal = backbone.journal(t.MESSAGE_MODULATION_ANSWERS.name, ownership)
    groups = Changelog(t.GROUPS.name, MODULATOR_STATE, ownership, AWAKE_GROUPS)
    router = Router(prompts, backbone.settings.communication)
    modulation = Modulation(groups, journal, router, backbone.metrics.society)
    consumer = ModulationConsumer(modulation, ownership)
    letters = DeadLetterTopic(backbone.publisher, backbone.metrics)
    worker = Worker(
        NAME,
        ownership.member,
        consumer.routes(),
        letters,
        backbone.settings.max_pending,
        supervised=True,
        metrics=backbone.metrics.kafka,
    )

    async def release_parked(partition: int) -> None:
        # While nobody owned them, what is wanted may have changed.
        await consumer.release_parked()

    messages: Fanout[WatchedMessage] = Fanout()
    queries = ModulationQueries(groups, router, backbone.models)
    servicer = MessageModulationServicer(queries, messages, backbone.peers)
    partitions = backbone.settings.kafka.partitions
    name = DESCRIPTOR.services_by_name["MessageModulationService"].full_name
    return Composed(
        memberships=[
            Membership(
                ownership,
                worker,
                keeper(
                    groups,
                    journal,
                    ["route", "wake"],
                    partitions,
                    Restoring(NAME, letters),
                    release_parked,
                ),
            )
        ],
        served=[Served(add_MessageModulationServiceServicer_to_server, servicer, name)],
        streams=[messages],
        permissions=PERMISSIONS,
        topics=[
            topic.name
            for topic in (
                t.AGENTS_ACTED,
                t.OBSERVATIONS_DELIVERED,
                t.STEP_COMPLETED,
                t.GROUPS,
                t.MESSAGE_MODULATION_ANSWERS,
                t.POPULATION,
                t.DEAD_LETTERS,
            )
        ],
        broadcasts=consumer.broadcasts(),
        feeds=MessageFeed(messages.publish).broadcasts(),
    )


if __name__ == "__main__":
    sys.exit(main(NAME, compose))
