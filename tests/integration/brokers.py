"""Topics of a test's own, and what is done with them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.local.servers.tansu import Tansu
from services.runtime.kafka_publisher import KafkaPublisher
from services.runtime.kafka_topics import TopicSpec, create_topics
from services.runtime.settings import KafkaSettings
from tests.integration.servers import fresh_name

PARTITIONS = 4


def broker(server: Tansu, session_seconds: float = 2.0) -> KafkaSettings:
    """Return how a test reaches a broker; a dead member is noticed soon."""
    return KafkaSettings(
        bootstrap_servers=server.bootstrap_servers,
        partitions=PARTITIONS,
        session_timeout_seconds=session_seconds,
    )


async def fresh_topics(settings: KafkaSettings, *names: str) -> list[str]:
    """Make topics that no other test uses."""
    topics = [fresh_name(name) for name in names]
    await asyncio.to_thread(create_topics, settings, [TopicSpec(topic) for topic in topics])
    return topics


@asynccontextmanager
async def publishing(settings: KafkaSettings, *topics: str) -> AsyncIterator[KafkaPublisher]:
    """Give a publisher that is connected."""
    publisher = KafkaPublisher(settings, "test")
    await publisher.start(topics)
    try:
        yield publisher
    finally:
        await publisher.close()


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for a condition."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - conditions of all kinds
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it did not come: {what}") from None
