"""A stratum: what it has accepted, and what its next verdict depends on."""

from dataclasses import dataclass, field

from services.events import QuotaReleased, SampleJudged
from services.reward_filtering.near_duplicates import NearDuplicates
from services.reward_filtering.quantiles import RunningQuantiles
from services.reward_filtering.recipes.pairing import pair_of
from services.reward_filtering.recipes.refusing import is_benign
from services.reward_filtering.signal.pairs import PairQuantiles
from services.reward_filtering.verdicts import release_due


@dataclass(slots=True)
class Stratum:
    """The running state of a stratum; a pure function of its verdicts and grants."""

    granted: int = 0
    recall: int = 0
    released: int = 0
    accepted: int = 0
    judged: set[str] = field(default_factory=set)
    rewards: RunningQuantiles = field(default_factory=RunningQuantiles)
    pairs: PairQuantiles = field(default_factory=PairQuantiles)
    benign: int = 0
    """Accepted samples of a safety dataset whose request is harmless."""
    reward_model: str = ""
    student_model: str = ""
    """By whom `rewards` and `pairs` were measured."""

    @property
    def room(self) -> int:
        """Samples that may still be accepted."""
        return self.granted - self.released - self.accepted

    def grant(self, granted: int, recall: int) -> None:
        """Take the dataset's word on the quota; neither number ever falls."""
        self.granted = max(self.granted, granted)
        self.recall = max(self.recall, recall)

    def due(self) -> int:
        """Return how much quota is to be given back now."""
        return release_due(self.granted, self.recall, self.released, self.accepted)

    def meet(self, sample: SampleJudged) -> None:
        """Begin the quantiles anew when other models measured a sample than those before.

        Rewards of two models are of different scales, and another student is another policy: what
        is low for the one says nothing about the other.
        """
        made = sample.provenance
        if sample.chosen < 0:
            return
        if made.reward_model != self.reward_model:
            self.rewards, self.pairs = RunningQuantiles(), PairQuantiles()
        elif sample.rejected >= 0 and made.student_model != self.student_model:
            self.pairs = PairQuantiles()
        self.reward_model = made.reward_model
        if sample.rejected >= 0:
            self.student_model = made.student_model

    def apply(self, event: SampleJudged | QuotaReleased) -> bool:
        """Take in a verdict or a release; False when it is known already."""
        if isinstance(event, QuotaReleased):
            known = event.released <= self.released
            self.released = max(self.released, event.released)
            return not known
        if event.sample_id in self.judged:
            return False
        self.judged.add(event.sample_id)
        self.meet(event)
        if event.chosen >= 0:
            self.rewards.add(event.rewards[event.chosen])
        pair = pair_of(event)
        if pair is not None and pair.measured:
            self.pairs.add(pair)
        self.accepted += event.accepted
        self.benign += event.accepted and is_benign(event.requirement)
        return True


def remember_accepted(duplicates: NearDuplicates, sample: SampleJudged) -> None:
    """Keep an accepted instruction, so that the like of it is not accepted again."""
    if sample.accepted:
        instruction = sample.messages[0].content
        duplicates.add(sample.sample_id, instruction, list(sample.embedding) or None)
