"""Filtering again: what is there already, for another student or by other settings.

Instructions, the teacher's responses, and what the static stage decided, stay as they are; the
student is asked anew, and every later verdict is given anew, in the order of the first ones,
without a quota.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterable, Collection
from dataclasses import dataclass, replace
from random import Random

from services.events import FilterSpec, SampleJudged
from services.kinds import Kind
from services.reward_filtering.deciding import decided
from services.reward_filtering.domain import Stratum
from services.reward_filtering.recipes.coding import passes
from services.reward_filtering.recipes.desk import Desk, RunTests
from services.reward_filtering.recipes.evaluating import evaluated
from services.reward_filtering.recipes.pairing import against_student, wants_student
from services.reward_filtering.recipes.reasoning import answers
from services.reward_filtering.recipes.rollouts import Check, attempted
from services.runtime.dry_runs import unrecorded
from services.runtime.ports import ChatModel
from services.runtime.prompts import Prompt

AT_ONCE = 64
"""Candidates that the student is asked about at once."""
HAS_RESPONSE = "stage != 'static' AND chosen >= 0"
"""`has_response` of the rows of a table, in SQL."""
_ENDLESS = 1 << 40
_CHECKS: dict[str, Check] = {"reasoning": answers, "code": passes}
"""By recipe."""

Strata = defaultdict[str, Stratum]
"""By name; what the next verdict depends on."""


@dataclass(frozen=True, slots=True)
class Again:
    """What filtering again takes."""

    spec: FilterSpec
    kind: Kind
    model: ChatModel
    judge: Prompt
    """The usual judge; a kind's own stands in for it."""
    run_tests: RunTests
    held_out: bool = False
    """Whether there is a reward that is reported and has no say."""


def endless_strata() -> Strata:
    """Return strata without verdicts and without a quota."""
    return defaultdict(lambda: Stratum(granted=_ENDLESS))


async def refiltered(
    samples: AsyncIterable[SampleJudged], again: Again, strata: Strata
) -> AsyncGenerator[SampleJudged]:
    """Yield the new verdicts on candidates, in their order.

    Args:
        samples: Candidates in the order of their first verdicts; few more are taken than are
            worked on.
        again: Settings and models.
        strata: Holding the new verdicts on all candidates before these; changed.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    measuring: deque[asyncio.Task[SampleJudged]] = deque()
    try:
        async for sample in samples:
            measuring.append(asyncio.create_task(_measured(sample, again)))
            if len(measuring) >= AT_ONCE:
                yield _judged(await measuring[0], again, strata)
                measuring.popleft()
        while measuring:
            yield _judged(await measuring[0], again, strata)
            measuring.popleft()
    finally:
        for task in measuring:
            task.cancel()
        await asyncio.gather(*measuring, return_exceptions=True)


def _judged(measured: SampleJudged, again: Again, strata: Strata) -> SampleJudged:
    stratum = strata[measured.stratum]
    stratum.meet(measured)
    able = has_response(measured)
    verdict = decided(again.spec, again.kind.recipe, stratum, measured) if able else measured
    stratum.apply(verdict)
    return verdict


def has_response(sample: SampleJudged) -> bool:
    """Return whether a candidate came as far as a response with a reward."""
    return sample.stage != "static" and sample.chosen >= 0


def judges_student(kind: Kind, spec: FilterSpec) -> bool:
    """Return whether rewards of the student stand against those that the teacher has."""
    return kind.recipe not in ("reasoning", "code") and wants_student(kind, spec)


async def _measured(sample: SampleJudged, again: Again) -> SampleJudged:
    if not has_response(sample):
        return sample
    judge = again.kind.prompts.get("judge", again.judge)
    unit = unrecorded(again.model).unit("refilter", sample.sample_id)
    desk = Desk(unit, judge, again.spec, again.run_tests)
    bare = replace(sample, student_responses=(), rejected=-1)
    if check := _CHECKS.get(again.kind.recipe):
        sample = await attempted(desk, again.kind, bare, check)
    elif judges_student(again.kind, again.spec):
        sample = await against_student(desk, bare)
    if again.held_out:
        sample = await evaluated(desk, sample)
    return desk.signed(sample)


def drawn_at_random(able: Collection[str], size: int, seed: int) -> frozenset[str]:
    """Return the ids that the control of a filter accepts: `size` at random, or all if fewer.

    Args:
        able: Ids of the candidates that have a response, in any order.
        size: How many the filter accepted.
        seed: Of the draw.
    """
    return frozenset(Random(seed).sample(sorted(able), min(size, len(able))))


def judged_at_random(sample: SampleJudged, drawn: Collection[str]) -> SampleJudged:
    """Return a candidate accepted if it was drawn, and else rejected (`random`).

    One without a response stays rejected for its first reason.
    """
    if sample.sample_id in drawn:
        return replace(sample, accepted=True, stage="random", reason="")
    if not has_response(sample):
        return sample
    return replace(sample, accepted=False, stage="random", reason="random")
