"""Reasoning: the answer that most of the teacher's attempts agree on, and the student's success."""

from dataclasses import replace

from services.events import ChatMessage, SampleJudged
from services.kinds import Kind
from services.reward_filtering.answers import majority, same_answer, split_answer
from services.reward_filtering.recipes.desk import Desk, recorded
from services.reward_filtering.recipes.rollouts import CORRECT, rolled_out
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message


async def reasoned(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample with its answer, the best trace that ends in it, and the rollouts.

    `scores.agreement` is the share of the teacher's attempts that give the answer (self-
    consistency, arXiv 2203.11171). The student is only asked when it reaches `min_agreement`.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    instruction = sample.messages[0].content
    prompt = kind.prompts["answer"].render(instruction=instruction)
    texts = await desk.texts("responses", "teacher", prompt, desk.spec.responses)
    if not texts:
        return sample
    answers = [split_answer(text)[1] for text in texts]
    answer, votes = majority(answers)
    rewards = await desk.rewards("judge", (Message("user", instruction),), texts)
    agreeing = [
        reward if answer and same_answer(own, answer) else None
        for own, reward in zip(answers, rewards, strict=True)
    ]
    chosen = best_of(agreeing)
    sample = replace(
        sample,
        messages=(sample.messages[0], ChatMessage("assistant", texts[max(chosen, 0)])),
        rewards=recorded(rewards),
        chosen=chosen,
        answer=answer,
        scores={**sample.scores, "agreement": votes / len(texts)},
    )
    if chosen < 0:
        return sample
    return await attempted(desk, kind, sample)


async def attempted(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample with the student's rollouts, if its answer is agreed upon.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    if not sample.answer or sample.scores.get("agreement", 0.0) < desk.spec.min_agreement:
        return sample

    async def check(text: str) -> str:
        own = split_answer(text)[1]
        if not own:
            return "no_answer"
        return CORRECT if same_answer(own, sample.answer) else "wrong"

    prompt = kind.prompts["answer"].render(instruction=sample.messages[0].content)
    return await rolled_out(desk, sample, prompt, check)
