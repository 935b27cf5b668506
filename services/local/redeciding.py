"""New verdicts on candidates, kept as they come; what a break leaves is gone on with."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import services.reward_filtering
from services.events import SampleJudged
from services.events.filters import overridden
from services.kinds import Kind
from services.local.composition import prompts_of
from services.local.endpoints import ModelChoice, OpenModels, open_models
from services.local.unfinished import Plan, Unfinished
from services.reward_filtering.candidates import ROWS_AT_ONCE, Candidates
from services.reward_filtering.refilter import (
    HAS_RESPONSE,
    Again,
    Strata,
    drawn_at_random,
    endless_strata,
    judged_at_random,
    judges_student,
    refiltered,
)
from services.reward_filtering.sample_rows import row
from services.reward_filtering.workbench import Workbench
from services.runtime.metrics import ModelMetrics
from services.runtime.refusals import ProbedModel

KEPT_ROWS, KEPT_SECONDS = 500, 30.0
"""Verdicts are kept when there are so many of them, or after so long: what a crash may cost."""


@dataclass(frozen=True, slots=True)
class Refiltering:
    """What is to be filtered again, and how."""

    dataset: str
    to: str
    """Name of the new dataset."""
    choice: ModelChoice
    """The models; only the student's and the reward's are asked."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the kind's filter that differ."""
    random_seed: int | None = None
    """Draw a subset of equal size instead: the control."""
    restart: bool = False
    """Discard what an interrupted one to the same name decided."""


@dataclass(frozen=True, slots=True)
class Decided:
    """How far it is."""

    done: int
    of: int
    accepted: int
    before: int = 0
    """Candidates that were decided before a break."""


def settings_of(asked: Refiltering, models: OpenModels | None = None) -> dict[str, Any]:
    """Return what has to be the same after a break."""
    settings: dict[str, Any] = {"dataset": asked.dataset, "--random --seed": asked.random_seed}
    if asked.random_seed is None:
        settings["--filter"] = dict(asked.overrides)
    if models is not None:
        settings |= {
            "student": models.student,
            "reward": models.reward,
            "held-out reward": models.held_out,
        }
    return settings


async def decide(
    asked: Refiltering,
    unfinished: Unfinished,
    plan: Plan | None,
    source: Candidates,
    versions: tuple[int, ...],
    kind: Kind,
    scratch: Path,
    tell: Callable[[Decided], None],
    warn: Callable[[str], None],
) -> Plan:
    """Give a verdict on each candidate that has none yet, and keep it.

    Args:
        asked: What and how.
        unfinished: Where verdicts are kept.
        plan: Of what was interrupted, if anything was.
        source: The candidates, at `versions` of their tables.
        versions: As in the plan.
        kind: Of the candidates.
        scratch: Folder for the log of a local model.
        tell: Is told how far it is, after each candidate.
        warn: Is told what makes the result doubtful.

    Returns:
        The plan.

    Raises:
        Rejected: the models differ from those that it was begun with, or the name is taken.
        Retryable: a model gave no answer in spite of retries, the store is away, or there is no
            sandbox for code.
    """
    done = await asyncio.to_thread(unfinished.decided) if plan else 0
    accepted = await asyncio.to_thread(lambda: len(unfinished.verdicts("accepted"))) if plan else 0
    so_far = Decided(done, await asyncio.to_thread(len, source), accepted, done)
    if plan and so_far.done == so_far.of:
        return plan

    async def begun(models: OpenModels | None = None) -> Plan:
        settings = settings_of(asked, models)
        if plan is not None:
            plan.check_same(settings)
            return plan
        new = Plan(uuid.uuid4().hex, versions, settings)
        await asyncio.to_thread(unfinished.begin, new)
        return new

    samples = _samples(source, done)
    if asked.random_seed is not None:
        begun_plan = await begun()
        drawn = await asyncio.to_thread(_drawn, source, asked.random_seed)
        chance = (judged_at_random(sample, drawn) async for sample in samples)
        await _keep(unfinished, asked.to, chance, so_far, tell)
        return begun_plan
    workbench = Workbench()
    if kind.runs_code:
        await workbench.ready()
    async with open_models(asked.choice, ModelMetrics(), scratch, seed=0) as models:
        begun_plan = await begun(models)
        spec = overridden(kind.filter, models.limits | dict(asked.overrides))
        again = Again(
            spec=spec,
            kind=kind,
            model=ProbedModel(models.chat),
            judge=prompts_of(services.reward_filtering)["judge"],
            run_tests=workbench.run_tests,
            held_out=bool(models.held_out),
        )
        if judges_student(kind, spec):
            others = await asyncio.to_thread(_judges, source) - {models.reward}
            if others:
                warn(
                    f"the chosen responses were judged by {', '.join(sorted(others))}, and the "
                    f"student's are by {models.reward}: gaps compare the two (--reward, or --model)"
                )
        strata = await asyncio.to_thread(_restored, unfinished)
        verdicts = refiltered(samples, again, strata)
        await _keep(unfinished, asked.to, verdicts, so_far, tell)
    return begun_plan


async def _samples(source: Candidates, start: int) -> AsyncGenerator[SampleJudged]:
    for place in range(start, len(source), ROWS_AT_ONCE):
        for sample in await asyncio.to_thread(source.samples, place):
            yield sample


def _drawn(source: Candidates, seed: int) -> frozenset[str]:
    able = source.column("id", where=HAS_RESPONSE)["id"].to_pylist()
    return drawn_at_random(able, len(source.column("id", where="accepted")), seed)


def _judges(source: Candidates) -> set[str]:
    return set(
        source.column("reward_model", where=HAS_RESPONSE)["reward_model"].unique().to_pylist()
    )


def _restored(unfinished: Unfinished) -> Strata:
    """Return the strata as they were before the break: a pure function of their verdicts."""
    strata, verdicts = endless_strata(), unfinished.verdicts()
    for start in range(0, len(verdicts), ROWS_AT_ONCE):
        for verdict in verdicts.samples(start):
            strata[verdict.stratum].apply(verdict)
    return strata


async def _keep(
    unfinished: Unfinished,
    to: str,
    verdicts: AsyncGenerator[SampleJudged],
    so_far: Decided,
    tell: Callable[[Decided], None],
) -> None:
    """Keep verdicts as they come; those that came before a failure or Ctrl-C, too."""
    fresh: list[dict[str, Any]] = []
    kept_at = time.monotonic()
    try:
        async with aclosing(verdicts):
            async for verdict in verdicts:
                fresh.append(row(replace(verdict, dataset=to)))
                so_far = replace(
                    so_far, done=so_far.done + 1, accepted=so_far.accepted + verdict.accepted
                )
                tell(so_far)
                if len(fresh) >= KEPT_ROWS or time.monotonic() - kept_at >= KEPT_SECONDS:
                    await asyncio.to_thread(unfinished.add, fresh, so_far.done)
                    fresh, kept_at = [], time.monotonic()
    finally:
        # Whether or not the thread of an addition that was cancelled got there: twice is once.
        if fresh:
            await asyncio.to_thread(unfinished.add, fresh, so_far.done)
