from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.local.log import Log
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.endpoints import Endpoint
from services.runtime.errors import NotOwner, Rejected, Retryable
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import ChatAnswer, ChatRequest, Message, Role

TOPIC = "matrix.model-answers.v1"
ROLES: tuple[Role, ...] = ("simulator", "teacher", "student", "reward", "embedding")
REQUEST = ChatRequest((Message("user", "Is a pear a fruit? Yes or No."),), 8, top_logprobs=3)


@dataclass
class Desk:
    """A model, and a log that journals live in."""

    log: Log
    models: HttpModels
    simulator: Simulator

    async def journal(self, seeded: bool = False) -> ModelJournal:
        """Return the journal of a process that starts now."""
        journal = ModelJournal(TOPIC, self.models, self.log, seeded)
        journal.restore(await self.log.history(TOPIC))
        return journal


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = Log(tmp_path / "log.db", compacted={TOPIC})
    simulator = Simulator(SimulatorSettings(max_model_len=64))
    endpoint = Endpoint(await simulator.start(), "simulated")
    calls = CallSettings(patience_seconds=0.0)
    async with HttpModels(dict.fromkeys(ROLES, endpoint), ModelMetrics(), 8, calls) as models:
        yield Desk(log, models, simulator)
    await simulator.stop()
    await log.close()


async def ask(unit: UnitOfWork, call: str, request: ChatRequest = REQUEST) -> ChatAnswer:
    return await unit.chat(call, "reward", "judge", request)


async def test_a_repeated_unit_finds_its_answers_and_asks_only_what_is_new(desk: Desk) -> None:
    journal = await desk.journal()
    answers = [await ask(journal.unit("step/g/1", "g"), call) for call in ("a", "b", "a", "b")]
    assert answers[:2] == answers[2:]
    assert answers[0].completions[0].first_token_logprobs
    assert desk.simulator.calls == 2
    await ask(journal.unit("step/g/1", "g"), "c")
    await ask(journal.unit("step/g/11", "g"), "a")
    assert desk.simulator.calls == 4


async def test_a_unit_that_a_crash_broke_off_goes_on_after_a_restart(desk: Desk) -> None:
    before = await ask((await desk.journal()).unit("step/g/1", "g"), "a")
    restarted = (await desk.journal()).unit("step/g/1", "g")
    assert await ask(restarted, "a") == before
    assert desk.simulator.calls == 1
    await ask(restarted, "b")
    again = (await desk.journal()).unit("step/g/1", "g")
    assert [await ask(again, "a"), await ask(again, "b")] == [before, await ask(restarted, "b")]
    assert desk.simulator.calls == 2


async def test_an_answer_is_used_only_once_it_is_in_the_log(desk: Desk, tmp_path: Path) -> None:
    closed = Log(tmp_path / "closed.db", compacted={TOPIC})
    await closed.close()
    unit = ModelJournal(TOPIC, desk.models, closed).unit("step/g/1", "g")
    for asked in (1, 2):
        with pytest.raises(RuntimeError):
            await ask(unit, "a")
        assert desk.simulator.calls == asked


async def test_forgotten_answers_are_gone_in_this_process_and_in_the_next(desk: Desk) -> None:
    journal = await desk.journal()
    done, other = journal.unit("step/g/1", "g"), journal.unit("step/g/11", "g")
    for unit in (done, other):
        await ask(unit, "a")
    await ask(done, "b")
    await desk.log.publish(done.forget())
    assert len(await desk.log.history(TOPIC)) == 1
    assert done.forget() == []
    for round_, current in enumerate((journal, await desk.journal())):
        await ask(current.unit("step/g/11", "g"), "a")
        assert desk.simulator.calls == 3 + round_
        again = current.unit("step/g/1", "g")
        await ask(again, "a")
        assert desk.simulator.calls == 4 + round_
        await desk.log.publish(again.forget())


async def test_a_log_that_is_not_compacted_yet_restores_the_same(
    desk: Desk, tmp_path: Path
) -> None:
    log = Log(tmp_path / "whole.db", compacted=())
    journal = ModelJournal(TOPIC, desk.models, log)
    for name in ("step/g/1", "step/g/2"):
        await ask(journal.unit(name, "g"), "a")
    await log.publish(journal.unit("step/g/1", "g").forget())
    history = await log.history(TOPIC)
    assert len(history) == 3
    restored = ModelJournal(TOPIC, desk.models, log)
    restored.restore(history)
    await ask(restored.unit("step/g/2", "g"), "a")
    assert desk.simulator.calls == 2
    await ask(restored.unit("step/g/1", "g"), "a")
    assert desk.simulator.calls == 3
    await log.close()


async def test_answers_and_their_tombstones_lie_where_their_unit_belongs(desk: Desk) -> None:
    unit = (await desk.journal()).unit("step/g/1", "g")
    for call in ("a", "b", "c"):
        await ask(unit, call)
    history = await desk.log.history(TOPIC)
    assert {delivery.partition for delivery in history} == {desk.log.partition("g")}
    tombstones = unit.forget()
    assert {record.partition_key for record in tombstones} == {"g"}
    assert {record.key for record in tombstones} == {delivery.key for delivery in history}
    assert {record.value for record in tombstones} == {b""}


async def test_a_failure_is_no_answer_and_is_not_kept(desk: Desk) -> None:
    unit = (await desk.journal()).unit("step/g/1", "g")
    too_long = ChatRequest((Message("user", "pear " * 99),), 8)
    for _ in range(2):
        with pytest.raises(Rejected):
            await ask(unit, "a", too_long)
    await desk.simulator.stop()
    with pytest.raises(Retryable):
        await ask(unit, "a")
    assert await desk.log.history(TOPIC) == []
    assert unit.forget() == []


async def test_no_model_is_asked_for_a_unit_that_is_somebody_elses(desk: Desk) -> None:
    async def certain(partition_key: str) -> None:
        if partition_key != "mine":
            raise NotOwner(f"{partition_key} is another replica's now")

    journal = ModelJournal(TOPIC, desk.models, desk.log, certain=certain)
    with pytest.raises(NotOwner):
        await ask(journal.unit("step/g/1", "theirs"), "a")
    assert desk.simulator.calls == 0
    await ask(journal.unit("step/h/1", "mine"), "a")
    assert desk.simulator.calls == 1


async def test_seeded_calls_differ_from_each_other_and_come_out_the_same_again(
    desk: Desk,
) -> None:
    request = ChatRequest((Message("user", "Name three colours."),), 20, temperature=1.0)
    answers = []
    for seeded in (True, True, False):
        unit = (await desk.journal(seeded)).unit("step/g/1", "g")
        answers.append([await ask(unit, call, request) for call in ("a", "b")])
        await desk.log.publish(unit.forget())
    assert desk.simulator.calls == 6
    assert answers[0] == answers[1]
    assert answers[0][0].completions != answers[0][1].completions
    # The simulated model gives equal requests without a seed equal answers.
    assert answers[2][0].completions == answers[2][1].completions
