"""Windows become scenarios over the log and a simulated model, each decided once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import services.scenario_extraction
from services.events import Action, AgentCard, Group, RoutedAction, ScenarioExtracted, StepCompleted
from services.events.topics import (
    DEAD_LETTERS,
    MODEL_ANSWERS,
    SCENARIOS_EXTRACTED,
    STEP_COMPLETED,
    WINDOWS,
)
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.simulator import SimulatorSettings
from services.runtime.ids import derived_id
from services.scenario_extraction.application import Extraction
from services.scenario_extraction.codec import WINDOW_STATE
from services.scenario_extraction.consumer import ExtractionConsumer
from tests.integration.running import Process, events, open_log, process, publish, work

PEOPLE = tuple(AgentCard(f"a{n}", name, "baker") for n, name in enumerate(["Ada", "Ben", "Cem"]))
TEXT = "carries flour over the bridge."
WRONG = "flies to the moon on a loaf."


@dataclass
class Running:
    process: Process
    extraction: Extraction

    async def handle(self, *steps: StepCompleted) -> list[ScenarioExtracted]:
        """Return all scenarios so far."""
        log = self.process.log
        for sent in steps:
            await publish(log, STEP_COMPLETED, sent.group.group_id, sent)
        routes = ExtractionConsumer(self.extraction, log).routes()
        await work(self.process.worker("scenario_extraction", routes))
        return await events(log, SCENARIOS_EXTRACTED)


@asynccontextmanager
async def running(log: Log, seed: int = 0, chat_tokens: int = 8192) -> AsyncIterator[Running]:
    async with process(log, SimulatorSettings(seed=seed, max_model_len=chat_tokens)) as parts:
        windows = await parts.changelog(WINDOWS, WINDOW_STATE)
        prompts = prompts_of(services.scenario_extraction)
        yield Running(
            parts,
            Extraction(windows, parts.journal, parts.models, prompts, parts.metrics.society),
        )


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    await opened.close()


def step(
    number: int, *texts: str, group_id: str = "g", wrong: bool = False, resting: bool = False
) -> StepCompleted:
    actions = [
        RoutedAction(Action(f"{group_id}/{number}/{n}", f"a{n}", PEOPLE[n].name, "plan", 1, text))
        for n, text in enumerate(texts)
    ]
    if wrong:
        action = Action(f"{group_id}/{number}/wrong", "a2", "Cem", "plan", 1, WRONG)
        actions.append(RoutedAction(action, plausible=False))
    group = Group(group_id, "r00", "bakers")
    return StepCompleted(group, number, PEOPLE, tuple(actions), resting=resting)


async def test_three_steps_of_a_group_make_a_scenario_of_all_that_happened(log: Log) -> None:
    async with running(log) as now:
        assert (
            await now.handle(step(0, TEXT), step(1, TEXT, TEXT), step(0, TEXT, group_id="h")) == []
        )
        (made,) = await now.handle(step(2, TEXT))
        assert now.process.calls == 1
    assert (made.group_id, made.region, made.window) == ("g", "r00", 0)
    assert (made.first_step, made.last_step) == (0, 2)
    assert [r.action.action_id for r in made.actions] == ["g/0/0", "g/1/0", "g/1/1", "g/2/0"]
    assert [card.name for card in made.agents] == ["Ada", "Ben"]
    assert made.summary
    assert sum(x * x for x in made.embedding) == pytest.approx(1.0, abs=1e-3)


async def test_a_window_closes_early_when_its_group_goes_to_rest(log: Log) -> None:
    async with running(log) as now:
        await now.handle(*(step(n, TEXT, resting=n == 1) for n in range(5)))
    spans = [(s.window, s.first_step, s.last_step) for s in await events(log, SCENARIOS_EXTRACTED)]
    assert spans == [(0, 0, 1), (1, 2, 4)]


async def test_an_implausible_action_is_no_part_of_the_scenario(log: Log) -> None:
    async with running(log) as now:
        (made,) = await now.handle(step(0, TEXT, wrong=True), step(1), step(2, TEXT, wrong=True))
        assert not any(WRONG in call.prompts[0] for call in now.process.chat.log)
    assert {r.action.text for r in made.actions} == {TEXT}
    assert [card.name for card in made.agents] == ["Ada"]


async def test_a_window_in_which_nothing_took_effect_makes_none_and_asks_no_model(log: Log) -> None:
    async with running(log) as now:
        assert await now.handle(step(0), step(1, wrong=True), step(2)) == []
        assert now.process.calls == 0
        (made,) = await now.handle(*(step(n, TEXT) for n in (3, 4, 5)))
    assert (made.window, made.first_step, made.last_step) == (0, 3, 5)


async def test_ids_follow_from_group_and_window_alone(tmp_path: Path) -> None:
    made = []
    for seed in (1, 2):
        log = open_log(tmp_path / f"{seed}.db")
        async with running(log, seed) as now:
            steps = [step(n, TEXT, group_id=group) for group in ("g", "h") for n in range(6)]
            made.append(await now.handle(*steps))
        await log.close()
    one, other = ({(s.group_id, s.window): s.scenario_id for s in each} for each in made)
    assert one == other
    assert one == {key: derived_id("scenario", *key) for key in one}
    assert len(set(one.values())) == 4
    assert {s.summary for s in made[0]}.isdisjoint(s.summary for s in made[1])


async def test_a_repeated_step_publishes_the_same_bytes_and_asks_no_model(log: Log) -> None:
    async with running(log) as now:
        await now.handle(step(0, TEXT), step(1, TEXT), step(2, TEXT))
    async with running(log, seed=1) as restarted:
        await restarted.handle(step(2, TEXT))
        assert restarted.process.calls == 0
    first, second = await log.history(SCENARIOS_EXTRACTED.name)
    assert (first.value, first.headers) == (second.value, second.headers)


async def test_a_repeat_counts_for_no_window_twice(log: Log) -> None:
    async with running(log) as now:
        await now.handle(step(0, TEXT), step(0, TEXT), step(1, TEXT), step(1, TEXT), step(0, TEXT))
        assert await events(log, SCENARIOS_EXTRACTED) == []
        (made,) = await now.handle(step(2, TEXT))
        assert await now.handle(step(3, TEXT), step(2, TEXT)) == [made]
    assert [r.action.action_id for r in made.actions] == ["g/0/0", "g/1/0", "g/2/0"]


async def test_an_open_window_survives_a_restart(log: Log) -> None:
    async with running(log) as now:
        await now.handle(step(0, TEXT), step(1, TEXT))
    async with running(log) as restarted:
        (made,) = await restarted.handle(step(2, TEXT))
    assert (made.first_step, made.last_step) == (0, 2)


async def test_a_crash_after_the_changelog_publishes_what_was_decided_before(log: Log) -> None:
    async with running(log, seed=1) as crashed:
        await crashed.handle(step(0, TEXT), step(1, TEXT))
        decided, _ = await crashed.extraction.take_in(step(2, TEXT))
        assert decided is not None
        assert len(await log.history(MODEL_ANSWERS.name)) == 1
    async with running(log, seed=2) as restarted:
        (made,) = await restarted.handle(step(2, TEXT))
        assert restarted.process.calls == 0
    assert (made.scenario_id, made.summary) == (decided.scenario_id, decided.summary)
    assert await log.history(MODEL_ANSWERS.name) == []


async def test_a_model_that_refuses_leaves_the_scenario_in_the_actors_own_words(log: Log) -> None:
    async with running(log, chat_tokens=40) as now:
        (made,) = await now.handle(step(0, TEXT), step(1, TEXT), step(2, TEXT))
    assert made.summary == " ".join([TEXT] * 3)
    assert await events(log, DEAD_LETTERS) == []
