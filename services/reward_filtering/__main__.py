"""Composition root: `python -m services.reward_filtering`, or `matrix serve ...`."""

import sys
from pathlib import Path

from matrix.reward_filtering.v1.service_pb2_grpc import add_RewardFilteringServiceServicer_to_server

from services.events import SampleJudged
from services.events import topics as t
from services.events.dead_letters import DeadLetterTopic
from services.kinds import load_kinds
from services.reward_filtering.application import Filtering
from services.reward_filtering.consumer import FilteringConsumer
from services.reward_filtering.contamination import benchmark_index
from services.reward_filtering.delivering import Delivering, SettledSource
from services.reward_filtering.export_stream import Exports
from services.reward_filtering.licences import read_licences
from services.reward_filtering.queries import VerdictIndex
from services.reward_filtering.report_stream import Reports
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.reward_filtering.servicer import NAME as SERVICE
from services.reward_filtering.servicer import PERMISSIONS, RewardFilteringServicer
from services.reward_filtering.trial import Trials
from services.reward_filtering.workbench import Workbench
from services.reward_filtering.writer import MEMBER, DatasetWriter
from services.runtime.backbone import Backbone
from services.runtime.grpc_server import Served
from services.runtime.keeping import Restoring
from services.runtime.object_store import delta_options, table_uri
from services.runtime.ownership import History, Keeper
from services.runtime.partitions import partition_of
from services.runtime.ports import Delivery
from services.runtime.prompts import load_prompts
from services.runtime.service import Composed, Membership, main
from services.runtime.streams import Fanout
from services.runtime.tables import Table
from services.runtime.worker import Worker

NAME = "reward_filtering"


def compose(backbone: Backbone) -> Composed:
    """Put the service together."""
    settings = backbone.settings
    prompts, kinds = load_prompts(Path(__file__).parent / "prompts"), load_kinds()
    ownership = backbone.ownership(
        NAME,
        t.INSTRUCTIONS_GENERATED.name,
        fenced=[t.SAMPLES_JUDGED.name],
        restored=[t.REWARD_FILTERING_ANSWERS.name],
    )
    journal = backbone.journal(t.REWARD_FILTERING_ANSWERS.name, ownership)
    workbench = Workbench()
    filtering = Filtering(
        journal,
        backbone.models,
        prompts,
        kinds,
        backbone.clock,
        ownership.owns,
        workbench,
        benchmarks=benchmark_index(settings.benchmarks.split(",")),
        held_out=bool(settings.models.held_out.url),
    )
    consumer = FilteringConsumer(
        filtering, ownership, metrics=backbone.metrics.line, clock=backbone.clock
    )
    letters = DeadLetterTopic(backbone.publisher, backbone.metrics)
    worker = Worker(
        NAME,
        ownership.member,
        consumer.routes(),
        letters,
        settings.max_pending,
        supervised=True,
        metrics=backbone.metrics.kafka,
    )

    restoring = Restoring(NAME, letters)

    async def adopt(partition: int, history: History) -> None:
        answers = history[t.REWARD_FILTERING_ANSWERS.name]
        journal.restore(d for d in answers if d.key.startswith("verdict/"))
        await restoring.restore(history[t.SAMPLES_JUDGED.name], consumer.adopt)
        await consumer.release_due()

    async def release(gone: set[int]) -> None:
        consumer.release(lambda key: partition_of(key, settings.kafka.partitions) in gone)
        journal.forget_partitions(gone)

    def open_table(dataset: str) -> Table:
        store = settings.object_store
        return Table(table_uri(store, dataset), SAMPLE_SCHEMA, delta_options(store))

    delivery = backbone.ownership(MEMBER, t.SAMPLES_JUDGED.name)
    writer = DatasetWriter(
        SettledSource(delivery.member, backbone.followed.counts),
        open_table,
        letters,
        backbone.followed.fence.valid,
        metrics=backbone.metrics,
        clock=backbone.clock,
    )
    delivering = Delivering(writer)

    async def read_at(partition: int, offset: int) -> Delivery:
        return await backbone.reader.at(t.SAMPLES_JUDGED.name, partition, offset)

    samples: Fanout[SampleJudged] = Fanout()
    verdicts = VerdictIndex(read_at, samples.publish)
    servicer = RewardFilteringServicer(
        verdicts,
        Trials(backbone.models, backbone.models, prompts, kinds, backbone.clock, workbench),
        Exports(licences=read_licences(settings.model_licences, "MATRIX_MODEL_LICENCES")),
        Reports(),
        open_table,
        filtering.datasets.keys(),
        samples,
        backbone.peers,
    )
    return Composed(
        memberships=[
            Membership(ownership, worker, Keeper(adopt, release)),
            Membership(delivery, delivering, Keeper(delivering.adopt, delivering.release)),
        ],
        served=[Served(add_RewardFilteringServiceServicer_to_server, servicer, SERVICE)],
        streams=[samples],
        permissions=PERMISSIONS,
        topics=[
            topic.name
            for topic in (
                t.INSTRUCTIONS_GENERATED,
                t.SAMPLES_JUDGED,
                t.DATASETS,
                t.REWARD_FILTERING_ANSWERS,
                t.DEAD_LETTERS,
            )
        ],
        broadcasts=[*consumer.broadcasts(), *verdicts.broadcasts()],
    )


if __name__ == "__main__":
    sys.exit(main(NAME, compose))
