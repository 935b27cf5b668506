"""The models for one candidate: responses of teacher and student, rewards, and what they cost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Literal

from services.events import FilterSpec, SampleJudged, Usage
from services.reward_filtering.verdicts import reward_from_logprobs
from services.runtime.asking import whole_sentences
from services.runtime.errors import Rejected
from services.runtime.journal import UnitOfWork
from services.runtime.ports import ChatAnswer, ChatRequest, Message
from services.runtime.prompts import Prompt

Policy = Literal["teacher", "student"]
Scorer = Literal["reward", "held_out"]
RunTests = Callable[[str, str], Awaitable[str]]
_WHO = {"user": "Person", "assistant": "Assistant", "system": "System"}
UNJUDGED = -100.0
"""Reward of a response that has none."""


class Desk:
    """Asks models on behalf of one candidate."""

    def __init__(
        self, unit: UnitOfWork, judge: Prompt, spec: FilterSpec, run_tests: RunTests
    ) -> None:
        """Set up.

        Args:
            unit: The candidate's unit of work.
            judge: The prompt of the judge.
            spec: The filter's settings.
            run_tests: Runs tests on a solution in a sandbox, and gives the verdict in a word.
        """
        self.spec = spec
        self.run_tests = run_tests
        self._unit = unit
        self._judge = judge
        self._usage = Usage()
        self._models: dict[str, str] = {}

    async def texts(
        self,
        call: str,
        policy: Policy,
        messages: Sequence[Message],
        n: int,
        stage: str = "response",
    ) -> list[str]:
        """Return n responses in whole sentences; none when the model refuses for good.

        The teacher is told how long a response is to be, if the filter says so. The student is
        not: it is measured as it will be used.

        Raises:
            Retryable: no answer in spite of retries.
        """
        if self.spec.tell_response_words and (policy, stage) == ("teacher", "response"):
            messages = _with_length(messages, self.spec)
        request = ChatRequest(
            tuple(messages), max_tokens=self.spec.max_response_tokens, n=max(1, n)
        )
        try:
            answer = await self._unit.chat(call, policy, stage, request)
        except Rejected:
            return []
        self._note(policy, answer)
        return [whole_sentences(completion) for completion in answer.completions]

    async def reply(self, call: str, messages: Sequence[Message], max_tokens: int) -> str:
        """Return what a person of the society says; empty when the model refuses for good.

        Raises:
            Retryable: no answer in spite of retries.
        """
        request = ChatRequest(tuple(messages), max_tokens)
        try:
            answer = await self._unit.chat(call, "simulator", "reply", request)
        except Rejected:
            return ""
        self._note("simulator", answer)
        return whole_sentences(answer.completions[0])

    async def rewards(
        self, call: str, asked: Sequence[Message], responses: Sequence[str]
    ) -> list[float | None]:
        """Return the reward of each response to a conversation; None where there is none.

        Raises:
            Retryable: no answer in spite of retries.
        """
        each = (
            self.reward(f"{call}/{number}", "reward", asked, response)
            for number, response in enumerate(responses)
        )
        return list(await asyncio.gather(*each))

    async def reward(
        self, call: str, scorer: Scorer, asked: Sequence[Message], response: str
    ) -> float | None:
        """Return the reward of one response to a conversation; None when there is none.

        That of a model with a score head is its raw logit; of any other, the log-odds of its
        verdict. Both are in nats, and those of two models cannot be compared.

        Raises:
            Retryable: no answer in spite of retries.
        """
        if not response:
            return None
        request = ChatRequest(
            self._judge.render(instruction=transcript(asked), response=response),
            max_tokens=1,
            temperature=0.0,
            top_logprobs=20,
            scored=(*asked, Message("assistant", response)),
        )
        stage = "judge" if scorer == "reward" else scorer
        try:
            answer = await self._unit.chat(call, scorer, stage, request)
        except Rejected:
            return None
        self._note(scorer, answer)
        said = answer.completions[0]
        # What has logits has no tokens, and the other way round.
        return said.reward if not said.text else reward_from_logprobs(said.first_token_logprobs)

    def _note(self, use: str, answer: ChatAnswer) -> None:
        self._models[use] = answer.model
        self._usage += Usage(1, answer.prompt_tokens, answer.completion_tokens)

    def signed(self, sample: SampleJudged) -> SampleJudged:
        """Return the sample with the models that made it, and with their tokens added."""
        provenance = replace(
            sample.provenance,
            response_model=self._models.get("teacher", sample.provenance.response_model),
            student_model=self._models.get("student", sample.provenance.student_model),
            reward_model=self._models.get("reward", sample.provenance.reward_model),
            held_out_model=self._models.get("held_out", sample.provenance.held_out_model),
        )
        return replace(sample, provenance=provenance, usage=sample.usage + self._usage)


def transcript(asked: Sequence[Message]) -> str:
    """Return what is to be answered, as text for the judge: of a conversation its last turns."""
    if len(asked) == 1:
        return asked[0].content
    return "\n".join(f"{_WHO[message.role]}: {message.content}" for message in asked[-3:])


def _with_length(messages: Sequence[Message], spec: FilterSpec) -> list[Message]:
    """Return a prompt whose system message also says how many words the answer has."""
    least, most = spec.min_response_words, spec.max_response_words
    told = f"Answer in {least} to {most} words, in the language of the message."
    system = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    return [Message("system", "\n".join((*system, told))), *rest]


def recorded(rewards: Sequence[float | None]) -> tuple[float, ...]:
    """Return rewards as they are kept."""
    return tuple(UNJUDGED if reward is None else reward for reward in rewards)
