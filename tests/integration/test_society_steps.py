"""A group's steps under repeats, crashes and refusals: what an agent did is decided once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import services.agent_state
from services.agent_state.application import Society
from services.agent_state.codec import GROUP_STATE
from services.agent_state.consumer import SocietyConsumer
from services.agent_state.domain import OBSERVATIONS_HEEDED, Agent, GroupState, newborn
from services.events import (
    AgentsJoined,
    Group,
    GroupFounded,
    Inbox,
    Neighbour,
    Newcomer,
    Observation,
    ObservationsDelivered,
)
from services.events.topics import (
    AGENTS,
    AGENTS_ACTED,
    DEAD_LETTERS,
    MODEL_ANSWERS,
    OBSERVATIONS_DELIVERED,
)
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.simulator import SimulatorSettings
from services.runtime.errors import Rejected
from services.runtime.ports import Record
from services.runtime.state import Changelog
from tests.integration.running import Process, events, open_log, process, publish, work

GROUP = Group("g", "r00", "people of the market")
PEOPLE = tuple(
    Agent(f"a{n}", name, f"{job} in Porto", f"{name} is a {job} who wants a bigger shop.")
    for n, (name, job) in enumerate([("Ada", "baker"), ("Ben", "tailor"), ("Cem", "fisher")])
)
BIRTH_CALLS = 2 * len(PEOPLE)
PLAN = ("Measure the empty stall.", "Ask the guild for a loan.", "Sign for the stall.")
BORN = tuple(replace(agent, born=True, goal="To own a shop.", plan=PLAN) for agent in PEOPLE)


@dataclass
class Running:
    process: Process
    society: Society

    async def handle(self, *sent: ObservationsDelivered | GroupFounded | AgentsJoined) -> None:
        for event in sent:
            key = event.group.group_id if isinstance(event, GroupFounded) else event.group_id
            await publish(self.process.log, OBSERVATIONS_DELIVERED, key, event)
        routes = SocietyConsumer(self.society, self.process.log).routes()
        await work(self.process.worker("agent_state", routes))

    def state(self) -> GroupState:
        found = self.society.groups.get("g")
        assert found is not None
        return found


@asynccontextmanager
async def running(
    log: Log, seed: int = 0, chat_tokens: int = 8192, embedded_tokens: int = 8192
) -> AsyncIterator[Running]:
    chat = SimulatorSettings(seed=seed, max_model_len=chat_tokens)
    async with process(log, chat, SimulatorSettings(max_model_len=embedded_tokens)) as parts:
        groups = await parts.changelog(AGENTS, GROUP_STATE)
        prompts = prompts_of(services.agent_state)
        society = Society(groups, parts.journal, parts.models, prompts, parts.metrics.society)
        yield Running(parts, society)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    await settle(opened, PEOPLE)
    yield opened
    await opened.close()


async def settle(log: Log, people: tuple[Agent, ...]) -> None:
    await Changelog(AGENTS.name, GROUP_STATE, log).put("g", GroupState(GROUP, people))


def token(step: int, *inboxes: Inbox, group_id: str = "g") -> ObservationsDelivered:
    return ObservationsDelivered(group_id, step, inboxes)


def seen(number: int, text: str = "Zoe opens a stall beside yours.") -> Observation:
    return Observation(f"m{number}", "zoe", "Zoe", text)


FOUNDED = GroupFounded(
    Group("h", "r01", "people of the harbour"),
    tuple(
        Newcomer(f"h{n}", name, f"{name} of the harbour", f"{name} mends nets.", ("Bought rope.",))
        for n, name in enumerate(["Dia", "Eve"])
    ),
)


async def test_a_founded_group_is_told_to_its_modulator_and_acts_when_its_token_comes(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(FOUNDED)
        state = now.society.groups.get("h")
        assert state is not None
        assert (state.group, state.applied_step) == (FOUNDED.group, -1)
        assert state.agents == tuple(map(newborn, FOUNDED.newcomers))
        assert (now.process.metrics.society.groups, now.process.metrics.society.agents) == (2, 5)
        assert await events(log, AGENTS_ACTED) == [FOUNDED]
        # Nobody is born before the group is wanted.
        assert now.process.calls == 0
        await now.handle(token(0, group_id="h"))
    told, outcome = await events(log, AGENTS_ACTED)
    assert [action.agent_id for action in outcome.actions] == ["h0", "h1"]
    assert outcome.group == told.group


async def test_a_repeated_foundation_changes_no_agent_and_is_told_again(log: Log) -> None:
    fewer = replace(FOUNDED, newcomers=FOUNDED.newcomers[:1])
    async with running(log) as now:
        await now.handle(FOUNDED, token(0, group_id="h"))
        state = now.society.groups.get("h")
        await now.handle(FOUNDED, fewer)
        assert now.society.groups.get("h") is state
        assert now.process.metrics.society.agents == 5
    async with running(log) as restarted:
        await restarted.handle(FOUNDED)
        assert restarted.society.groups.get("h") == state
    told = [e for e in await events(log, AGENTS_ACTED) if isinstance(e, GroupFounded)]
    assert told == [FOUNDED, FOUNDED, fewer, FOUNDED]


async def test_a_crash_before_the_modulator_was_told_is_made_up_for(log: Log) -> None:
    async with running(log) as crashed:
        await crashed.society.found(FOUNDED)
        assert await events(log, AGENTS_ACTED) == []
    async with running(log) as restarted:
        await restarted.handle(FOUNDED)
    assert await events(log, AGENTS_ACTED) == [FOUNDED]


JOINED = AgentsJoined(
    "g",
    (Newcomer("n0", "Fay", "diver in Porto", "Fay dives.", ("Bought fins.",)),),
    (Neighbour("far", "people of the far side"),),
)


async def test_who_joins_is_born_at_the_next_step_and_the_modulator_is_told_before(
    log: Log,
) -> None:
    async with running(log) as now:
        await now.handle(token(0))
        before = now.state()
        await now.handle(JOINED)
        state = now.state()
        assert state.agents[:-1] == before.agents
        assert state.agents[-1] == newborn(JOINED.newcomers[0])
        assert (state.applied_step, state.outcome) == (0, before.outcome)
        assert state.group == replace(GROUP, neighbours=JOINED.neighbours)
        assert now.process.metrics.society.agents == len(PEOPLE) + 1
        born = now.process.metrics.model.calls["simulator", "birth"]
        await now.handle(token(1))
        assert now.process.metrics.model.calls["simulator", "birth"] == born + 2
    first, told, second = await events(log, AGENTS_ACTED)
    assert (first.step, told, second.step) == (0, JOINED, 1)
    assert [action.agent_id for action in second.actions] == ["a0", "a1", "a2", "n0"]
    assert second.group == replace(GROUP, neighbours=JOINED.neighbours)


async def test_a_repeated_join_changes_nothing_and_is_told_again(log: Log) -> None:
    async with running(log) as now:
        await now.handle(JOINED, token(0))
        state = now.state()
        await now.handle(JOINED, JOINED)
        assert now.state() is state
        assert now.process.metrics.society.agents == len(PEOPLE) + 1
    async with running(log) as crashed:
        await crashed.society.join(replace(JOINED, newcomers=(replace(JOINED.newcomers[0]),)))
        assert crashed.state() == state
    told = [e for e in await events(log, AGENTS_ACTED) if isinstance(e, AgentsJoined)]
    assert told == [JOINED] * 3


async def test_nobody_joins_a_group_that_is_not_here(log: Log) -> None:
    async with running(log) as now:
        await now.handle(replace(JOINED, group_id="nowhere"))
    (letter,) = await events(log, DEAD_LETTERS)
    assert "group nowhere is not known here: nobody can join it" in letter.reason
    assert await events(log, AGENTS_ACTED) == []


async def test_a_founded_group_keeps_its_centroid_through_its_steps(log: Log) -> None:
    async with running(log) as now:
        await now.handle(replace(FOUNDED, centroid=b"\x01\x02"), token(0, group_id="h"))
        state = now.society.groups.get("h")
    assert state is not None
    assert (state.centroid, state.applied_step) == (b"\x01\x02", 0)


async def test_agents_are_born_at_their_first_step_and_never_again(log: Log) -> None:
    async with running(log) as first:
        await first.handle(token(0))
        assert first.process.metrics.model.calls["simulator", "birth"] == BIRTH_CALLS
    async with running(log, seed=1) as second:
        await second.handle(token(1))
        assert second.process.metrics.model.calls["simulator", "birth"] == 0
    before, after = first.state().agents, second.state().agents
    assert all(agent.born and agent.goal and agent.plan for agent in before)
    assert [(a.goal, a.plan) for a in before] == [(a.goal, a.plan) for a in after]


async def test_everybody_acts_once_a_step_and_reacts_only_to_what_came(log: Log) -> None:
    await settle(log, BORN)
    async with running(log) as now:
        await now.handle(token(0), token(1, Inbox("a1", (seen(1), seen(2)))))
        assert now.process.metrics.model.calls["simulator", "act"] == 2 * len(BORN)
    first, second = await events(log, AGENTS_ACTED)
    for outcome in (first, second):
        assert [action.agent_id for action in outcome.actions] == ["a0", "a1", "a2"]
    assert [action.kind for action in second.actions] == ["plan", "react", "plan"]
    assert [action.observed for action in second.actions] == [(), ("m1", "m2"), ()]
    assert [action.plan_step for action in second.actions] == [2, 0, 2]


async def test_a_group_whose_plans_are_done_acts_no_more_unless_addressed(log: Log) -> None:
    await settle(log, BORN)
    async with running(log) as now:
        await now.handle(*map(token, range(4)), token(4, Inbox("a2", (seen(1),))))
    outcomes = await events(log, AGENTS_ACTED)
    assert [len(outcome.actions) for outcome in outcomes] == [3, 3, 3, 0, 1]
    assert [outcome.planning for outcome in outcomes] == [3, 3, 0, 0, 0]


async def test_a_repeated_token_publishes_the_same_bytes_and_asks_no_model(log: Log) -> None:
    async with running(log) as now:
        await now.handle(token(0))
        asked = now.process.calls
        await now.handle(token(0, Inbox("a0", (seen(1),))))
        assert now.process.calls == asked
    first, second = await log.history(AGENTS_ACTED.name)
    assert (first.value, first.headers) == (second.value, second.headers)


async def test_an_older_token_is_ignored(log: Log) -> None:
    async with running(log) as now:
        await now.handle(token(0), token(1))
        asked, state = now.process.calls, now.state()
        await now.handle(token(0))
        assert now.process.calls == asked
        assert now.state() is state
    assert [outcome.step for outcome in await events(log, AGENTS_ACTED)] == [0, 1]


async def test_an_unknown_group_is_rejected_and_its_token_kept_as_dead_letter(log: Log) -> None:
    async with running(log) as now:
        with pytest.raises(Rejected, match="group nowhere is not known"):
            await now.society.take_step(token(0, group_id="nowhere"))
        await now.handle(token(0, group_id="nowhere"), token(0))
    (letter,) = await events(log, DEAD_LETTERS)
    assert (letter.topic, letter.service) == (OBSERVATIONS_DELIVERED.name, "agent_state")
    assert [outcome.group.group_id for outcome in await events(log, AGENTS_ACTED)] == ["g"]


async def test_the_answers_of_a_step_are_kept_until_it_is_published_and_no_longer(
    log: Log,
) -> None:
    async with running(log) as crashed:
        await crashed.society.take_step(token(0))
        answers = await log.history(MODEL_ANSWERS.name)
        assert len(answers) == crashed.process.calls == BIRTH_CALLS + len(PEOPLE)
    async with running(log) as restarted:
        await restarted.handle(token(0))
        assert await log.history(MODEL_ANSWERS.name) == []
        await restarted.handle(token(1, Inbox("a0", (seen(1),))))
        assert await log.history(MODEL_ANSWERS.name) == []


async def test_a_crash_after_the_changelog_publishes_what_was_decided_before(log: Log) -> None:
    async with running(log, seed=1) as crashed:
        decided, _ = await crashed.society.take_step(token(0))
    async with running(log, seed=2) as restarted:
        await restarted.handle(token(0))
        assert restarted.process.calls == 0
    assert await events(log, AGENTS_ACTED) == [decided]


@pytest.mark.parametrize("kept", [0, 1, 4, BIRTH_CALLS + 2])
async def test_a_crash_before_the_changelog_asks_again_only_what_was_in_flight(
    tmp_path: Path, log: Log, kept: int
) -> None:
    async with running(log) as whole:
        await whole.society.take_step(token(0))
        answers = await log.history(MODEL_ANSWERS.name)
    crashed = open_log(tmp_path / "crashed.db")
    await settle(crashed, PEOPLE)
    # The journal as the crash left it: the first answers that came in.
    await crashed.publish([Record(d.topic, d.key, d.value) for d in answers[:kept]])
    async with running(crashed) as restarted:
        await restarted.handle(token(0))
        assert restarted.process.calls == len(answers) - kept
        assert restarted.state() == whole.state()
    await crashed.close()


async def test_a_model_that_refuses_every_prompt_does_not_stop_the_group(log: Log) -> None:
    async with running(log, chat_tokens=50) as now:
        await now.handle(token(0), token(1))
    assert await events(log, DEAD_LETTERS) == []
    outcomes = await events(log, AGENTS_ACTED)
    assert [(outcome.step, outcome.actions) for outcome in outcomes] == [(0, ()), (1, ())]


async def test_observations_too_long_to_embed_do_not_stop_the_group(log: Log) -> None:
    crowd = Inbox(
        "a0", tuple(seen(n, f"Zoe tells story number {n}" + " again" * 30) for n in range(20))
    )
    async with running(log, embedded_tokens=60) as now:
        await now.handle(token(0), token(1, crowd), token(2))
    assert await events(log, DEAD_LETTERS) == []
    outcomes = await events(log, AGENTS_ACTED)
    assert [outcome.step for outcome in outcomes] == [0, 1, 2]
    assert len(outcomes[1].actions[0].observed) == OBSERVATIONS_HEEDED
