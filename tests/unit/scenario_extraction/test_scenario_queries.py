"""The scenario index: what it finds is what comparing with every scenario finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import AgentCard, ScenarioExtracted
from services.runtime.errors import NotFound
from services.scenario_extraction.queries import ScenarioIndex


def scenario(number: int, vector: tuple[float, ...], region: str = "r00") -> ScenarioExtracted:
    people = (AgentCard("a", "Ada", "a baker"),)
    summary = f"summary {number}"
    return ScenarioExtracted(f"s{number}", "g", region, number, 0, 2, summary, people, (), vector)


HALVES = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, -1.0, 0.0, 0.0),
    (0.5, 0.5, 0.5, 0.5),
    (0.5, -0.5, 0.5, -0.5),
    (-0.5, 0.5, 0.5, 0.5),
)
"""Few directions, so that many scenarios are equally near; their products are exact."""


@given(
    st.lists(st.tuples(st.sampled_from(HALVES), st.sampled_from(["r00", "r01"])), max_size=200),
    st.integers(1, 100),
    st.sampled_from(["", "r00", "r01", "r09"]),
    st.sampled_from(HALVES),
)
def test_the_nearest_are_found_in_order(
    scenarios: list[tuple[tuple[float, ...], str]],
    limit: int,
    region: str,
    query: tuple[float, ...],
) -> None:
    index = ScenarioIndex()
    for number, (vector, place) in enumerate(scenarios):
        index.add(scenario(number, vector, place))
    found = index.search(query, limit, region)
    cosines = {
        number: sum(a * b for a, b in zip(vector, query, strict=True))
        for number, (vector, place) in enumerate(scenarios)
        if region in ("", place)
    }
    expected = sorted(cosines, key=lambda number: (-cosines[number], number))[:limit]
    assert [each.scenario.scenario_id for each in found] == [f"s{number}" for number in expected]
    assert [each.similarity for each in found] == [cosines[number] for number in expected]


def test_a_repeated_scenario_is_kept_and_told_once_without_its_embedding() -> None:
    told: list[ScenarioExtracted] = []
    index = ScenarioIndex(told.append)
    first = scenario(1, (1.0, 0.0))
    assert index.add(first)
    assert not index.add(first)
    assert len(index) == 1
    assert told == [index.get("s1")]
    assert told[0].embedding == ()
    assert told[0].agents == first.agents
    assert len(index.search((1.0, 0.0), 10)) == 1


def test_a_scenario_of_another_embedding_model_is_found_by_its_id_only() -> None:
    index = ScenarioIndex()
    index.add(scenario(0, ()))
    index.add(scenario(1, (1.0, 0.0)))
    index.add(scenario(2, (1.0, 0.0, 0.0)))
    assert [each.scenario.scenario_id for each in index.search((0.0, 1.0), 10)] == ["s1"]
    assert index.search((1.0, 0.0, 0.0), 10) == []
    assert index.search((), 10) == []
    assert index.get("s2").window == 2
    assert index.get("s0").window == 0


def test_an_unknown_scenario_is_not_found() -> None:
    with pytest.raises(NotFound, match="'x'"):
        ScenarioIndex().get("x")
