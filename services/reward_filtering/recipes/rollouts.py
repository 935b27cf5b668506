"""Rollouts of the student at a prompt whose answers can be checked, in two stages."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from services.events import FilterSpec, Response, SampleJudged
from services.kinds import Kind
from services.reward_filtering.recipes.desk import Desk
from services.reward_filtering.signal.learnability import learnability
from services.reward_filtering.signal.rollouts import SuccessBand

Check = Callable[[Desk, SampleJudged, str], Awaitable[str]]
"""Gives the outcome of a response to a sample's prompt, `CORRECT` for a success."""

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


async def attempted(desk: Desk, kind: Kind, sample: SampleJudged, check: Check) -> SampleJudged:
    """Return the sample with the student's rollouts, its success rate and its learnability.

    As it is, if it has no answer that enough of the teacher's attempts bear out (`min_agreement`).
    The screen comes first; the rest only while it is likely enough (`min_chance`) that the rate
    of all of them is inside the band.

    Args:
        desk: The models.
        kind: Whose prompt `answer` the student is asked.
        sample: With what it is checked by.
        check: Of a rollout.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    if not sample.answer or sample.scores.get("agreement", 0.0) < desk.spec.min_agreement:
        return sample
    prompt = kind.prompts["answer"].render(instruction=sample.messages[0].content)
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
        outcomes = await asyncio.gather(*(check(desk, sample, text) for text in texts))
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
