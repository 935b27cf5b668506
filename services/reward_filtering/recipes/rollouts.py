"""Rollouts of the student at a prompt whose answers can be checked, in two stages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from services.events import FilterSpec, Response, SampleJudged
from services.reward_filtering.recipes.desk import Desk
from services.reward_filtering.signal.learnability import learnability
from services.reward_filtering.signal.rollouts import SuccessBand
from services.runtime.ports import Message

CORRECT = "correct"
"""Outcome of a rollout that counts as a success; any other one says how it failed."""


def success_band(spec: FilterSpec) -> SuccessBand:
    """Return the band that a filter asks for."""
    return SuccessBand(
        spec.min_success,
        spec.max_success,
        min(spec.screening_rollouts, spec.rollouts),
        spec.rollouts,
    )


async def rolled_out(
    desk: Desk,
    sample: SampleJudged,
    prompt: Sequence[Message],
    check: Callable[[str], Awaitable[str]],
) -> SampleJudged:
    """Return the sample with the student's rollouts, its success rate and its learnability.

    The screen comes first; the rest only while it is likely enough (`min_chance`) that the rate
    of all of them is inside the band.

    Args:
        desk: The models.
        sample: To be rolled out.
        prompt: What the student is asked.
        check: Gives the outcome of a response, `CORRECT` for a success.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    band = success_band(desk.spec)
    responses: list[Response] = []
    successes = 0
    while more := band.next_rollouts(successes, len(responses)):
        if responses and band.chance_inside(successes, len(responses)) < desk.spec.min_chance:
            break
        call = f"rollouts/{len(responses)}"
        texts = await desk.texts(call, "student", prompt, more, stage="rollout")
        if not texts:
            break
        outcomes = await asyncio.gather(*map(check, texts))
        responses += [
            Response("student", text, float(outcome == CORRECT), outcome)
            for text, outcome in zip(texts, outcomes, strict=True)
        ]
        successes = sum(response.outcome == CORRECT for response in responses)
    tried = len(responses)
    measured = {
        "rollouts": float(tried),
        "success_rate": successes / tried if tried else 0.0,
        "learnability": learnability(successes, tried),
    }
    return replace(sample, student_responses=tuple(responses), scores={**sample.scores, **measured})
