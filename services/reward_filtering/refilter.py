"""Filtering again: what is there already, for another student or by other settings.

Instructions, the teacher's responses, and what the static stage decided, stay as they are; the
student is asked anew, and every later verdict is given anew, in the order of the first ones,
without a quota.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from services.events import FilterSpec, SampleJudged
from services.kinds import Kind
from services.reward_filtering.deciding import decided
from services.reward_filtering.domain import Stratum
from services.reward_filtering.recipes.coding import passes
from services.reward_filtering.recipes.desk import Desk, RunTests
from services.reward_filtering.recipes.pairing import against_student, wants_student
from services.reward_filtering.recipes.reasoning import answers
from services.reward_filtering.recipes.rollouts import Check, attempted
from services.runtime.dry_runs import unrecorded
from services.runtime.ports import ChatModel
from services.runtime.prompts import Prompt

AT_ONCE = 64
"""Candidates that the student is asked about at once."""
_ENDLESS = 1 << 40
_CHECKS: dict[str, Check] = {"reasoning": answers, "code": passes}
"""By recipe."""


@dataclass(frozen=True, slots=True)
class Again:
    """What filtering again takes."""

    spec: FilterSpec
    kind: Kind
    model: ChatModel
    judge: Prompt
    """The usual judge; a kind's own stands in for it."""
    run_tests: RunTests


async def refiltered(samples: Sequence[SampleJudged], again: Again) -> AsyncIterator[SampleJudged]:
    """Yield the new verdicts on candidates, in order of the first ones.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    strata: defaultdict[str, Stratum] = defaultdict(lambda: Stratum(granted=_ENDLESS))
    ordered = sorted(samples, key=lambda sample: (sample.created_at, sample.sample_id))
    for start in range(0, len(ordered), AT_ONCE):
        batch = ordered[start : start + AT_ONCE]
        for measured in await asyncio.gather(*(_measured(sample, again) for sample in batch)):
            stratum = strata[measured.stratum]
            verdict = (
                decided(again.spec, again.kind.recipe, stratum, measured)
                if has_response(measured)
                else measured
            )
            stratum.apply(verdict)
            yield verdict


def has_response(sample: SampleJudged) -> bool:
    """Return whether a candidate came as far as a response with a reward."""
    return sample.stage != "static" and sample.chosen >= 0


async def _measured(sample: SampleJudged, again: Again) -> SampleJudged:
    if not has_response(sample):
        return sample
    judge = again.kind.prompts.get("judge", again.judge)
    unit = unrecorded(again.model).unit("refilter", sample.sample_id)
    desk = Desk(unit, judge, again.spec, again.run_tests)
    bare = replace(sample, student_responses=(), rejected=-1)
    if check := _CHECKS.get(again.kind.recipe):
        return desk.signed(await attempted(desk, again.kind, bare, check))
    if wants_student(again.kind, again.spec):
        return desk.signed(await against_student(desk, bare))
    return sample


def random_control(samples: Sequence[SampleJudged], size: int, seed: int) -> list[SampleJudged]:
    """Return the candidates with `size` of them accepted at random, the control of a filter.

    Drawn from all that have a response; the others, and those not drawn, are rejected (`random`).
    """
    able = sorted(sample.sample_id for sample in samples if has_response(sample))
    drawn = set(Random(seed).sample(able, min(size, len(able))))
    return [_by_chance(sample, sample.sample_id in drawn) for sample in samples]


def _by_chance(sample: SampleJudged, drawn: bool) -> SampleJudged:
    if drawn:
        return replace(sample, accepted=True, stage="random", reason="")
    if not has_response(sample):
        return sample
    return replace(sample, accepted=False, stage="random", reason="random")
