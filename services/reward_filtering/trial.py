"""JudgeSample: one instruction through the product's own filter, and nothing of it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.events import (
    DatasetDeclared,
    Grant,
    InstructionGenerated,
    Provenance,
    Requirement,
    SampleJudged,
    Usage,
)
from services.events.filters import overridden
from services.kinds import Kind, find_kind
from services.reward_filtering.application import Filtering
from services.reward_filtering.workbench import Workbench
from services.runtime.asking import whole_sentences
from services.runtime.dry_runs import unrecorded
from services.runtime.errors import Rejected
from services.runtime.ports import (
    ChatAnswer,
    ChatModel,
    ChatRequest,
    Clock,
    Completion,
    Embedder,
    Role,
)
from services.runtime.prompts import Prompt

MOST_RESPONSES = 64
LONGEST_TEXT = 100_000
"""Characters of an instruction, or of a response."""
USUAL_KIND = "sft"
_TRIAL = "dry-run"


@dataclass(frozen=True, slots=True)
class Trial:
    """The verdict that an instruction would get."""

    accepted: bool
    stage: str
    reason: str
    static_reason: str
    instruction: str
    responses: tuple[str, ...]
    rewards: tuple[float, ...]
    chosen: int
    scores: Mapping[str, float]
    usage: Usage
    response_model: str
    reward_model: str


class _Responding:
    """A model whose responses are overheard, or were given beforehand."""

    def __init__(self, model: ChatModel, given: Sequence[str]) -> None:
        self._model = model
        self._given = given
        self.responses: tuple[str, ...] = ()
        self.saved = 0
        """Calls that were not made."""

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Ask the model, unless it is about responses that were given."""
        if stage != "response":
            return await self._model.chat(role, stage, request)
        if self._given:
            completions = tuple(Completion(text.strip(), "stop") for text in self._given)
            answer = ChatAnswer(completions, "", 0, 0)
            self.saved += 1
        else:
            answer = await self._model.chat(role, stage, request)
        self.responses = tuple(whole_sentences(completion) for completion in answer.completions)
        return answer


class Trials:
    """Judges instructions that are no candidates."""

    def __init__(
        self,
        model: ChatModel,
        embedder: Embedder,
        prompts: dict[str, Prompt],
        kinds: Mapping[str, Kind],
        clock: Clock,
        workbench: Workbench | None = None,
    ) -> None:
        """Set up.

        Args:
            model: Is asked for responses and rewards.
            embedder: Of instructions.
            prompts: Of this service.
            kinds: Of datasets.
            clock: Of the verdicts.
            workbench: Where code is run.
        """
        self._model = model
        self._embedder = embedder
        self._prompts = prompts
        self._kinds = kinds
        self._clock = clock
        self._workbench = workbench or Workbench()

    async def judge(
        self, instruction: str, responses: Sequence[str], kind: str, overrides: Mapping[str, Any]
    ) -> Trial:
        """Return the verdict on an instruction as the first candidate of a dataset.

        Args:
            instruction: Its text.
            responses: Taken instead of sampling any.
            kind: Of the dataset; the usual one when empty.
            overrides: Settings of the filter that differ from the kind's.

        Raises:
            NotFound: no such kind.
            Rejected: no instruction, too many or too long texts, or a setting out of its range.
            Retryable: a model did not answer, or there is no sandbox for code.
        """
        _check_texts(instruction, responses)
        name = kind or USUAL_KIND
        found = find_kind(self._kinds, name)
        model = _Responding(self._model, responses)
        filtering = Filtering(
            unrecorded(model),
            self._embedder,
            self._prompts,
            self._kinds,
            self._clock,
            workbench=self._workbench,
        )
        filtering.set_dataset(
            DatasetDeclared(
                dataset=_TRIAL,
                kind=name,
                size=1,
                domain="",
                requirements=(),
                filter=overridden(found.filter, overrides),
                grants=(Grant(_TRIAL, 1),),
            )
        )
        candidate = InstructionGenerated(
            candidate_id=_TRIAL,
            dataset=_TRIAL,
            stratum=_TRIAL,
            kind=name,
            requirement=Requirement("", "", 0, ""),
            instruction=instruction,
            provenance=Provenance("", "", ""),
        )
        sample, _ = await filtering.judge(candidate)
        return _trial(sample, model)


def _check_texts(instruction: str, responses: Sequence[str]) -> None:
    if not instruction.strip():
        raise Rejected("no instruction: give the text that is to be judged")
    if len(responses) > MOST_RESPONSES:
        raise Rejected(f"{len(responses)} responses: give at most {MOST_RESPONSES}")
    longest = max(map(len, (instruction, *responses)))
    if longest > LONGEST_TEXT:
        raise Rejected(f"a text of {longest:,} characters: give at most {LONGEST_TEXT:,}")


def _trial(sample: SampleJudged, model: _Responding) -> Trial:
    return Trial(
        accepted=sample.accepted,
        stage=sample.stage,
        reason=sample.reason,
        static_reason=sample.reason if sample.stage == "static" else "",
        instruction=sample.messages[0].content,
        responses=model.responses,
        rewards=sample.rewards,
        chosen=sample.chosen,
        scores=sample.scores,
        usage=replace(sample.usage, calls=sample.usage.calls - model.saved),
        response_model=sample.provenance.response_model,
        reward_model=sample.provenance.reward_model,
    )
