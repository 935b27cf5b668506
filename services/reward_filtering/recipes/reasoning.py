"""Reasoning: the answer that most of the teacher's attempts agree on, and the student's success."""

import sys
from dataclasses import replace

from services.events import ChatMessage, FilterSpec, SampleJudged
from services.kinds import Kind
from services.reward_filtering.answers import (
    TraceLimits,
    majority,
    same_answer,
    split_answer,
    trace_reason,
)
from services.reward_filtering.recipes.desk import Desk, recorded
from services.reward_filtering.recipes.rollouts import CORRECT, attempted
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message


def unfit_trace(spec: FilterSpec, text: str) -> str:
    """Return why the trace of a response is none to train on, or ""; see `trace_reason`."""
    trace, answer = split_answer(text)
    # 0 stands in orders of before there was such a setting: bounded by the tokens alone.
    limits = TraceLimits(spec.min_trace_words, spec.max_trace_words or sys.maxsize)
    return trace_reason(trace, answer, limits)


async def reasoned(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample with its answer, the best trace that ends in it, and the rollouts.

    `scores.agreement` is the share of the teacher's attempts that give the answer (self-
    consistency, arXiv 2203.11171). The best trace is the best of those that are fit to train on; if
    none is, the best of all, which is then rejected. The student is only asked when one is, and
    the agreement reaches `min_agreement`.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    instruction = sample.messages[0].content
    prompt = kind.prompts["answer"].render(instruction=instruction)
    texts = await desk.texts("responses", "teacher", prompt, desk.spec.responses)
    if not texts:
        return sample
    given = [split_answer(text)[1] for text in texts]
    answer, votes = majority(given)
    rewards = await desk.rewards("judge", (Message("user", instruction),), texts)
    agreeing = [
        reward if answer and same_answer(own, answer) else None
        for own, reward in zip(given, rewards, strict=True)
    ]
    unfit = [unfit_trace(desk.spec, text) for text in texts]
    chosen = best_of([r if not why else None for r, why in zip(agreeing, unfit, strict=True)])
    if chosen < 0:
        chosen = best_of(agreeing)
    sample = replace(
        sample,
        messages=(sample.messages[0], ChatMessage("assistant", texts[max(chosen, 0)])),
        rewards=recorded(rewards),
        chosen=chosen,
        answer=answer,
        scores={**sample.scores, "agreement": votes / len(texts)},
    )
    if chosen < 0 or (unfit[chosen] and "response" in desk.spec.stages):
        return sample
    return await attempted(desk, kind, sample, answers)


async def answers(desk: Desk, sample: SampleJudged, text: str) -> str:
    """Return how the final answer of a response compares with the sample's."""
    own = split_answer(text)[1]
    if not own:
        return "no_answer"
    return CORRECT if same_answer(own, sample.answer) else "wrong"
