from collections import Counter
from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import AgentCard, Requirement, ScenarioExtracted
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.domain import (
    CLAIMS_AT_ONCE,
    LOOKAHEAD,
    REUSE_PENALTY,
    USES_PER_PAIR,
    Claim,
    GroupClaims,
    Progress,
    candidate_id,
    claims_at_once,
    claims_key,
    is_sated,
    pair_key,
    pair_of,
    stratum_of,
)
from services.instruction_generation.library import RegionLibrary
from services.runtime.errors import Rejected

COUNTS = st.integers(0, 200)


def scenario(name: str, agents: int = 2, *embedding: float) -> ScenarioExtracted:
    cards = tuple(AgentCard(f"{name}{number}", f"Person {number}", "") for number in range(agents))
    return ScenarioExtracted(name, "g", "r00", 0, 0, 2, "", cards, (), embedding or (1.0, 0.0))


def library(*scenarios: ScenarioExtracted) -> RegionLibrary:
    made = RegionLibrary()
    for each in scenarios:
        assert made.add(each)
    return made


def use(shelf: RegionLibrary, uses: int = 0, query: tuple[float, ...] = (1.0, 0.0)) -> str:
    """Use the best pair for dataset `d`; "" when there is none."""
    pair = shelf.best_pair("d", query, uses)
    if pair is None:
        return ""
    found, agent_id, index = pair
    shelf.use("d", found.scenario_id, agent_id)
    return f"{agent_id}/{index}"


@st.composite
def progresses(draw: st.DrawFn) -> Progress:
    granted, judged = draw(COUNTS), draw(COUNTS)
    accepted = draw(st.integers(0, min(granted, judged)))
    released = draw(st.integers(0, granted - accepted))
    claimed = judged + draw(COUNTS)
    return Progress(granted, 0, released, accepted, judged, claimed)


@pytest.mark.parametrize(
    ("progress", "wanted"),
    [
        (Progress(granted=10), 15),  # the prior expects 2 of 3
        (Progress(granted=10, claimed=15), 0),
        (Progress(granted=10, claimed=9), 6),
        (Progress(granted=10, accepted=4, judged=15, claimed=15), 18),  # 6 of 18 so far
        (Progress(granted=10, accepted=4, judged=15, claimed=15, released=2), 12),
        (Progress(granted=10, accepted=10, judged=15, claimed=15), 0),
        (Progress(granted=10, judged=97, claimed=97), CLAIMS_AT_ONCE),
        (Progress(), 0),
    ],
)
def test_as_many_candidates_are_wanted_as_fill_the_room_at_the_acceptance_rate_so_far(
    progress: Progress, wanted: int
) -> None:
    assert progress.wanted() == wanted


@given(progresses())
def test_what_is_wanted_never_exceeds_what_may_be_in_flight_and_is_nothing_without_room(
    progress: Progress,
) -> None:
    in_flight = progress.claimed - progress.judged
    wanted = progress.wanted()
    assert 0 <= wanted <= max(0, CLAIMS_AT_ONCE - in_flight)
    if progress.room == 0:
        assert wanted == 0
    elif in_flight == 0:
        assert wanted >= min(progress.room, CLAIMS_AT_ONCE)
    assert replace(progress, claimed=progress.claimed + wanted).wanted() == 0


@given(st.floats(0.001, 1000), st.floats(0.001, 1000))
def test_candidates_in_flight_go_by_weight(weight: float, larger: float) -> None:
    weight, larger = sorted((weight, larger))
    assert claims_at_once(larger, larger) == CLAIMS_AT_ONCE
    share = CLAIMS_AT_ONCE * weight / larger
    assert claims_at_once(weight, larger) == max(1, int(share))


@given(progresses(), st.integers(1, CLAIMS_AT_ONCE))
def test_no_more_is_wanted_than_the_share_of_the_dataset(progress: Progress, share: int) -> None:
    assert progress.wanted(share) + progress.in_work <= max(share, progress.in_work)


def test_who_knows_of_verdicts_only_knows_of_nothing_in_work() -> None:
    assert Progress(granted=9, judged=5, claimed=0).in_work == 0
    assert Progress(granted=9, accepted=5, judged=5).closing


def acceptance_rate(accepted: int, judged: int) -> Fraction:
    return Fraction(accepted + 2, judged + 3)


@given(st.integers(0, 99), st.integers(0, 99))
def test_the_expected_rate_is_hopeful_at_first_and_then_what_was_seen(a: int, r: int) -> None:
    assert Progress(granted=2).needed == 3
    assert Progress(granted=250 + 252, accepted=250, judged=1000).needed == 1003
    more = Progress(granted=a + 101, accepted=a + 1, judged=a + r + 1)
    fewer = Progress(granted=a + 100, accepted=a, judged=a + r + 1)
    assert more.room == fewer.room
    assert more.needed <= fewer.needed


@given(progresses(), st.integers(0, 99))
def test_the_candidates_needed_are_the_room_over_the_expected_rate_rounded_up(
    progress: Progress, lost: int
) -> None:
    for each in (progress, replace(progress, released=progress.released + lost)):
        rate = acceptance_rate(each.accepted, each.judged)
        assert each.needed == ceil(each.room / rate)


def test_the_scenario_most_relevant_to_the_requirement_is_taken() -> None:
    shelf = library(scenario("a", 2, 1, 0), scenario("b", 2, 0.6, 0.8), scenario("c", 2, 0, 1))
    for query, expected in [((1.0, 0.0), "a"), ((0.0, 1.0), "c"), ((0.7, 0.7), "b")]:
        pair = shelf.best_pair("d", query)
        assert pair is not None
        assert pair[0].scenario_id == expected


@given(st.floats(0, 1), st.integers(0, 3))
def test_a_use_costs_a_scenario_some_relevance(advantage: float, used: int) -> None:
    shelf = library(scenario("near", 4, 1, 0), scenario("far", 4, 1 - advantage, 0))
    for number in range(used):
        shelf.use("d", "near", f"near{number}")
    cost = REUSE_PENALTY * used / 4
    if abs(advantage - cost) > 1e-6:
        assert use(shelf).startswith("near" if advantage > cost else "far")


def test_agents_of_a_scenario_take_turns() -> None:
    shelf = library(scenario("a", 3))
    taken = [use(shelf, uses=1) for _ in range(6)]
    assert taken == ["a0/0", "a1/0", "a2/0", "a0/1", "a1/1", "a2/1"]


def test_used_pairs_are_not_taken_unless_they_are_asked_for() -> None:
    shelf = library(scenario("a", 2, 1, 0), scenario("b", 1, -1, 0))
    assert [use(shelf) for _ in range(4)] == ["a0/0", "a1/0", "b0/0", ""]
    assert shelf.least_uses("d") == 1
    shelf.add(scenario("c", 1, 0, 1))
    assert shelf.least_uses("d") == 0
    assert [use(shelf) for _ in range(2)] == ["c0/0", ""]
    assert use(shelf, uses=1) == "a0/1"
    assert shelf.least_uses("d") == 1


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.data())
def test_all_pairs_are_used_in_rounds_until_each_had_its_uses(
    sizes: list[int], data: st.DataObject
) -> None:
    queries = st.sampled_from([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)])
    shelf = library(
        *(scenario(f"s{n}-", size, *data.draw(queries)) for n, size in enumerate(sizes))
    )
    query = data.draw(queries)
    taken = []
    while pair := use(shelf, shelf.least_uses("d"), query):
        taken.append(pair.split("/"))
    assert Counter(agent for agent, _ in taken) == {
        f"s{n}-{agent}": USES_PER_PAIR for n, size in enumerate(sizes) for agent in range(size)
    }
    rounds = [int(index) for _, index in taken]
    assert rounds == sorted(rounds)
    assert shelf.least_uses("d") == USES_PER_PAIR
    assert use(shelf, uses=99, query=query) == ""


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_unused_pairs_are_counted_for_each_dataset_apart(sizes: list[int]) -> None:
    shelf = library(*(scenario(f"s{n}-", size) for n, size in enumerate(sizes)))
    for done in range(4):
        assert shelf.unused_pairs("d") == max(0, sum(sizes) - done)
        assert shelf.unused_pairs("other") == sum(sizes)
        use(shelf)
    again = shelf.best_pair("other", (1.0, 0.0))
    assert again is not None
    assert again[2] == 0


def test_a_pair_used_again_is_one_pair_used() -> None:
    shelf = library(scenario("a", 3))
    shelf.use("d", "a", "a0", times=2)
    assert shelf.unused_pairs("d") == 2
    assert [use(shelf) for _ in range(2)] == ["a1/0", ""]


@given(st.data())
def test_uses_are_the_larger_of_claims_and_verdicts_whenever_the_scenario_comes(
    data: st.DataObject,
) -> None:
    shelf = RegionLibrary()
    steps = data.draw(st.permutations([*"cccvvv", "scenario"]))
    claimed: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for step in steps:
        agent = data.draw(st.sampled_from(["a0", "a1"]))
        if step == "scenario":
            shelf.add(scenario("a", 3))
        elif step == "c":
            shelf.use("d", "a", agent)
            claimed[agent] += 1
        else:
            shelf.judge("d", "a", agent)
            judged[agent] += 1
    assert shelf.unused_pairs("d") == 3 - len(claimed | judged)
    assert shelf.least_uses("d") == sum((claimed | judged).values()) // 3
    shelf.forget_claims("d")
    assert shelf.unused_pairs("d") == 3 - len(judged)
    assert shelf.least_uses("d") == sum(judged.values()) // 3
    found = shelf.best_pair("d", (1.0, 0.0), USES_PER_PAIR)
    assert found is not None
    assert (found[1] in judged, found[2]) == (False, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("add", "use", "judge", "forget")),
            st.integers(0, 3),
            st.integers(0, 2),
        ),
        max_size=40,
    )
)
def test_there_is_a_fresh_pair_as_long_as_one_is_found(ops: list[tuple[str, int, int]]) -> None:
    shelf = RegionLibrary()
    for op, number, agent in ops:
        name = f"s{number}"
        if op == "add":
            shelf.add(scenario(name, number))
        elif op == "use":
            shelf.use("d", name, f"{name}{agent}")
        elif op == "judge":
            shelf.judge("d", name, f"{name}{agent}")
        else:
            shelf.forget_claims("d")
        for dataset in ("d", "other"):
            for uses in range(USES_PER_PAIR):
                found = shelf.best_pair(dataset, (1.0, 0.0), uses)
                assert shelf.has_pair(dataset, uses) is (found is not None)


def test_a_scenario_without_a_direction_is_relevant_to_nothing() -> None:
    shelf = RegionLibrary()
    for each in (replace(scenario("a", 1), embedding=()), scenario("b", 1, 0.6, 0.8)):
        assert shelf.add(each)
    assert [use(shelf, query=(0.0, 1.0)) for _ in range(2)] == ["b0/0", "a0/0"]


def test_a_scenario_is_taken_in_once_and_not_without_people() -> None:
    shelf = library(scenario("a", 2))
    assert not shelf.add(scenario("a", 2))
    assert not shelf.add(scenario("b", 0))
    assert [each.scenario_id for each in shelf.scenarios] == ["a"]
    assert shelf.get("b") is None
    assert shelf.unused_pairs("d") == 2


def test_an_empty_library_has_nothing_to_use() -> None:
    shelf = RegionLibrary()
    assert use(shelf, uses=USES_PER_PAIR) == ""
    assert shelf.least_uses("d") == USES_PER_PAIR
    assert shelf.unused_pairs("d") == 0


def test_without_a_direction_scenarios_take_turns() -> None:
    shelf = library(scenario("a", 2, 1, 0), scenario("b", 2, 0, 1))
    assert [use(shelf, query=()) for _ in range(4)] == ["a0/0", "b0/0", "a1/0", "b1/0"]


@given(progresses(), COUNTS)
def test_a_region_is_sated_with_twice_the_pairs_that_are_still_needed(
    progress: Progress, unused: int
) -> None:
    assert is_sated(progress, unused) is (unused >= LOOKAHEAD * progress.needed)
    assert is_sated(replace(progress, released=progress.released + progress.room), 0)


def test_claims_say_which_candidates_are_made_and_survive_the_log() -> None:
    asked = Requirement("q", "advice", 1, "question")
    open_ = Claim(candidate_id("d", "s", "a", 1), "d", "r00", "s", "a", 1, asked, "g")
    claims = GroupClaims({pair_key("s", "a"): 2, pair_key("s", "b"): 1}, (open_,))
    assert claims.closed("d") == [candidate_id("d", "s", "a", 0), candidate_id("d", "s", "b", 0)]
    assert GROUP_CLAIMS.decode(GROUP_CLAIMS.encode(claims)) == claims
    assert (open_.key, claims_key(open_)) == ("d/r00", "d/r00/g")
    assert stratum_of(claims_key(open_)) == ("d", "r00")
    assert pair_of(pair_key("s", "a")) == ("s", "a")


def test_claims_of_an_earlier_version_are_refused_and_told_what_to_do() -> None:
    with pytest.raises(Rejected, match=r"'g' is not DATASET/STRATUM/GROUP: .* empty directory"):
        stratum_of("g")
