from dataclasses import replace

import pytest

from services.events import (
    AgentCard,
    Appetite,
    DatasetDeclared,
    Grant,
    PopulationSet,
    Provenance,
    QuotaReleased,
    Requirement,
    SampleJudged,
    ScenarioExtracted,
    SocietyImported,
    Usage,
)
from services.instruction_generation.domain import USES_PER_PAIR, DatasetStatus
from services.instruction_generation.orders import deleted, ordered, paused
from services.instruction_generation.overview import Overview
from services.kinds import load_kinds
from services.runtime.errors import NotFound, Rejected

KINDS = load_kinds()
ASKED = Requirement("q", "advice", 1, "question")


def order(size: int = 4) -> DatasetDeclared:
    return ordered(KINDS, "d", "sft", size, "", {"r00": 1, "r01": 1}, 0, 0.0)


def scenario(name: str, agents: int = 2, region: str = "r00") -> ScenarioExtracted:
    cards = tuple(AgentCard(f"{name}{number}", f"Person {number}", "") for number in range(agents))
    return ScenarioExtracted(name, "g", region, 0, 0, 2, "", cards, (), (1.0, 0.0))


def verdict(name: str, accepted: bool = True, reason: str = "", at: float = 0.0) -> SampleJudged:
    return SampleJudged(
        sample_id=name,
        dataset="d",
        stratum="r00",
        kind="sft",
        requirement=ASKED,
        accepted=accepted,
        reason=reason,
        stage="",
        messages=(),
        provenance=Provenance("s", "g", "s0"),
        usage=Usage(2, 30, 4),
        created_at=at,
    )


def told(*events: object) -> Overview:
    overview = Overview()
    for event in events:
        overview.learn(event)
    return overview


def test_a_status_counts_what_was_judged_once() -> None:
    events = [
        order(),
        verdict("a", at=8.0),
        verdict("b", False, "length", at=9.0),
        verdict("c", False, "length", at=7.0),
        verdict("d", False, "refusal"),
    ]
    assert told(*events, *events).status("d") == DatasetStatus(
        dataset="d",
        state="resting",
        size=4,
        wanted=3,
        accepted=1,
        judged=4,
        claimed=4,
        rejected={"length": 2, "refusal": 1},
        usage=Usage(8, 120, 16),
        newest_at=9.0,
    )


def test_a_dataset_that_was_never_ordered_has_no_status() -> None:
    with pytest.raises(NotFound, match="dataset 'd' is not known"):
        Overview().status("d")


def test_a_dataset_fills_while_there_is_something_to_make_it_of() -> None:
    overview = told(order())
    assert overview.status("d").state == "resting"
    overview.learn(scenario("s", 1))
    assert overview.status("d").state == "filling"
    for number in range(USES_PER_PAIR):
        overview.learn(verdict(str(number), False, "length"))
    assert overview.status("d").state == "resting"
    overview.learn(scenario("t", 1, "r01"))
    assert overview.status("d").state == "filling"
    for number in range(4):
        overview.learn(verdict(f"good {number}"))
    assert overview.status("d").state == "filled"


def test_a_paused_or_deleted_dataset_wants_nothing() -> None:
    overview = told(order(), scenario("s"))
    assert [each.dataset for each in overview.active()] == ["d"]
    for change, state in ((paused(order(), True), "paused"), (deleted(order()), "deleted")):
        overview = told(order(), scenario("s"), change)
        assert (overview.active(), overview.status("d").state) == ([], state)


def test_of_two_orders_the_one_of_the_higher_revision_is_in_force() -> None:
    first = order()
    last = replace(first, revision=3, grants=(Grant("r00", 5, 1), Grant("r01", 2)))
    for events in ((first, last), (last, first)):
        overview = told(*events)
        assert overview.datasets["d"] == last
        assert overview.progress["d"]["r00"].granted == 5
        assert overview.progress["d"]["r00"].recall == 1


def test_grants_and_releases_never_fall() -> None:
    smaller = replace(order(), revision=9, grants=(Grant("r00", 1),))
    overview = told(order(), smaller, QuotaReleased("d", "r00", 2), QuotaReleased("d", "r00", 1))
    assert overview.progress["d"]["r00"].granted == 2
    assert overview.progress["d"]["r00"].released == 2


def test_an_order_of_earlier_versions_has_weight_one_and_one_without_requirements_is_refused() -> (
    None
):
    assert told(replace(order(), weight=0.0)).datasets["d"].weight == 1.0
    with pytest.raises(Rejected, match="dataset 'd' has no requirements"):
        told(replace(order(), requirements=()))


def test_a_society_says_which_regions_there_are() -> None:
    assert Overview().regions == {}
    society = SocietyImported(5, 2, {"r00": 3, "r03": 2}, 0, "")
    assert told(society, PopulationSet(9, 1.0), Appetite("r00", True)).regions == {
        "r00": 3,
        "r03": 2,
    }


def test_a_scenario_is_found_in_whatever_region() -> None:
    overview = told(scenario("s"), scenario("t", region="r01"))
    assert overview.scenario("t") == replace(scenario("t", region="r01"), embedding=())
    with pytest.raises(NotFound, match="scenario 'u' is not known"):
        overview.scenario("u")
