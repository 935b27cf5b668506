import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.events import Provenance, Requirement, SampleJudged
from services.instruction_generation.domain import KEPT
from services.instruction_generation.quotas import HOPELESS, StratumProgress, divide, rebalance
from services.instruction_generation.steering import Outcomes

WEIGHTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.floats(min_value=0, max_value=1e12),
    min_size=1,
    max_size=16,
)


def progress(
    granted: int = 0,
    accepted: int = 0,
    recall: int = 0,
    released: int = 0,
    failures: int = 0,
    exhausted: bool = False,
    value: float = 1.0,
    keep: int = 0,
) -> StratumProgress:
    return StratumProgress(granted, recall, released, accepted, failures, exhausted, value, keep)


@given(st.integers(0, 100_000), WEIGHTS)
def test_parts_sum_to_the_size_and_are_within_one_of_their_share(
    size: int, weights: dict[str, float]
) -> None:
    parts = divide(size, weights)
    assert parts.keys() == weights.keys()
    assert sum(parts.values()) == size
    total = sum(map(Fraction, weights.values()))
    if total:
        for name, part in parts.items():
            assert abs(part - size * Fraction(weights[name]) / total) < 1


@given(st.integers(0, 100_000), WEIGHTS)
def test_a_division_is_that_of_exact_fractions(size: int, weights: dict[str, float]) -> None:
    shares = {name: Fraction(weight) for name, weight in weights.items()}
    if not any(shares.values()):
        shares = dict.fromkeys(shares, Fraction(1))
    exact = {name: size * share / sum(shares.values()) for name, share in shares.items()}
    expected = {name: math.floor(share) for name, share in exact.items()}
    left = size - sum(expected.values())
    for name in sorted(exact, key=lambda name: (expected[name] - exact[name], name))[:left]:
        expected[name] += 1
    assert divide(size, weights) == expected


def test_the_largest_remainders_go_first_and_ties_by_name() -> None:
    assert divide(10, {"a": 1, "b": 2, "c": 3}) == {"a": 2, "b": 3, "c": 5}
    assert divide(5, {"c": 1, "b": 1, "a": 1}) == {"c": 1, "b": 2, "a": 2}
    assert divide(4, {"a": 0, "b": 0, "c": 0}) == {"a": 2, "b": 1, "c": 1}
    assert divide(7, {"a": 0, "b": 0.1}) == {"a": 0, "b": 7}


@pytest.mark.parametrize(
    ("size", "weights", "message"),
    [
        (-1, {"a": 1.0}, "size -1"),
        (1, {}, "no strata"),
        (1, {"a": -0.5}, "weight -0.5 of stratum 'a'"),
        (1, {"a": math.nan}, "weight nan"),
        (1, {"a": math.inf}, "weight inf"),
    ],
)
def test_divisions_that_mean_nothing_are_refused(
    size: int, weights: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        divide(size, weights)


def test_nothing_moves_while_all_have_room() -> None:
    strata = {"a": progress(5, 2), "b": progress(5, 1, failures=20)}
    assert rebalance(10, strata) == {"a": (5, 0), "b": (5, 0)}


def test_an_exhausted_stratum_is_asked_for_all_of_its_room() -> None:
    strata = {"a": progress(5, 5), "b": progress(5, 1, exhausted=True)}
    assert rebalance(10, strata) == {"a": (5, 0), "b": (5, 4)}


def test_an_unlucky_stratum_is_asked_for_half_of_its_room_once() -> None:
    strata = {"a": progress(5, 5), "b": progress(8, 1, failures=8)}
    assert rebalance(13, strata) == {"a": (5, 0), "b": (8, 3)}
    asked = {"a": progress(5, 5), "b": progress(8, 1, recall=3, failures=9)}
    assert rebalance(13, asked) == {"a": (5, 0), "b": (8, 3)}
    last = {"a": progress(5, 5), "b": progress(8, 4, recall=3, released=3, failures=9)}
    assert rebalance(13 - 3, last) == {"a": (5, 0), "b": (8, 4)}


def test_nobody_is_asked_for_the_sake_of_strata_that_cannot_take_it() -> None:
    exhausted = {"a": progress(5, 5, exhausted=True), "b": progress(5, 1, exhausted=True)}
    assert rebalance(10, exhausted) == {"a": (5, 0), "b": (5, 0)}
    unlucky = {"a": progress(5, 5, failures=8), "b": progress(5, 1, failures=8)}
    assert rebalance(10, unlucky) == {"a": (5, 0), "b": (5, 0)}


def test_free_quota_goes_to_those_that_accept_and_levels_their_rooms() -> None:
    strata = {
        "full": progress(5, 5),
        "roomy": progress(5, 2),
        "unproven": progress(1, 0),
        "unlucky": progress(4, 2, failures=8),
        "exhausted": progress(4, 2, recall=2, released=2, exhausted=True),
    }
    moved = rebalance(22, strata)
    assert moved == {
        "full": (9, 0),
        "roomy": (6, 0),
        "unproven": (1, 0),
        "unlucky": (4, 0),
        "exhausted": (4, 2),
    }


def test_of_lucky_strata_one_that_owes_gets_free_quota_last() -> None:
    strata = {"owing": progress(5, 5, recall=3), "other": progress(5, 4)}
    assert rebalance(12, strata) == {"owing": (5, 3), "other": (7, 0)}
    without_luck = {**strata, "other": progress(5, 4, failures=8)}
    assert rebalance(12, without_luck) == {"owing": (7, 3), "other": (5, 0)}


def test_free_quota_goes_by_value_beside_the_room_that_there_is() -> None:
    strata = {
        "a": progress(1, 1, value=3.0),
        "b": progress(1, 1),
        "c": progress(5, value=0.5, keep=5),
    }
    assert rebalance(15, strata) == {"a": (7, 0), "b": (3, 0), "c": (5, 0)}
    assert rebalance(7, strata) == {"a": (1, 0), "b": (1, 0), "c": (5, 0)}


def test_a_stratum_of_half_the_value_gives_a_full_one_half_of_what_it_need_not_keep() -> None:
    full = progress(10, 10, value=2.1)
    assert rebalance(20, {"a": full, "b": progress(10, 1, keep=5)}) == {"a": (10, 0), "b": (10, 2)}
    taken = progress(10, 1, recall=2, released=2, keep=5)
    assert rebalance(18, {"a": full, "b": taken}) == {"a": (10, 0), "b": (10, 3)}
    least = progress(10, 1, recall=5, released=5, keep=5)
    assert rebalance(15, {"a": full, "b": least}) == {"a": (10, 0), "b": (10, 5)}
    for other in (
        progress(10, 10, value=1.9),  # No more than twice as much.
        progress(10, 9, value=2.1),  # Not full.
        progress(10, 10, value=2.1, failures=8),  # Without luck.
        progress(10, 10, value=2.1, exhausted=True),
    ):
        moved = rebalance(20, {"a": other, "b": progress(10, 1, keep=5)})
        assert moved["b"] == (10, 0)


@pytest.mark.parametrize(("keep", "accepted", "patience"), [(0, 0, 8), (1, 0, 8), (2, 0, 16),
    (3, 1, 16), (50, 0, 32), (50, 45, 32), (50, 49, 8)])  # fmt: skip
def test_an_unlucky_stratum_keeps_its_part_until_it_is_hopeless(
    keep: int, accepted: int, patience: int
) -> None:
    def asked(failures: int) -> int:
        each = progress(keep + 2, accepted, failures=failures, keep=keep)
        return rebalance(keep + 12, {"a": progress(10, 10), "b": each})["b"][1]

    assert asked(7) == 0
    assert asked(8) == (1 if patience > 8 else max(1, (keep + 2 - accepted) // 2))
    assert asked(patience - 1) == (1 if patience > 8 else 0)
    assert asked(patience) == max(1, (keep + 2 - accepted) // 2)


def test_free_quota_waits_while_all_are_exhausted() -> None:
    assert rebalance(10, {"a": progress(3, 3, exhausted=True)}) == {"a": (3, 0)}


SIZES = st.integers(1, 40)
NAMES = ("a", "b", "c", "d")


@st.composite
def consistent(draw: st.DrawFn) -> StratumProgress:
    accepted, released, room = (draw(st.integers(0, 20)) for _ in range(3))
    recall = released + draw(st.integers(0, 10))
    return StratumProgress(
        granted=accepted + released + room,
        recall=recall,
        released=released,
        accepted=accepted,
        failures_since_accept=draw(st.integers(0, 12)),
        exhausted=draw(st.booleans()),
        value=draw(st.floats(0.01, 10)),
        keep=draw(st.integers(0, 20)),
    )


@given(st.dictionaries(st.sampled_from(NAMES), consistent(), min_size=1), st.integers(0, 30))
def test_moves_are_monotone_within_the_size_and_within_room(
    strata: dict[str, StratumProgress], spare: int
) -> None:
    size = sum(each.granted - each.released for each in strata.values()) + spare
    moved = rebalance(size, strata)
    assert moved.keys() == strata.keys()
    free = size - sum(granted - strata[name].released for name, (granted, _) in moved.items())
    assert 0 <= free <= spare
    if any(not each.exhausted for each in strata.values()):
        assert free == 0
    for name, (granted, recall) in moved.items():
        assert granted >= strata[name].granted
        assert recall >= strata[name].recall
        if recall > strata[name].recall:
            assert recall - strata[name].released <= strata[name].room


def levelled(amount: int, strata: dict[str, StratumProgress]) -> dict[str, int]:
    """Return what each gets of free quota, reckoned in fractions."""
    values = {name: Fraction(each.value) for name, each in strata.items()}
    filled, held, weight = [], amount, Fraction(0)
    for name in sorted(strata, key=lambda name: (strata[name].room / values[name], name)):
        if strata[name].room * weight >= held * values[name]:
            break
        filled.append(name)
        held, weight = held + strata[name].room, weight + values[name]
    exact = {name: held * values[name] / weight - strata[name].room for name in filled}
    parts = {name: math.floor(share) for name, share in exact.items()}
    left = amount - sum(parts.values())
    for name in sorted(parts, key=lambda name: parts[name] - exact[name])[:left]:
        parts[name] += 1
    return parts


@given(st.dictionaries(st.sampled_from(NAMES), consistent(), min_size=1), st.integers(0, 100))
def test_free_quota_is_levelled_as_in_exact_fractions(
    strata: dict[str, StratumProgress], free: int
) -> None:
    alike = {
        name: dataclasses.replace(
            each, recall=each.released, accepted=each.accepted + 1, failures_since_accept=0,
            exhausted=False,
        )
        for name, each in strata.items()
    }  # fmt: skip
    size = sum(each.granted - each.released for each in alike.values()) + free
    expected = levelled(free, alike)
    moved = rebalance(size, alike)
    gifts = {name: granted - alike[name].granted for name, (granted, _) in moved.items()}
    assert {name: gift for name, gift in gifts.items() if gift} == {
        name: part for name, part in expected.items() if part
    }


@dataclass
class Owner:
    """A stratum's side of the protocol, as reward filtering keeps it."""

    granted: int = 0
    recall: int = 0
    released: int = 0
    accepted: int = 0
    failures: int = 0

    @property
    def room(self) -> int:
        return self.granted - self.released - self.accepted


class QuotaProtocol(RuleBasedStateMachine):
    """A dataset's owner and four strata whose messages arrive late, in order, and maybe twice."""

    @initialize(size=SIZES, weights=st.lists(st.integers(0, 5), min_size=4, max_size=4))
    def start(self, size: int, weights: list[int]) -> None:
        self.size = size
        self.owners = {name: Owner() for name in NAMES}
        self.exhausted = dict.fromkeys(NAMES, False)
        shares = divide(size, dict(zip(NAMES, map(float, weights), strict=True)))
        self.known = {name: progress(granted=share) for name, share in shares.items()}
        self.orders: dict[str, list[tuple[int, int]]] = {name: [] for name in NAMES}
        self.news: dict[str, list[tuple[int, int, int]]] = {name: [] for name in NAMES}
        self.declare()

    def declare(self) -> None:
        for name, each in self.known.items():
            self.orders[name].append((each.granted, each.recall))

    def tell(self, name: str) -> None:
        owner = self.owners[name]
        self.news[name].append((owner.released, owner.accepted, owner.failures))

    @rule(name=st.sampled_from(NAMES), good=st.booleans())
    def judge(self, name: str, good: bool) -> None:
        owner = self.owners[name]
        if self.exhausted[name] or owner.room <= 0:
            return
        owner.accepted += good
        owner.failures = 0 if good else owner.failures + 1
        self.tell(name)

    @rule(name=st.sampled_from(NAMES))
    def release(self, name: str) -> None:
        owner = self.owners[name]
        # The rule of release_due in reward filtering, from its description in the protocol.
        due = max(0, min(owner.recall - owner.released, owner.room))
        if due:
            owner.released += due
            self.tell(name)

    @rule(name=st.sampled_from(NAMES), repeat=st.booleans())
    def deliver_order(self, name: str, repeat: bool) -> None:
        if self.orders[name]:
            granted, recall = self.orders[name][0]
            owner = self.owners[name]
            owner.granted, owner.recall = max(owner.granted, granted), max(owner.recall, recall)
            if not repeat:
                del self.orders[name][0]

    @rule(name=st.sampled_from(NAMES))
    def deliver_news(self, name: str) -> None:
        if self.news[name]:
            released, accepted, failures = self.news[name].pop(0)
            self.known[name] = dataclasses.replace(
                self.known[name],
                released=released,
                accepted=accepted,
                failures_since_accept=failures,
            )

    @rule(name=st.sampled_from(NAMES), exhausted=st.booleans())
    def run_dry(self, name: str, exhausted: bool) -> None:
        self.exhausted[name] = exhausted
        self.known[name] = dataclasses.replace(self.known[name], exhausted=exhausted)

    @rule(name=st.sampled_from(NAMES), value=st.floats(0.01, 10), keep=st.integers(0, 10))
    def learn(self, name: str, value: float, keep: int) -> None:
        self.known[name] = dataclasses.replace(self.known[name], value=value, keep=keep)

    @rule()
    def move(self) -> None:
        before = self.known
        moved = rebalance(self.size, before)
        self.known = {
            name: dataclasses.replace(before[name], granted=granted, recall=recall)
            for name, (granted, recall) in moved.items()
        }
        if self.known != before:
            self.declare()

    def settle(self) -> None:
        for name in NAMES:
            while self.orders[name]:
                self.deliver_order(name, False)
            self.release(name)
            while self.news[name]:
                self.deliver_news(name)

    @invariant()
    def never_more_than_the_size(self) -> None:
        if hasattr(self, "owners"):
            assert sum(owner.accepted for owner in self.owners.values()) <= self.size
            held = sum(
                each.granted - self.owners[name].released for name, each in self.known.items()
            )
            assert held <= self.size
            assert all(owner.room >= 0 for owner in self.owners.values())

    def teardown(self) -> None:
        """From wherever the run got to, the last stratum with raw material fills the dataset."""
        if not hasattr(self, "owners"):
            return
        last = NAMES[self.size % len(NAMES)]
        for name in NAMES:
            self.run_dry(name, name != last)
        rounds = 0
        while sum(owner.accepted for owner in self.owners.values()) < self.size:
            self.settle()
            while self.owners[last].room > 0:
                self.judge(last, True)
            self.settle()
            self.move()
            self.never_more_than_the_size()
            rounds += 1
            # Debts of the past bounce at most once each; the rest moves in a few rounds.
            assert rounds <= self.size + 10, (self.known, self.owners)
        assert sum(owner.accepted for owner in self.owners.values()) == self.size


QuotaProtocol.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
TestQuotaProtocol = QuotaProtocol.TestCase


def test_a_stratum_without_luck_gives_way_step_by_step() -> None:
    strata = {"lucky": progress(10), "unlucky": progress(30)}
    asked = []
    for _ in range(40):
        lucky, unlucky = strata["lucky"], strata["unlucky"]
        if lucky.accepted == 40:
            break
        moved = rebalance(
            40,
            {
                "lucky": dataclasses.replace(lucky, accepted=lucky.accepted + lucky.room),
                "unlucky": dataclasses.replace(
                    unlucky, failures_since_accept=unlucky.failures_since_accept + 8
                ),
            },
        )
        released = moved["unlucky"][1]
        asked.append(released - unlucky.released)
        strata = {
            "lucky": progress(moved["lucky"][0], lucky.accepted + lucky.room),
            "unlucky": progress(30, 0, moved["unlucky"][1], released, failures=8),
        }
    assert strata["lucky"].accepted == 40
    assert [each for each in asked if each] == [15, 7, 4, 2, 1, 1]


@given(
    st.lists(consistent(), min_size=2, max_size=4),
    st.integers(0, 30),
)
def test_value_alone_takes_no_stratum_below_what_it_keeps(
    strata: list[StratumProgress], spare: int
) -> None:
    lucky = {
        name: dataclasses.replace(each, failures_since_accept=0, exhausted=False)
        for name, each in zip(NAMES, strata, strict=False)
    }
    size = sum(each.granted - each.released for each in lucky.values()) + spare
    for name, (_, recall) in rebalance(size, lucky).items():
        each = lucky[name]
        if recall > each.recall:
            assert each.granted - recall >= each.keep
            assert each.value < 2 * max(other.value for other in lucky.values())


def filled_with(steer: str) -> tuple[float, Counter[str]]:
    """Fill a dataset of 2000 from 4 strata; return tokens per accepted sample, and their sizes."""
    rates = {"a": 0.7, "b": 0.7, "c": 0.2, "d": 0.2}
    random, outcomes, tokens = Random(0), Outcomes(), 0
    requirement = Requirement("r000", "task", 1, "plain")
    known = {name: progress(500, keep=int(KEPT * 500)) for name in rates}
    while sum(each.accepted for each in known.values()) < 2000:
        filling = [name for name, each in known.items() if each.room > 0]
        shares = outcomes.shares(filling, 0, steer)
        (name,) = random.choices(list(shares), list(shares.values()))
        accepted = random.random() < rates[name]
        each = known[name]
        known[name] = dataclasses.replace(
            each,
            accepted=each.accepted + accepted,
            failures_since_accept=0 if accepted else each.failures_since_accept + 1,
        )
        source = Provenance("s", "g", "a")
        outcomes.add(SampleJudged("", "d", name, "sft", requirement, accepted, "", "", (), source))
        tokens += 900
        # Nobody is late here: what is asked for is given back at once.
        valued = {
            name: dataclasses.replace(each, value=outcomes.value(name, steer))
            for name, each in known.items()
        }
        for name, (granted, recall) in rebalance(2000, valued).items():
            each = known[name]
            due = max(0, min(recall - each.released, each.room))
            known[name] = dataclasses.replace(
                each, granted=granted, recall=recall, released=each.released + due
            )
    return tokens / 2000, Counter({name: each.accepted for name, each in known.items()})


def test_steering_saves_tokens_and_leaves_every_stratum_its_part() -> None:
    plain, even = filled_with("none")
    steered, sizes = filled_with("acceptance")
    print(f"tokens per sample: {plain:.0f}, steered {steered:.0f}; {dict(even)}, {dict(sizes)}")
    assert steered < 0.9 * plain
    assert sum(sizes.values()) == 2000
    # Of what it keeps, the last few may be given up for bad luck.
    assert min(*sizes.values(), *even.values()) >= int(KEPT * 500) - HOPELESS
