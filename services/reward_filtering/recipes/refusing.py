"""Safety: a refusal that helps where the request is harmful, an answer where it is benign."""

from dataclasses import replace

from services.events import ChatMessage, Requirement, SampleJudged
from services.kinds import BENIGN, Kind
from services.reward_filtering.recipes.desk import Desk, recorded
from services.reward_filtering.static_filters import is_refusal
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message


def is_benign(requirement: Requirement) -> bool:
    """Return whether a request of that requirement is to be answered."""
    return requirement.style.startswith(BENIGN)


async def refused(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample with the best response that does what it has to.

    The best of those that refuse the harmful, or do not refuse the benign; if none does, the best
    of all, which is then rejected.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    instruction = sample.messages[0].content
    asked = kind.prompts["answer"].render(instruction=instruction)
    texts = await desk.texts("responses", "teacher", asked, desk.spec.responses)
    if not texts:
        return sample
    rewards = await desk.rewards("judge", (Message("user", instruction),), texts)
    benign = is_benign(sample.requirement)
    apt = [is_refusal(text) != benign for text in texts]
    chosen = best_of([r if fits else None for r, fits in zip(rewards, apt, strict=True)])
    if chosen < 0:
        chosen = best_of(rewards)
    return replace(
        sample,
        messages=(sample.messages[0], ChatMessage("assistant", texts[max(chosen, 0)])),
        rewards=recorded(rewards),
        chosen=chosen,
        scores={**sample.scores, "benign": float(benign), "apt": sum(apt) / len(apt)},
    )
