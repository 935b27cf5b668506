"""`matrix topics`: the topics of the platform."""

import typer

from services.cli.console import output, tell
from services.events.topics import TOPICS
from services.runtime.kafka_topics import TopicSpec, create_topics
from services.runtime.settings import read_settings

topics = typer.Typer(no_args_is_help=True, help="The topics of the platform.")


@topics.command()
def create() -> None:
    """Create the topics that are missing; doing it again changes nothing.

    MATRIX_KAFKA__BOOTSTRAP_SERVERS names the broker, MATRIX_KAFKA__PARTITIONS and
    MATRIX_KAFKA__REPLICATION_FACTOR say how the topics are made. The number of partitions is fixed
    for ever, and the same for all topics.
    """
    specs = [TopicSpec(topic.name, topic.compacted, topic.kept) for topic in TOPICS]
    report = create_topics(read_settings().kafka, specs)
    for name in report.created:
        tell(f"created {name}")
    tell(f"{len(report.created)} topics created, {len(report.existing)} were there")


@topics.command("list")
def list_topics() -> None:
    """List the topics, what they carry, and how long they keep it."""
    for topic in TOPICS:
        keeps = "last of each key" if topic.compacted else "all" if topic.kept else "for a time"
        carries = ", ".join(event.__name__ for event in topic.carries) or "state of a service"
        output.print(f"{topic.name}\n  key: {topic.key}; keeps: {keeps}; carries: {carries}")
