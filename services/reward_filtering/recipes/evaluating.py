"""The held-out reward: of a second model, reported beside the one that decides, never decided by.

A filter that keeps what one reward model likes also keeps what that model is wrong about (reward
over-optimisation, arXiv 2210.10760). Whether accepted samples are better than rejected ones by a
model that had no say shows how much of it is real.
"""

from dataclasses import replace

from services.events import SampleJudged
from services.reward_filtering.recipes.desk import Desk
from services.runtime.errors import Retryable
from services.runtime.ports import Message


async def evaluated(desk: Desk, sample: SampleJudged) -> SampleJudged:
    """Return a measured sample with its held-out rewards, as far as there are any.

    `scores.held_out_reward` is that of the conversation's last turn, `scores.
    held_out_rejected_reward` that of the student's response that stands against it. Nothing waits
    for a model that is away: the sample goes without.
    """
    if sample.chosen < 0 or sample.messages[-1].role != "assistant":
        return sample
    asked = [
        Message("assistant" if turn.role == "assistant" else "user", turn.content)
        for turn in sample.messages[:-1]
    ]
    responses = {"held_out_reward": sample.messages[-1].content}
    if sample.rejected >= 0:
        responses["held_out_rejected_reward"] = sample.student_responses[sample.rejected].text
    scores = dict(sample.scores)
    for name, response in responses.items():
        try:
            reward = await desk.reward(name, "held_out", asked, response)
        except Retryable:
            break
        if reward is not None:
            scores[name] = reward
    return replace(sample, scores=scores)
