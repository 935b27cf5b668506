"""Composition root: `python -m services.agent_state`, or `matrix serve agent-state`."""

import sys
from pathlib import Path

from matrix.agent_state.v1.service_pb2 import DESCRIPTOR
from matrix.agent_state.v1.service_pb2_grpc import add_AgentStateServiceServicer_to_server

from services.agent_state.application import Society
from services.agent_state.codec import GROUP_STATE
from services.agent_state.consumer import SocietyConsumer
from services.agent_state.decisions import Decisions
from services.agent_state.importing import Importer
from services.agent_state.intake import SocietyImport
from services.agent_state.joining import Joining
from services.agent_state.population_control import TARGET, PopulationControl
from services.agent_state.queries import (
    ActionFeed,
    PopulationQueries,
    SocietyQueries,
    WatchedAction,
)
from services.agent_state.roster import GroupListing
from services.agent_state.servicer import PERMISSIONS, AgentStateServicer
from services.events import topics as t
from services.events.dead_letters import DeadLetterTopic
from services.runtime.backbone import Backbone
from services.runtime.grpc_server import Served
from services.runtime.journal import ModelJournal
from services.runtime.keeping import Restoring, keeper
from services.runtime.prompts import load_prompts
from services.runtime.resting import AWAKE_GROUPS
from services.runtime.service import Composed, Membership, main
from services.runtime.state import Changelog
from services.runtime.streams import Fanout
from services.runtime.worker import Worker

NAME = "agent_state"


def compose(backbone: Backbone) -> Composed:
    """Put the service together."""
    prompts = load_prompts(Path(__file__).parent / "prompts")
    ownership = backbone.ownership(
        NAME,
        t.OBSERVATIONS_DELIVERED.name,
        fenced=[t.AGENTS.name],
        restored=[t.AGENT_STATE_ANSWERS.name],
        compacted=[t.AGENTS.name],
    )
    journal = backbone.journal(t.AGENT_STATE_ANSWERS.name, ownership)
    groups = Changelog(t.AGENTS.name, GROUP_STATE, ownership, AWAKE_GROUPS)
    society = Society(groups, journal, backbone.models, prompts, backbone.metrics.society)
    letters = DeadLetterTopic(backbone.publisher, backbone.metrics)
    worker = Worker(
        NAME,
        ownership.member,
        SocietyConsumer(society, ownership).routes(),
        letters,
        backbone.settings.max_pending,
        supervised=True,
        metrics=backbone.metrics.kafka,
    )
    population = PopulationQueries()
    # Nobody owns an import: its answers are of use to the replica that makes it, and to no other.
    rewriting = ModelJournal(t.MODEL_ANSWERS.name, backbone.models, backbone.publisher)
    importer = Importer(rewriting, backbone.models, prompts)
    queries = SocietyQueries(groups)
    listing = GroupListing(queries, population, backbone.peers)
    decisions = Decisions(population.decisions, backbone.publisher, listing.roster)
    importing = SocietyImport(
        importer,
        Joining(importer, decisions),
        backbone.publisher,
        lambda: population.society,
        backbone.clock,
    )
    control = PopulationControl(
        population,
        backbone.models if backbone.settings.population_control else None,
        ownership,
        lambda: ownership.owns(TARGET),
        backbone.metrics,
        backbone.clock,
    )
    actions: Fanout[WatchedAction] = Fanout()
    servicer = AgentStateServicer(
        queries,
        population,
        importing,
        backbone.publisher,
        actions,
        backbone.peers,
        backbone.clock,
    )
    name = DESCRIPTOR.services_by_name["AgentStateService"].full_name
    partitions = backbone.settings.kafka.partitions
    return Composed(
        memberships=[
            Membership(
                ownership,
                worker,
                keeper(groups, journal, ["step"], partitions, Restoring(NAME, letters)),
            )
        ],
        served=[Served(add_AgentStateServiceServicer_to_server, servicer, name)],
        streams=[actions],
        permissions=PERMISSIONS,
        topics=[
            topic.name
            for topic in (
                t.OBSERVATIONS_DELIVERED,
                t.AGENTS_ACTED,
                t.AGENTS,
                t.AGENT_STATE_ANSWERS,
                t.MODEL_ANSWERS,
                t.POPULATION,
                t.DEAD_LETTERS,
            )
        ],
        broadcasts=population.broadcasts(),
        feeds=ActionFeed(actions.publish).broadcasts(),
        background=[control.run],
    )


if __name__ == "__main__":
    sys.exit(main(NAME, compose))
