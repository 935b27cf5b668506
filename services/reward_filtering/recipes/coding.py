"""Code: a solution and tests that were written apart and executed together, and the student's."""

import asyncio
import re
from dataclasses import replace

from services.events import ChatMessage, SampleJudged
from services.kinds import Kind
from services.reward_filtering.recipes.desk import Desk, recorded
from services.reward_filtering.recipes.rollouts import CORRECT, attempted
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message

_BLOCK = re.compile(
    r"```(?:[Pp]ython3?|py)?[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)


def code_of(text: str) -> str:
    """Return the first code block of a response; all of it when there is none."""
    found = _BLOCK.search(text)
    return (found.group(1) if found else text).strip("\n")


async def coded(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample with its tests, the best solution that passes them, and the rollouts.

    `scores.agreement` is the share of the teacher's solutions that pass. The student is only asked
    when it reaches `min_agreement`: else the tests are as likely wrong as the solutions.

    Raises:
        Retryable: a model gave no answer in spite of retries, or there is no sandbox.
    """
    instruction = sample.messages[0].content
    prompt = kind.prompts["answer"].render(instruction=instruction)
    asked = kind.prompts["tests"].render(instruction=instruction)
    texts, written = await asyncio.gather(
        desk.texts("responses", "teacher", prompt, desk.spec.responses),
        desk.texts("tests", "teacher", asked, 1, stage="tests"),
    )
    if not texts or not written:
        return sample
    tests = code_of(written[0])

    outcomes = await asyncio.gather(*(_outcome(desk, text, tests) for text in texts))
    rewards = await desk.rewards("judge", (Message("user", instruction),), texts)
    passing = [outcome == CORRECT for outcome in outcomes]
    chosen = best_of([r if passes else None for r, passes in zip(rewards, passing, strict=True)])
    agreement = sum(passing) / len(passing)
    sample = replace(
        sample,
        messages=(sample.messages[0], ChatMessage("assistant", texts[max(chosen, 0)])),
        rewards=recorded(rewards),
        chosen=chosen if chosen >= 0 else best_of(rewards),
        answer=code_of(texts[chosen]) if chosen >= 0 else "",
        tests=tests,
        scores={**sample.scores, "agreement": agreement},
    )
    if chosen < 0:
        return sample
    return await attempted(desk, kind, sample, passes)


async def passes(desk: Desk, sample: SampleJudged, text: str) -> str:
    """Return how the sample's tests ended on the code of a response.

    Raises:
        Retryable: there is no sandbox to run them in.
    """
    return await _outcome(desk, text, sample.tests)


async def _outcome(desk: Desk, text: str, tests: str) -> str:
    verdict = await desk.run_tests(code_of(text), tests)
    return CORRECT if verdict == "passed" else verdict
