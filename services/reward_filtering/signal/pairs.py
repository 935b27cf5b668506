"""Preference pairs, and where they stand among the pairs that their stratum has seen."""

from dataclasses import dataclass, field

from services.reward_filtering.quantiles import LARGEST, RunningQuantiles, slack


@dataclass(frozen=True, slots=True)
class Pair:
    """What a band asks of a preference pair.

    Raises:
        ValueError: A length is negative.
    """

    chosen_reward: float
    """Not finite when it could not be measured."""
    rejected_reward: float
    """From the same reward model, in the same unit."""
    chosen_length: int
    """Words or tokens: the same of both, and throughout the stratum."""
    rejected_length: int

    def __post_init__(self) -> None:
        if self.chosen_length < 0 or self.rejected_length < 0:
            raise ValueError(f"lengths {self.chosen_length}, {self.rejected_length}: negative")

    @property
    def gap(self) -> float:
        """Chosen minus rejected reward; negative when the reward model prefers the rejected."""
        return self.chosen_reward - self.rejected_reward

    @property
    def measured(self) -> bool:
        """Whether the rewards and their gap are numbers that have a rank."""
        # Comparisons with NaN are false.
        return abs(self.rejected_reward) <= LARGEST and abs(self.gap) <= LARGEST


@dataclass(frozen=True, slots=True)
class PairRanks:
    """Where a pair stood in its stratum: shares of the earlier pairs below it, in [0, 1].

    A tie counts half; 0.5 before the first pair. Estimates: off by about 0.01 at most, and by a
    few hundredths among ties.
    """

    rejected_reward: float
    rejected_length: float
    gap: float


def _mid_rank(x: float, seen: RunningQuantiles) -> float:
    return (seen.rank(x - slack(x)) + seen.rank(x + slack(x))) / 2


@dataclass(slots=True)
class PairQuantiles:
    """The pairs that a stratum has seen; a pure function of them and their order."""

    rejected_reward: RunningQuantiles = field(default_factory=RunningQuantiles)
    rejected_length: RunningQuantiles = field(default_factory=RunningQuantiles)
    gap: RunningQuantiles = field(default_factory=RunningQuantiles)

    @property
    def count(self) -> int:
        """Pairs seen."""
        return self.gap.count

    def add(self, pair: Pair) -> None:
        """Take in a pair, kept or not.

        Raises:
            ValueError: Its gap is no finite number; nothing was taken in.
        """
        if not pair.measured:
            raise ValueError(
                f"cannot rank a pair with rewards {pair.chosen_reward}, {pair.rejected_reward}: "
                "add measured pairs only"
            )
        self.rejected_reward.add(pair.rejected_reward)
        self.rejected_length.add(pair.rejected_length)
        self.gap.add(pair.gap)

    def ranks(self, pair: Pair) -> PairRanks:
        """Return where a measured pair stands among those seen.

        Raises:
            ValueError: One of its rewards is NaN.
        """
        return PairRanks(
            rejected_reward=_mid_rank(pair.rejected_reward, self.rejected_reward),
            rejected_length=_mid_rank(pair.rejected_length, self.rejected_length),
            gap=_mid_rank(pair.gap, self.gap),
        )
