"""Windows of steps as values, and the rule that closes them."""

from dataclasses import dataclass

from services.events import AgentCard, RoutedAction, ScenarioExtracted, StepCompleted

WINDOW_STEPS = 3
"""Steps of a group in a scenario (paper, appendix)."""


@dataclass(frozen=True, slots=True)
class WindowState:
    """The open window of a group."""

    applied_step: int = -1
    window: int = 0
    steps: tuple[StepCompleted, ...] = ()
    outcome: ScenarioExtracted | None = None


def closes(steps: tuple[StepCompleted, ...]) -> bool:
    """Return whether the window ends: it is full, or its group went to rest."""
    return len(steps) >= WINDOW_STEPS or steps[-1].resting


def happened(steps: tuple[StepCompleted, ...]) -> tuple[RoutedAction, ...]:
    """Return the actions of a window that took effect, in order."""
    return tuple(action for step in steps for action in step.actions if action.plausible)


def participants(
    steps: tuple[StepCompleted, ...], actions: tuple[RoutedAction, ...]
) -> tuple[AgentCard, ...]:
    """Return those who acted, as they were at the end of the window."""
    acting = {routed.action.agent_id for routed in actions}
    return tuple(card for card in steps[-1].agents if card.agent_id in acting)
