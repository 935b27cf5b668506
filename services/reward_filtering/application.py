"""A candidate's way to its verdict: static rules, n responses, a reward for each, the decision."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from services.events import (
    ChatMessage,
    DatasetDeclared,
    InstructionGenerated,
    QuotaReleased,
    SampleJudged,
)
from services.kinds import Kind, find_kind
from services.reward_filtering import deciding
from services.reward_filtering.contamination import ContaminationIndex
from services.reward_filtering.domain import Stratum, remember_accepted
from services.reward_filtering.languages import language_reason
from services.reward_filtering.near_duplicates import Comparison, NearDuplicates, is_duplicate
from services.reward_filtering.recipes.answering import answered
from services.reward_filtering.recipes.coding import coded
from services.reward_filtering.recipes.conversing import conversed
from services.reward_filtering.recipes.desk import Desk
from services.reward_filtering.recipes.evaluating import evaluated
from services.reward_filtering.recipes.reasoning import reasoned
from services.reward_filtering.recipes.refusing import refused
from services.reward_filtering.static_filters import (
    StaticLimits,
    clean_instruction,
    static_reason,
)
from services.reward_filtering.workbench import Workbench
from services.runtime.errors import Rejected
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.ports import Clock, Embedder, Record
from services.runtime.prompts import Prompt

Recipe = Callable[[Desk, Kind, SampleJudged], Awaitable[SampleJudged]]
RECIPES: dict[str, Recipe] = {
    "answer": answered,
    "pair": answered,
    "conversation": conversed,
    "safety": refused,
    "reasoning": reasoned,
    "code": coded,
}


class Filtering:
    """The strata of all datasets that this process owns."""

    def __init__(
        self,
        journal: ModelJournal,
        embedder: Embedder,
        prompts: dict[str, Prompt],
        kinds: Mapping[str, Kind],
        clock: Clock,
        owns: Callable[[str], bool] = lambda stratum: True,
        workbench: Workbench | None = None,
        benchmarks: ContaminationIndex | None = None,
        held_out: bool = False,
    ) -> None:
        self.datasets: dict[str, DatasetDeclared] = {}
        self.strata: defaultdict[str, Stratum] = defaultdict(Stratum)
        self._duplicates: defaultdict[str, NearDuplicates] = defaultdict(NearDuplicates)
        self._journal = journal
        self._embedder = embedder
        self._prompts = prompts
        self._kinds = kinds
        self._clock = clock
        self._owns = owns
        self._workbench = workbench or Workbench()
        self._benchmarks = benchmarks
        self._held_out = held_out

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
            Retryable: a model gave no answer in spite of retries, or there is no sandbox for its
                code; it can be judged later, and nothing that was paid for is lost.
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
        kind = find_kind(self._kinds, dataset.kind)
        # Nothing to answer is no candidate, whatever the stages.
        reason = self._static(dataset, instruction) if "static" in stages or not instruction else ""
        if not reason and kind.runs_code:
            await self._workbench.ready()  # Before anything is paid for code that cannot be run.
        if not reason:
            try:
                vectors = await self._embedder.embed([instruction])
                sample = replace(sample, embedding=tuple(vectors[0]))
            except Rejected:
                reason = "no_embedding"
        compared = None
        if not reason and "static" in stages:
            compared = self._duplicates[dataset.dataset].compare(instruction, sample.embedding)
            sample, reason = _nearness(dataset, sample, compared)
        if not reason and stratum.room <= 0:
            reason = "quota_full"  # Before anything is paid for answers.
        if not reason:
            sample = await self._measured(dataset, kind, sample, unit)
            if compared is not None:  # Others were accepted meanwhile: look at those as well.
                sample, reason = _nearness(dataset, sample, compared)
        stratum.meet(sample)
        decided = (
            replace(sample, reason=reason, stage=_stage(reason), embedding=())
            if reason
            else deciding.decided(dataset.filter, kind.recipe, stratum, sample)
        )
        stratum.apply(decided)
        if decided.accepted and compared is not None:
            compared.add_as(decided.sample_id)
        else:
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
        reason = static_reason(instruction, limits) or language_reason(instruction, spec.language)
        if not reason and self._benchmarks is not None:
            reason = "contaminated" if self._benchmarks.is_contaminated(instruction) else ""
        return reason

    async def _measured(
        self, dataset: DatasetDeclared, kind: Kind, sample: SampleJudged, unit: UnitOfWork
    ) -> SampleJudged:
        """Return the sample with its responses and all that is measured of them."""
        judge = kind.prompts.get("judge", self._prompts["judge"])
        desk = Desk(unit, judge, dataset.filter, self._workbench.run_tests)
        measured = await RECIPES[kind.recipe](desk, kind, sample)
        if self._held_out:
            measured = await evaluated(desk, measured)
        return desk.signed(measured)


def _stage(reason: str) -> str:
    return "quota" if reason == "quota_full" else "static"


def _nearness(
    dataset: DatasetDeclared, sample: SampleJudged, compared: Comparison
) -> tuple[SampleJudged, str]:
    """Return the sample with its distance to the nearest accepted one, and why it fails."""
    spec, near = dataset.filter, compared.nearest()
    scores = {
        **sample.scores,
        "nearest_jaccard": near.jaccard,
        "nearest_words": near.words,
        "nearest_distance": near.distance,
    }
    duplicate = is_duplicate(
        near, spec.max_jaccard, spec.min_distance, max_words=spec.max_word_jaccard
    )
    return replace(sample, scores=scores), "near_duplicate" if duplicate else ""
