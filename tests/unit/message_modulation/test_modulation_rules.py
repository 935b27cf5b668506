"""Rules of routing and memory that need no model."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.events import Action, AgentCard, Inbox, MessagesForwarded, Observation, RoutedAction
from services.message_modulation.domain import (
    MEMORY_KEPT,
    bounded,
    forwards,
    inboxes,
    listed,
    message_cause,
    random_receivers,
)

PEOPLE = tuple(AgentCard(name.lower(), name, f"{name}, baker") for name in ("Ada", "Ben", "Cem"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def routed(
    action_id: str, actor: str, aware: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> RoutedAction:
    action = Action(action_id, actor, actor.title(), "plan", 1, f"{actor} does {action_id}")
    return RoutedAction(action, aware_agent_ids=aware, aware_group_ids=groups)


def seen(message_id: str, actor: str) -> Observation:
    return Observation(message_id, actor, actor.title(), f"{actor} does {message_id}")


@pytest.mark.parametrize(
    ("indices", "places"),
    [
        ([1, 3], [0, 2]),
        ([3, 1, 3], [0, 2]),
        ([0, -1, 4, 10**30, 2], [1]),
        ([True, False], []),
        (["1", "two", None, 2.0, [2], {"2": 2}], []),
        ([], []),
        (None, []),
        (2, []),
        ("123", []),
        ({"1": 1}, []),
    ],
)
def test_only_whole_numbers_of_the_list_name_somebody(indices: object, places: list[int]) -> None:
    assert listed(indices, 3) == places


@settings(max_examples=50)
@given(JSON, st.integers(0, 8))
def test_whatever_a_model_answers_names_distinct_places_of_the_list(
    answer: object, count: int
) -> None:
    places = listed(answer, count)
    assert places == sorted(set(places))
    assert all(0 <= place < count for place in places)


@given(st.sets(st.integers(1, 8)))
def test_every_number_of_the_list_can_be_named(numbers: set[int]) -> None:
    assert [place + 1 for place in listed(list(numbers), 8)] == sorted(numbers)


def test_random_receivers_are_a_share_of_the_candidates_and_follow_from_the_seed() -> None:
    candidates = [f"a{number}" for number in range(2000)]
    chosen = random_receivers(Random(3), candidates, 0.4)
    assert chosen == random_receivers(Random(3), candidates, 0.4)
    assert chosen != random_receivers(Random(4), candidates, 0.4)
    assert list(chosen) == [c for c in candidates if c in set(chosen)]
    assert 0.36 < len(chosen) / len(candidates) < 0.44
    assert random_receivers(Random(3), candidates, 0.0) == ()
    assert random_receivers(Random(3), candidates, 1.0) == tuple(candidates)


def test_an_inbox_holds_what_its_owner_is_aware_of_and_nothing_else() -> None:
    actions = [routed("m1", "ada", ("ben", "cem")), routed("m2", "ben", ("cem",))]
    news = [(seen("m3", "zoe"), ("cem",)), (seen("m4", "zoe"), ())]
    assert inboxes(PEOPLE, actions, news) == (
        Inbox("ben", (seen("m1", "ada"),)),
        Inbox("cem", (seen("m1", "ada"), seen("m2", "ben"), seen("m3", "zoe"))),
    )


def test_nobody_aware_means_no_inbox_at_all() -> None:
    assert inboxes(PEOPLE, [routed("m1", "ada")], [(seen("m2", "zoe"), ())]) == ()


def test_a_group_gets_one_message_a_step_with_all_that_it_should_hear_of() -> None:
    actions = [
        routed("m1", "ada", groups=("g3", "g2")),
        routed("m2", "ben", ("ada",)),
        routed("m3", "cem", groups=("g2",)),
    ]
    assert forwards("g1", 4, actions) == [
        MessagesForwarded("g2", "g1", 4, (seen("m1", "ada"), seen("m3", "cem"))),
        MessagesForwarded("g3", "g1", 4, (seen("m1", "ada"),)),
    ]


def test_a_message_is_told_from_others_by_sender_step_and_receiver() -> None:
    causes = {
        message_cause(MessagesForwarded(to, by, step, ()))
        for to, by, step in [("g1", "g2", 1), ("g2", "g1", 1), ("g1", "g2", 2), ("g1", "g3", 1)]
    }
    assert len(causes) == 4
    same = MessagesForwarded("g1", "g2", 1, (seen("m1", "ada"),))
    assert message_cause(same) in causes


@given(st.lists(st.text(max_size=3), max_size=3 * MEMORY_KEPT))
def test_memory_is_bounded_and_every_event_is_kept_or_summarised(events: list[str]) -> None:
    kept, older = bounded(events)
    assert [*older, *kept] == events
    assert len(kept) <= MEMORY_KEPT
    assert not older or len(kept) == MEMORY_KEPT // 2
