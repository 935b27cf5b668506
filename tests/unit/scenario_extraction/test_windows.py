"""When a window closes, and what of it counts."""

import pytest

from services.events import Action, AgentCard, Group, RoutedAction, StepCompleted
from services.scenario_extraction.domain import WINDOW_STEPS, closes, happened, participants

GROUP = Group("g", "r00", "bakers")


def card(name: str, goal: str = "") -> AgentCard:
    return AgentCard(name.lower(), name, f"{name}, baker", goal=goal)


def routed(number: int, actor: str, plausible: bool = True) -> RoutedAction:
    return RoutedAction(Action(f"m{number}", actor, actor.title(), "plan", 1, "bakes"), plausible)


def step(
    number: int,
    *actions: RoutedAction,
    agents: tuple[AgentCard, ...] = (),
    resting: bool = False,
) -> StepCompleted:
    return StepCompleted(GROUP, number, agents, actions, resting=resting)


@pytest.mark.parametrize("count", range(1, WINDOW_STEPS + 1))
def test_a_window_closes_with_its_third_step_and_not_before(count: int) -> None:
    assert closes(tuple(step(n) for n in range(count))) is (count == 3)


@pytest.mark.parametrize("count", range(1, WINDOW_STEPS + 1))
def test_a_window_closes_early_when_its_group_goes_to_rest(count: int) -> None:
    steps = [step(n) for n in range(count - 1)]
    assert closes((*steps, step(count - 1, resting=True)))


def test_a_rest_before_the_last_step_closes_nothing() -> None:
    assert not closes((step(0, resting=True), step(1)))


def test_what_happened_is_every_plausible_action_in_order() -> None:
    steps = (
        step(0, routed(1, "ada"), routed(2, "ben", plausible=False)),
        step(1),
        step(2, routed(3, "ben"), routed(4, "ada")),
    )
    assert [r.action.action_id for r in happened(steps)] == ["m1", "m3", "m4"]


def test_participants_are_those_whose_actions_took_effect_as_they_were_at_the_end() -> None:
    before = (card("Ada", "old goal"), card("Ben"), card("Cem"))
    after = (card("Ada", "new goal"), card("Ben"), card("Cem"))
    steps = (
        step(0, routed(1, "ada"), routed(2, "cem", plausible=False), agents=before),
        step(1, routed(3, "ben"), agents=after),
    )
    assert participants(steps, happened(steps)) == (card("Ada", "new goal"), card("Ben"))
