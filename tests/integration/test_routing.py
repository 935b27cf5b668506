"""Routing over the log and a simulated model: who hears of an action, and what is remembered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from services.agent_state.domain import newborn
from services.agent_state.importing import Importer
from services.agent_state.profiles import Profile
from services.events import AgentsActed
from services.events.topics import (
    MODEL_ANSWERS,
    OBSERVATIONS_DELIVERED,
    STEP_COMPLETED,
)
from services.local.log import Log
from services.message_modulation.domain import MEMORY_KEPT, NEWS_KEPT, Communication
from services.runtime.ports import Record
from tests.integration.modulating import GROUP, SALE, WANTED, acted, forwarded, news, place, running
from tests.integration.running import events, open_log, publish


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    await publish(opened, *place(WANTED), WANTED)
    yield opened
    await opened.close()


async def test_an_action_reaches_exactly_those_whom_the_model_names(log: Log) -> None:
    async with running(log) as now:
        await now.handle(acted(0, SALE, "counts the flour.", "mends a net."))
        (step,) = await events(log, STEP_COMPLETED)
        (token,) = await events(log, OBSERVATIONS_DELIVERED)
        for routed in step.actions:
            others = now.named("people", routed.action.text) - {routed.action.agent_id}
            assert set(routed.aware_agent_ids) == others
            assert set(routed.aware_group_ids) == now.named("groups", routed.action.text)
    heard = {(i.agent_id, o.message_id) for i in token.inboxes for o in i.observations}
    assert heard == {(a, r.action.action_id) for r in step.actions for a in r.aware_agent_ids}
    messages = await forwarded(log)
    sent = {(m.group_id, o.message_id) for m in messages for o in m.observations}
    assert sent == {(g, r.action.action_id) for r in step.actions for g in r.aware_group_ids}
    assert heard
    assert sent


async def test_a_number_off_the_list_is_dropped_and_the_others_count(
    tmp_path: Path, log: Log
) -> None:
    async with running(log) as now:
        await now.modulation.route_step(acted(0, SALE))
        answers = await log.history(MODEL_ANSWERS.name)
    # As of a server that does not hold answers to their schema; they are in the journal already.
    strays = []
    for answer in answers:
        fields = orjson.loads(answer.value)
        fields["completions"][0]["text"] = (
            '{"aware": [99, 0, -1, true, "3", 4, 4, 9], "groups": [-1, 4, 99, "5", 4]}'
        )
        strays.append(Record(answer.topic, answer.key, orjson.dumps(fields)))
    other = open_log(tmp_path / "other.db")
    await other.publish(strays)
    async with running(other) as now:
        await now.handle(acted(0, SALE))
        assert now.process.calls == 0
    (step,) = await events(other, STEP_COMPLETED)
    assert step.actions[0].aware_agent_ids == ("a3",)
    assert step.actions[0].aware_group_ids == ("g4",)
    await other.close()


async def test_an_unreadable_decision_is_asked_once_more_then_reaches_nobody_and_is_counted(
    log: Log,
) -> None:
    async with running(log, truncated=1.0) as now:
        await now.handle(acted(0, SALE, SALE))
        # Two actions, each twice.
        assert now.process.metrics.model.calls["simulator", "route"] == 4
        assert now.process.metrics.model.malformed["route"] == 4
    (token,) = await events(log, OBSERVATIONS_DELIVERED)
    assert token.inboxes == ()
    assert await forwarded(log) == []
    (step,) = await events(log, STEP_COMPLETED)
    assert {routed.reason for routed in step.actions} == {"no readable decision"}


async def test_a_decision_that_is_readable_the_second_time_counts(log: Log) -> None:
    alone = replace(GROUP, neighbours=())
    # Of the draws of this seed the first is below a half and the second is not.
    async with running(log, truncated=0.5, seed=1) as now:
        await now.handle(acted(0, SALE, group=alone))
        assert now.process.metrics.model.calls["simulator", "route"] == 2
        assert now.process.metrics.model.malformed["route"] == 1
        (step,) = await events(log, STEP_COMPLETED)
        assert set(step.actions[0].aware_agent_ids) == now.named("people", SALE) - {"a0"}


async def test_broken_bodies_and_busy_servers_change_no_decision(tmp_path: Path, log: Log) -> None:
    other = open_log(tmp_path / "other.db")
    async with running(log) as now, running(other, garbage=0.3, error_503=0.3) as troubled:
        await now.handle(acted(0, *[SALE] * 4))
        await troubled.handle(acted(0, *[SALE] * 4))
        assert troubled.process.metrics.model.retries.total() > 0
        assert troubled.process.metrics.model.malformed.total() == 0
    assert await events(other, STEP_COMPLETED) == await events(log, STEP_COMPLETED)
    await other.close()


async def test_an_implausible_action_is_recorded_and_goes_no_further(log: Log) -> None:
    wrong = "sells bread and cloth that contradicts all that happened at the market."
    async with running(log) as now:
        await now.handle(acted(0, SALE), acted(1, SALE, wrong, SALE, SALE), acted(2, "sweeps."))
        memory = now.state().memory
    step = (await events(log, STEP_COMPLETED))[1]
    dropped = step.actions[1]
    assert not dropped.plausible
    assert (dropped.aware_agent_ids, dropped.aware_group_ids) == ((), ())
    assert any(routed.plausible for routed in step.actions)
    assert now.process.metrics.society.implausible == sum(not r.plausible for r in step.actions)
    tokens = await events(log, OBSERVATIONS_DELIVERED)
    messages = await forwarded(log)
    inboxes = [inbox for token in tokens for inbox in token.inboxes]
    heard = [o.text for source in (*inboxes, *messages) for o in source.observations]
    assert SALE in heard
    assert wrong not in heard
    assert any(SALE in event for event in memory)
    assert not any(wrong in event for event in memory)
    asked = [call.prompts[0] for call in now.process.chat.log if "plausible" in call.prompts[0]]
    assert not any(f"- {wrong}" in prompt for prompt in asked)


async def test_no_more_than_the_eight_nearest_groups_are_candidates(log: Log) -> None:
    jobs = ("baker", "tailor", "nurse", "welder", "farmer")
    profiles = [
        Profile(f"p{n}", f"Ada {n}", f"Ada is a {jobs[n % 5]} of quarter {n % 7}.", synthetic=True)
        for n in range(75)
    ]
    async with running(log) as now:
        importer = Importer(now.process.journal, now.process.models, {})
        society, _ = await importer.society(profiles, 0, 0, "")
        assert len(society.groups) > 9
        for state in society.groups:
            cards = tuple(newborn(newcomer).card() for newcomer in state.newcomers)
            await now.handle(AgentsActed(state.group, 0, cards, acted(0, SALE).actions[:1], 1))
        asked = [c.prompts[0] for c in now.process.chat.log if "<groups>" in c.prompts[0]]
    lists = [prompt.split("<groups>")[1].split("</groups>")[0] for prompt in asked]
    assert [len(text.strip().splitlines()) for text in lists] == [8] * len(society.groups)


async def test_an_action_goes_to_two_other_groups_at_most_whatever_the_model_says(
    tmp_path: Path, log: Log
) -> None:
    async with running(log) as now:
        await now.modulation.route_step(acted(0, SALE))
        (answer,) = await log.history(MODEL_ANSWERS.name)
    fields = orjson.loads(answer.value)
    fields["completions"][0]["text"] = '{"aware": [], "groups": [8, 7, 6, 5, 4, 3, 2, 1]}'
    other = open_log(tmp_path / "other.db")
    await other.publish([Record(answer.topic, answer.key, orjson.dumps(fields))])
    async with running(other) as now:
        await now.handle(acted(0, SALE))
    (step,) = await events(other, STEP_COMPLETED)
    assert step.actions[0].aware_group_ids == ("g1", "g2")
    await other.close()


async def test_a_group_attends_to_the_newest_messages_only(log: Log) -> None:
    async with running(log) as now:
        for step in range(NEWS_KEPT + 3):
            await now.handle(news(step, f"{SALE} Stall {step}."))
        kept = [o.text for o in now.state().arrived]
    assert kept == [f"{SALE} Stall {step}." for step in range(3, NEWS_KEPT + 3)]


async def test_memory_is_bounded_and_its_older_half_summarised(log: Log) -> None:
    async with running(log) as now:
        for step in range(8):
            await now.handle(acted(step, *(f"sells loaf {step}-{n}." for n in range(4))))
            assert len(now.state().memory) <= MEMORY_KEPT
        assert now.state().summary
        asked = [call.prompts[0] for call in now.process.chat.log]
        told = [*now.state().memory, *(p for p in asked if "keep the chronicle" in p)]
    for routed in (action for step in await events(log, STEP_COMPLETED) for action in step.actions):
        assert any(routed.action.text in text for text in told) is routed.plausible


@pytest.mark.parametrize("communication", ["random", "none"])
async def test_random_and_no_communication_ask_nobody_who_hears(
    log: Log, communication: Communication
) -> None:
    async with running(log, communication) as now:
        for step in range(6):
            await now.handle(news(step, SALE), acted(step, *[SALE] * 4))
        asked = [call.prompts[0] for call in now.process.chat.log]
    # Whether an action can happen is asked all the same.
    assert not any("<people>" in prompt or "<groups>" in prompt for prompt in asked)
    steps = await events(log, STEP_COMPLETED)
    reached = [a for step in steps for r in step.actions for a in r.aware_agent_ids]
    sent = await forwarded(log)
    assert bool(reached) is bool(sent) is (communication == "random")
    assert len(reached) < 6 * 4 * 3
