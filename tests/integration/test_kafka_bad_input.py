"""What crashes those who read it must not end a service: it would be read again at each start."""

from pathlib import Path

from services.events import DeadLetter
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import AGENTS, DEAD_LETTERS
from services.local.servers.tansu import Tansu
from services.runtime.kafka_tail import KafkaTail
from services.runtime.keeping import Restoring
from services.runtime.metrics import Metrics
from services.runtime.ports import Delivery, Record
from tests.integration.brokers import broker, fresh_topics, publishing
from tests.integration.running import events, open_log
from tests.integration.test_scenarios import TEXT, running, step


async def test_a_follower_whose_handler_crashes_passes_over_the_message_and_goes_on(
    tansu_memory: Tansu,
) -> None:
    settings = broker(tansu_memory)
    (topic,) = await fresh_topics(settings, "poisoned")
    seen: list[int] = []

    async def take(delivery: Delivery) -> None:
        seen.append(1 // len(delivery.value.strip()))

    async with publishing(settings, topic) as publisher:
        await publisher.publish([Record(topic, "k", v, partition=1) for v in (b"a", b" ", b"b")])
        tail = KafkaTail(settings, "test", [topic], take)
        await tail.start()
        await tail.caught_up()
        await publisher.publish([Record(topic, "k", b"c", partition=1)])
        await tail.passed(topic, 1, 3)
        await tail.close()
    assert seen == [1, 1, 1]


async def test_a_record_that_crashes_who_takes_it_over_is_buried_and_the_others_are_taken(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path / "log.db")
    history = [Delivery(AGENTS.name, 1, n, f"g{n}", bytes([48 + n]), {}) for n in range(3)]
    taken: list[float] = []

    def take(records: list[Delivery]) -> None:
        taken.extend(1 / (int(record.value) - 1) for record in records)

    restoring = Restoring("agent_state", DeadLetterTopic(log, Metrics()))
    readable = await restoring.restore(history, take)
    assert [delivery.offset for delivery in readable] == [0, 2]
    assert taken == [-1.0, 1.0]
    (letter,) = await events(log, DEAD_LETTERS)
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.partition, letter.offset) == (AGENTS.name, 1, 1)
    assert letter.reason == "taking it over crashed: ZeroDivisionError: division by zero"
    await log.close()


async def test_a_step_far_ahead_is_buried_and_the_steps_that_follow_still_make_scenarios(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path / "log.db")
    async with running(log) as now:
        await now.handle(step(0, TEXT))
        assert await now.handle(step(2**62, TEXT), step(1, TEXT)) == []
        (scenario,) = await now.handle(step(2, TEXT))
    assert (scenario.first_step, scenario.last_step) == (0, 2)
    (letter,) = await events(log, DEAD_LETTERS)
    assert letter.reason == f"step {2**62} of group g cannot follow its step 0"
    await log.close()
