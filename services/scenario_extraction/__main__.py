"""Composition root: `python -m services.scenario_extraction`, or `matrix serve ...`."""

import sys
from pathlib import Path

from matrix.scenario_extraction.v1.service_pb2 import DESCRIPTOR
from matrix.scenario_extraction.v1.service_pb2_grpc import (
    add_ScenarioExtractionServiceServicer_to_server,
)

from services.events import ScenarioExtracted
from services.events import topics as t
from services.events.dead_letters import DeadLetterTopic
from services.runtime.backbone import Backbone
from services.runtime.grpc_server import Served
from services.runtime.keeping import Restoring, keeper
from services.runtime.prompts import load_prompts
from services.runtime.resting import AWAKE_GROUPS
from services.runtime.service import Composed, Membership, main
from services.runtime.state import Changelog
from services.runtime.streams import Fanout
from services.runtime.worker import Worker
from services.scenario_extraction.application import Extraction
from services.scenario_extraction.codec import WINDOW_STATE
from services.scenario_extraction.consumer import ExtractionConsumer
from services.scenario_extraction.queries import ScenarioIndex, ScenarioSearch
from services.scenario_extraction.servicer import PERMISSIONS, ScenarioExtractionServicer

NAME = "scenario_extraction"


def compose(backbone: Backbone) -> Composed:
    """Put the service together."""
    prompts = load_prompts(Path(__file__).parent / "prompts")
    ownership = backbone.ownership(
        NAME,
        t.STEP_COMPLETED.name,
        fenced=[t.WINDOWS.name],
        restored=[t.SCENARIO_EXTRACTION_ANSWERS.name],
        compacted=[t.WINDOWS.name],
    )
    journal = backbone.journal(t.SCENARIO_EXTRACTION_ANSWERS.name, ownership)
    windows = Changelog(t.WINDOWS.name, WINDOW_STATE, ownership, AWAKE_GROUPS)
    extraction = Extraction(windows, journal, backbone.models, prompts, backbone.metrics.society)
    letters = DeadLetterTopic(backbone.publisher, backbone.metrics)
    worker = Worker(
        NAME,
        ownership.member,
        ExtractionConsumer(extraction, ownership).routes(),
        letters,
        backbone.settings.max_pending,
        supervised=True,
        metrics=backbone.metrics.kafka,
    )
    scenarios: Fanout[ScenarioExtracted] = Fanout()
    index = ScenarioIndex(scenarios.publish)
    search = ScenarioSearch(index, backbone.models)
    servicer = ScenarioExtractionServicer(index, search, scenarios, backbone.peers)
    name = DESCRIPTOR.services_by_name["ScenarioExtractionService"].full_name
    partitions = backbone.settings.kafka.partitions
    return Composed(
        memberships=[
            Membership(
                ownership,
                worker,
                keeper(windows, journal, ["window"], partitions, Restoring(NAME, letters)),
            )
        ],
        served=[Served(add_ScenarioExtractionServiceServicer_to_server, servicer, name)],
        streams=[scenarios],
        permissions=PERMISSIONS,
        topics=[
            topic.name
            for topic in (
                t.STEP_COMPLETED,
                t.SCENARIOS_EXTRACTED,
                t.WINDOWS,
                t.SCENARIO_EXTRACTION_ANSWERS,
                t.DEAD_LETTERS,
            )
        ],
        broadcasts=index.broadcasts(),
    )


if __name__ == "__main__":
    sys.exit(main(NAME, compose))
