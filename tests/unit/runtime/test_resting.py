"""States at rest: whatever was used last, what is got is what was put."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.codec import GROUP_STATE
from services.agent_state.domain import Agent, GroupState, Memory
from services.events import Group
from services.runtime.resting import RestingStates

KEYS = st.sampled_from("abcdef")


def living(step: int) -> GroupState:
    memory = Memory("Ada: we met at the market", step, bytes(range(64)))
    agent = Agent("agent", "Ada", "a baker", "Bakes bread.", born=True, memories=(memory,))
    return GroupState(Group("group", "r00", "bakers"), (agent,), step)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(["put", "rest", "get", "pop"]), KEYS), max_size=60),
)
def test_packed_or_not_the_states_are_those_of_a_dictionary(
    awake: int, actions: list[tuple[str, str]]
) -> None:
    states, expected = RestingStates(GROUP_STATE, awake), dict[str, GroupState]()
    for step, (action, key) in enumerate(actions):
        if action == "put":
            states.put(key, living(step))
            expected[key] = living(step)
        elif action == "rest":
            states.put_resting(key, GROUP_STATE.encode(living(step)))
            expected[key] = living(step)
        elif action == "get":
            assert states.get(key) == expected.get(key)
        else:
            assert states.pop(key) == (expected.pop(key, None) is not None)
        assert dict(states.items()) == expected
        assert set(states.keys()) == set(expected)
        assert len(states) == len(expected)
        assert all((each in states) == (each in expected) for each in "abcdef")


def test_what_is_in_use_stays_the_value_that_it_is() -> None:
    states = RestingStates(GROUP_STATE, awake=2)
    used, others = living(0), [living(1), living(2), living(3)]
    states.put("used", used)
    for place, other in enumerate(others):
        states.put(f"other {place}", other)
        assert states.get("used") is used
    assert states.get("other 0") == others[0]
    assert states.get("other 0") is not others[0]


@pytest.mark.parametrize("awake", [None, 1])
def test_looking_through_all_wakes_nobody(awake: int | None) -> None:
    states = RestingStates(GROUP_STATE, awake)
    first = living(0)
    for key in "abc":
        states.put(key, first)
    states.put("last", first)
    assert next(key for key, _ in states.items()) == ("a" if awake is None else "last")
    assert all(state == first for _, state in states.items())
    assert states.get("last") is first
