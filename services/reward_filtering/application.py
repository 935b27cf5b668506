"""A candidate's way to its verdict: static rules, n responses, a reward for each, the decision."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from services.events import (
    ChatMessage,
    DatasetDeclared,
    InstructionGenerated,
    QuotaReleased,
    SampleJudged,
    Usage,
)
from services.reward_filtering.domain import Stratum, remember_accepted
from services.reward_filtering.near_duplicates import NearDuplicates, is_duplicate
from services.reward_filtering.static_filters import (
    StaticLimits,
    clean_instruction,
    static_reason,
)
from services.reward_filtering.verdicts import (
    Decision,
    ResponseLimits,
    best_of,
    decide_response,
    reward_from_logprobs,
)
from services.runtime.asking import whole_sentences
from services.runtime.errors import Rejected
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.ports import ChatAnswer, ChatRequest, Clock, Embedder, Message, Record
from services.runtime.prompts import Prompt

_UNJUDGED = -100.0
"""Reward of a response on which the judge gave no verdict."""


class Filtering:
    """The strata of all datasets that this process owns."""

    def __init__(
        self,
        journal: ModelJournal,
        embedder: Embedder,
        prompts: dict[str, Prompt],
        clock: Clock,
        owns: Callable[[str], bool] = lambda stratum: True,
    ) -> None:
        self.datasets: dict[str, DatasetDeclared] = {}
        self.strata: defaultdict[str, Stratum] = defaultdict(Stratum)
        self._duplicates: defaultdict[str, NearDuplicates] = defaultdict(NearDuplicates)
        self._journal = journal
        self._embedder = embedder
        self._prompts = prompts
        self._clock = clock
        self._owns = owns

    def set_dataset(self, dataset: DatasetDeclared) -> None:
        """Take a dataset's latest order."""
        self.datasets[dataset.dataset] = dataset
        for grant in dataset.grants:
            self.strata[f"{dataset.dataset}/{grant.stratum}"].grant(grant.granted, grant.recall)

    def restore(self, event: SampleJudged | QuotaReleased) -> None:
        """Take in what an earlier owner of the stratum decided."""
        if self.strata[f"{event.dataset}/{event.stratum}"].apply(event):
            self.remember(event)

    def remember(self, event: SampleJudged | QuotaReleased) -> None:
        """Keep what was accepted anywhere, so that the like of it is not accepted here.

        Strata of other owners are known when their verdicts have been read: until then, for a
        moment, near duplicates across strata may be accepted by both.
        """
        if isinstance(event, SampleJudged):
            remember_accepted(self._duplicates[event.dataset], event)

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Drop the strata that are somebody else's now; their quotas stay known."""
        for key in [key for key in self.strata if gone(key)]:
            stratum = self.strata[key]
            self.strata[key] = Stratum(granted=stratum.granted, recall=stratum.recall)

    def releases(self, dataset: DatasetDeclared) -> list[QuotaReleased]:
        """Return the quota that the dataset's own strata have to give back now."""
        due = []
        for grant in dataset.grants:
            key = f"{dataset.dataset}/{grant.stratum}"
            stratum = self.strata[key]
            if self._owns(key) and stratum.due():
                released = stratum.released + stratum.due()
                due.append(QuotaReleased(dataset.dataset, grant.stratum, released))
                stratum.released = released
        return due

    async def judge(self, candidate: InstructionGenerated) -> tuple[SampleJudged, list[Record]]:
        """Return the verdict on a candidate, and the journal's tombstones.

        The stratum takes it in before this returns, so that verdicts of one stratum follow each
        other; the measurements before it run side by side.

        Raises:
            Rejected: its dataset is not known here.
        """
        dataset = self.datasets.get(candidate.dataset)
        if dataset is None:
            raise Rejected(f"dataset {candidate.dataset!r} is not known: was it declared?")
        key = f"{candidate.dataset}/{candidate.stratum}"
        stratum = self.strata[key]
        unit = self._unit(candidate)
        instruction = clean_instruction(candidate.instruction)
        sample = SampleJudged(
            sample_id=candidate.candidate_id,
            dataset=candidate.dataset,
            stratum=candidate.stratum,
            kind=candidate.kind,
            requirement=candidate.requirement,
            accepted=False,
            reason="",
            stage="static",
            messages=(ChatMessage("user", instruction),),
            provenance=candidate.provenance,
            usage=candidate.usage,
            created_at=self._clock(),
        )
        if dataset.deleted:
            decided = replace(sample, reason="deleted", stage="quota")
            stratum.apply(decided)
            return decided, unit.forget()
        stages = dataset.filter.stages
        # Nothing to answer is no candidate, whatever the stages.
        reason = self._static(dataset, instruction) if "static" in stages or not instruction else ""
        if not reason:
            try:
                vectors = await self._embedder.embed([instruction])
                sample = replace(sample, embedding=tuple(vectors[0]))
            except Rejected:
                reason = "no_embedding"
        sample, reason = self._nearness(dataset, sample, reason)
        if not reason and stratum.room <= 0:
            reason = "quota_full"  # Before anything is paid for answers.
        if not reason:
            sample = await self._respond(dataset, sample, unit)
            # Others of the stratum were decided meanwhile: look again.
            sample, reason = self._nearness(dataset, sample, "")
        decided = (
            replace(sample, reason=reason, stage=_stage(reason), embedding=())
            if reason
            else self._decide(dataset, stratum, sample)
        )
        stratum.apply(decided)
        remember_accepted(self._duplicates[dataset.dataset], decided)
        return decided, unit.forget()

    def leftovers(self, candidate: InstructionGenerated) -> list[Record]:
        """Return the journal's tombstones of a judged candidate: a crash may have kept them."""
        return self._unit(candidate).forget()

    def _unit(self, candidate: InstructionGenerated) -> UnitOfWork:
        key = f"{candidate.dataset}/{candidate.stratum}"
        return self._journal.unit(f"verdict/{candidate.candidate_id}", key)

    def _static(self, dataset: DatasetDeclared, instruction: str) -> str:
        spec = dataset.filter
        limits = StaticLimits(spec.min_instruction_words, spec.max_instruction_words)
        return static_reason(instruction, limits)

    def _nearness(
        self, dataset: DatasetDeclared, sample: SampleJudged, reason: str
    ) -> tuple[SampleJudged, str]:
        """Return the sample with its distance to the nearest accepted one, and why it fails."""
        spec = dataset.filter
        if reason or "static" not in spec.stages:
            return sample, reason
        near = self._duplicates[dataset.dataset].nearest(
            sample.messages[0].content, list(sample.embedding)
        )
        scores = {
            **sample.scores,
            "nearest_jaccard": near.jaccard,
            "nearest_distance": near.distance,
        }
        duplicate = is_duplicate(near, spec.max_jaccard, spec.min_distance)
        return replace(sample, scores=scores), "near_duplicate" if duplicate else ""

    async def _respond(
        self, dataset: DatasetDeclared, sample: SampleJudged, unit: UnitOfWork
    ) -> SampleJudged:
        """Return the sample with its best response and all rewards."""
        instruction = sample.messages[0].content
        request = ChatRequest(
            (Message("user", instruction),),
            max_tokens=dataset.filter.max_response_tokens,
            n=max(1, dataset.filter.responses),
        )
        try:
            answer = await unit.chat("responses", "teacher", "response", request)
        except Rejected:
            return sample
        responses = [whole_sentences(completion) for completion in answer.completions]
        judged = await asyncio.gather(
            *(self._reward(instruction, text, i, unit) for i, text in enumerate(responses))
        )
        rewards = [reward for reward, _ in judged]
        chosen = best_of(rewards)
        verdicts = [verdict for _, verdict in judged if verdict is not None]
        usage = sum((_usage(call) for call in (answer, *verdicts)), sample.usage)
        return replace(
            sample,
            messages=(
                sample.messages[0],
                ChatMessage("assistant", responses[max(chosen, 0)]),
            ),
            rewards=tuple(_UNJUDGED if reward is None else reward for reward in rewards),
            chosen=chosen,
            usage=usage,
            provenance=replace(
                sample.provenance,
                response_model=answer.model,
                reward_model=verdicts[0].model if verdicts else "",
            ),
        )

    async def _reward(
        self, instruction: str, response: str, index: int, unit: UnitOfWork
    ) -> tuple[float | None, ChatAnswer | None]:
        if not response:
            return None, None
        prompt = self._prompts["judge"].render(instruction=instruction, response=response)
        request = ChatRequest(prompt, max_tokens=1, temperature=0.0, top_logprobs=20)
        try:
            answer = await unit.chat(f"judge/{index}", "reward", "judge", request)
        except Rejected:
            return None, None
        return reward_from_logprobs(answer.completions[0].first_token_logprobs), answer

    def _decide(
        self, dataset: DatasetDeclared, stratum: Stratum, sample: SampleJudged
    ) -> SampleJudged:
        spec = dataset.filter
        reward = sample.rewards[sample.chosen] if sample.chosen >= 0 else None
        threshold = stratum.rewards.quantile(spec.reward_quantile)
        decision = decide_response(
            sample.messages[-1].content if sample.chosen >= 0 else "",
            reward,
            kind=sample.kind,
            limits=ResponseLimits(spec.min_response_words, spec.max_response_words),
            threshold=threshold,
            seen=stratum.rewards.count,
            room=stratum.room,
        )
        scores = dict(sample.scores)
        if reward is not None:
            scores["reward_rank"] = stratum.rewards.rank(reward)
        if threshold is not None:
            scores["reward_threshold"] = threshold
        return replace(_with(sample, decision), scores=scores)


def _stage(reason: str) -> str:
    return "quota" if reason == "quota_full" else "static"


def _with(sample: SampleJudged, decision: Decision) -> SampleJudged:
    return replace(
        sample,
        accepted=decision.accepted,
        reason=decision.reason,
        stage=decision.stage,
        embedding=sample.embedding if decision.accepted else (),
    )


def _usage(answer: ChatAnswer) -> Usage:
    return Usage(1, answer.prompt_tokens, answer.completion_tokens)
