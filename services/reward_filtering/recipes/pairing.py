"""Against the chosen response, the worst of the student's: on policy, for the model in training."""

from dataclasses import replace

from services.events import FilterSpec, Response, SampleJudged
from services.kinds import Kind
from services.reward_filtering.recipes.desk import Desk
from services.reward_filtering.signal.pairs import Pair
from services.reward_filtering.static_filters import words
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message


def wants_student(kind: Kind, spec: FilterSpec) -> bool:
    """Return whether a sample of the kind needs responses of the student."""
    return kind.recipe == "pair" or not {"rip", "margin"}.isdisjoint(spec.stages)


async def against_student(desk: Desk, sample: SampleJudged) -> SampleJudged:
    """Return a sample that has a chosen response with those of the student.

    The rejected one is that of the least reward, as in R.I.P. (arXiv 2501.18578).

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    asked = [Message("user", sample.messages[0].content)]
    count = desk.spec.student_responses
    texts = await desk.texts("student", "student", asked, count, stage="rollout")
    rewards = await desk.rewards("judge-student", asked, texts)
    rejected = best_of([None if reward is None else -reward for reward in rewards])
    responses = tuple(
        Response("student", text, reward) for text, reward in zip(texts, rewards, strict=True)
    )
    return replace(sample, student_responses=responses, rejected=rejected)


def pair_of(sample: SampleJudged) -> Pair | None:
    """Return what the bands ask of a sample; None when it has no pair."""
    if sample.chosen < 0 or sample.rejected < 0:
        return None
    rejected = sample.student_responses[sample.rejected]
    return Pair(
        chosen_reward=sample.rewards[sample.chosen],
        rejected_reward=float("nan") if rejected.reward is None else rejected.reward,
        chosen_length=len(words(sample.messages[-1].content)),
        rejected_length=len(words(rejected.text)),
    )
