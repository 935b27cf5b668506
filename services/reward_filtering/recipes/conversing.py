"""A conversation: the person reacts to the answers, and ends it when the need is met."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from services.events import ChatMessage, SampleJudged
from services.kinds import Kind
from services.reward_filtering.recipes.desk import UNJUDGED, Desk
from services.reward_filtering.static_filters import clean_instruction, words
from services.reward_filtering.verdicts import best_of
from services.runtime.ports import Message

_REPLY_TOKENS = 90
_WHO = {"user": "Person", "assistant": "Assistant"}
DONE = "done"
_RUN = 4
ECHO_OF_PERSON = 0.5
"""From this share on a person only says again what was said, and the conversation is over."""
ECHO_OF_ANSWER = 0.8
"""The same of an answer, which is then not taken; a draft that was asked to be changed repeats
more than half of itself."""


async def conversed(desk: Desk, kind: Kind, sample: SampleJudged) -> SampleJudged:
    """Return the sample as a conversation of at most `max_turns` turns.

    A turn is a message of the person and the best of n answers to it. It ends when the person is
    done, or when one of them only repeats what was said. `rewards` has one entry a
    turn, and the lowest counts: a conversation is as good as its weakest answer.

    Raises:
        Retryable: a model gave no answer in spite of retries.
    """
    messages = [sample.messages[0]]
    rewards: list[float] = []
    for turn in range(desk.spec.max_turns):
        asked = [Message(_role(m), m.content) for m in messages]
        texts = await desk.texts(f"turn/{turn}", "teacher", asked, desk.spec.responses)
        judged = await desk.rewards(f"judge/{turn}", asked, texts)
        said_before = [message.content for message in messages]
        fresh = [echo(text, said_before) < ECHO_OF_ANSWER for text in texts]
        chosen = best_of([r if new else None for r, new in zip(judged, fresh, strict=True)])
        if chosen < 0:
            break
        messages.append(ChatMessage("assistant", texts[chosen]))
        rewards.append(judged[chosen] or 0.0)
        if turn + 1 == desk.spec.max_turns:
            break
        said = await _next(desk, kind, sample, messages, turn)
        if not said:
            break
        messages.append(ChatMessage("user", said))
    if messages[-1].role == "user" and len(messages) > 1:
        messages.pop()  # Nobody answered it.
    chosen = min(range(len(rewards)), key=rewards.__getitem__) if rewards else -1
    return replace(
        sample,
        messages=tuple(messages),
        rewards=tuple(rewards) or (UNJUDGED,),
        chosen=chosen,
        scores={**sample.scores, "turns": float(len(rewards))},
    )


async def _next(
    desk: Desk, kind: Kind, sample: SampleJudged, messages: list[ChatMessage], turn: int
) -> str:
    """Return what the person says next; empty when nothing is left to say."""
    prompt = kind.prompts["reply"].render(
        persona=sample.provenance.persona,
        turns=[{"who": _WHO[m.role], "text": m.content} for m in messages[-4:]],
    )
    said = clean_instruction(await desk.reply(f"reply/{turn}", prompt, _REPLY_TOKENS))
    spoken = words(said)
    said_before = [message.content for message in messages]
    if not spoken or spoken[0] == DONE or said in said_before:
        return ""
    return said if echo(said, said_before) < ECHO_OF_PERSON else ""


def echo(text: str, before: Sequence[str]) -> float:
    """Return the share of a text's runs of four words that were said before, 0 to 1."""
    runs = _runs(text)
    said = set[tuple[str, ...]]().union(*map(_runs, before))
    return len(runs & said) / len(runs) if runs else 0.0


def _runs(text: str) -> set[tuple[str, ...]]:
    spoken = words(text)
    return {tuple(spoken[place : place + _RUN]) for place in range(len(spoken) - _RUN + 1)}


def _role(message: ChatMessage) -> Literal["assistant", "user"]:
    return "assistant" if message.role == "assistant" else "user"
