"""The best of n responses of the teacher."""

from dataclasses import replace

from services.events import ChatMessage, SampleJudged
from services.kinds import Kind
from services.reward_filtering.recipes.desk import Desk, recorded
from services.reward_filtering.recipes.pairing import against_student, wants_student
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message


async def answered(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample with its best response, the rewards of all, and a rejected one if needed.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    asked = (Message("user", sample.messages[0].content),)
    texts = await desk.texts("responses", "teacher", asked, desk.spec.responses)
    if not texts:
        return sample
    rewards = await desk.rewards("judge", asked, texts)
    chosen = best_of(rewards)
    sample = replace(
        sample,
        messages=(sample.messages[0], ChatMessage("assistant", texts[max(chosen, 0)])),
        rewards=recorded(rewards),
        chosen=chosen,
    )
    if chosen >= 0 and wants_student(kind, desk.spec):
        sample = await against_student(desk, sample)
    return sample
