"""However large the society and however many the orders, a scrape stays of one size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest

import services.message_modulation
from services.agent_state.application import Society
from services.agent_state.codec import GROUP_STATE
from services.agent_state.domain import GroupState, newborn
from services.events import AgentCard, DatasetDeclared, Group, Newcomer, Requirement, SampleJudged
from services.events.datasets import FilterSpec, Grant, Provenance
from services.instruction_generation.backlog import Backlog
from services.instruction_generation.domain import Claim
from services.instruction_generation.gauges import tell_datasets
from services.instruction_generation.overview import Overview
from services.local.composition import prompts_of
from services.local.log import Log
from services.message_modulation.application import Modulation
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.domain import ModulatorState
from services.message_modulation.routing import Router
from services.reward_filtering.metering import count_rows, count_verdict
from services.runtime.journal import ModelJournal
from services.runtime.metrics import MOST_DATASETS, Metrics
from services.runtime.state import Changelog

PER_GROUP = 8


def series(metrics: Metrics) -> int:
    text = generate_latest(metrics.registry()).decode()
    return sum(not line.startswith("#") for line in text.splitlines())


async def living(agents: int, folder: Path) -> Metrics:
    """Return the metrics of the two services of a society of so many, every third group at rest."""
    metrics = Metrics()
    log = Log(folder / f"{agents}.sqlite", set())
    nobody: Any = None  # No model is asked: groups are only counted.
    journal = ModelJournal("answers", nobody, log)
    society = Society(Changelog("agents", GROUP_STATE, log), journal, nobody, {}, metrics.society)
    router = Router(prompts_of(services.message_modulation), "structured")
    modulation = Modulation(
        Changelog("groups", MODULATOR_STATE, log), journal, router, metrics.society
    )
    for number in range(agents // PER_GROUP):
        name = f"g{number}"
        people = [Newcomer(f"{name}-a{n}", f"Ada {number} {n}", "", "") for n in range(PER_GROUP)]
        group = Group(name, f"r{number % 16}", "", rank=number)
        cards = tuple(AgentCard(p.agent_id, p.name, "") for p in people)
        society._count(name, GroupState(group, tuple(map(newborn, people))))
        modulation.roster.note(name, ModulatorState(group, cards, 3, resting=number % 3 == 0))
    await log.close()
    return metrics


async def test_a_society_of_100_000_agents_is_told_in_as_many_series_as_one_of_1_000(
    tmp_path: Path,
) -> None:
    small, large = await living(1_000, tmp_path), await living(100_000, tmp_path)
    assert large.society.agents == 100_000
    assert large.society.active == pytest.approx(100_000 * 2 / 3, rel=0.01)
    assert series(large) == series(small) < 400


def order(name: str, size: int = 10) -> DatasetDeclared:
    return DatasetDeclared(
        dataset=name,
        kind="sft",
        size=size,
        domain="",
        requirements=(Requirement("r", "any", 1, "plain"),),
        filter=FilterSpec(),
        grants=(Grant("r0", size),),
        created_at=5.0,
    )


def verdict(dataset: str, number: int) -> SampleJudged:
    return SampleJudged(
        sample_id=f"{dataset}/{number}",
        dataset=dataset,
        stratum="r0",
        kind="sft",
        requirement=Requirement("r", "any", 1, "plain"),
        accepted=number % 2 == 0,
        reason="" if number % 2 == 0 else "length",
        stage="response",
        messages=(),
        provenance=Provenance(f"scenario-{number}", f"g{number}", f"agent-{number}"),
        created_at=9.0,
    )


async def nothing(claim: Claim) -> None:
    raise AssertionError("no claim is here")


def test_a_thousand_datasets_are_told_as_a_hundred_and_the_rest_together() -> None:
    metrics, overview = Metrics(), Overview()
    tell_datasets(metrics.line, overview, Backlog(nothing, nothing))
    for number in range(1_000):
        name = f"dataset-{number}"
        # The first 950 are filled: what still grows is told of.
        overview.set_dataset(order(name, size=1 if number < 950 else 10))
        for judged in range(4):
            sample = verdict(name, judged)
            overview.add_verdict(sample)
            count_verdict(metrics.line, sample, 1.0)
        count_rows(metrics.line, name, [9.0], now=10.0)
    samples = metrics.line.samples
    assert callable(samples)
    told: Mapping[str, float] = samples()
    assert len(told) == MOST_DATASETS
    assert {f"dataset-{number}" for number in range(950, 1_000)} <= told.keys()
    assert len(metrics.line.accepted) == MOST_DATASETS + 1
    assert metrics.line.accepted.total() == 2_000
    assert metrics.line.accepted["other", "sft"] == 2 * (1_000 - MOST_DATASETS)
    assert series(metrics) < 20 * MOST_DATASETS
