"""What callers want to know of groups and their messages; changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from services.events import Action, AgentCard, Group, RoutedAction, StepCompleted, codec
from services.events.topics import STEP_COMPLETED
from services.message_modulation.domain import ModulatorState
from services.message_modulation.routing import Router
from services.runtime.asking import one_line
from services.runtime.dry_runs import unrecorded
from services.runtime.errors import NotFound, Rejected
from services.runtime.ports import ChatModel, Delivery
from services.runtime.state import Changelog
from services.runtime.worker import Route

LONGEST_TEXT = 2000
"""Characters of an action that is tried out."""
_DRY_RUN = "dry-run"


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group, and what its modulator remembers."""

    group: Group
    members: tuple[AgentCard, ...]
    memory: tuple[str, ...]
    summary: str
    applied_step: int
    resting: bool
    parked: bool


@dataclass(frozen=True, slots=True)
class WatchedMessage:
    """An action and who became aware of it, as it is told to those who watch."""

    group_id: str
    region: str
    step: int
    action: RoutedAction


class MessageFeed:
    """Tells watchers who became aware of what."""

    def __init__(self, tell: Callable[[WatchedMessage], None]) -> None:
        self._tell = tell

    def broadcasts(self) -> list[Route]:
        """Return what handles the events, of which only the newest are wanted."""
        return [Route(STEP_COMPLETED.name, self.on_step)]

    async def on_step(self, delivery: Delivery) -> None:
        """Tell what was routed in a step."""
        step: StepCompleted = codec.from_delivery(delivery)
        for action in step.actions:
            self._tell(WatchedMessage(step.group.group_id, step.group.region, step.step, action))


class ModulationQueries:
    """The groups whose modulators this replica owns."""

    def __init__(self, groups: Changelog[ModulatorState], router: Router, model: ChatModel) -> None:
        self._groups = groups
        self._router = router
        self._model = model

    def group(self, group_id: str) -> GroupView:
        """Return a group.

        Raises:
            NotFound: this replica has no modulator of it.
        """
        state = self._founded(group_id)
        return GroupView(
            state.group,
            state.agents,
            state.memory,
            state.summary,
            state.applied_step,
            state.resting,
            state.parked,
        )

    async def rehearse(self, group_id: str, agent_id: str, text: str) -> RoutedAction:
        """Return how an action would be routed now; nothing of it is kept.

        Raises:
            NotFound: this replica has no modulator of the group, or nobody of that id is in it.
            Rejected: the text is empty or too long.
            Retryable: the model did not answer.
        """
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise Rejected(f"text of {len(text)} characters: give 1 to {LONGEST_TEXT}")
        state = self._founded(group_id)
        actor = next((card for card in state.agents if card.agent_id == agent_id), None)
        if actor is None:
            raise NotFound(f"nobody of id {agent_id!r} is in group {group_id!r}")
        action = Action(_DRY_RUN, agent_id, actor.name, "plan", 0, one_line(text))
        unit = unrecorded(self._model).unit(_DRY_RUN, group_id)
        (routed,) = await self._router.route(replace(state, arrived=()), [action], unit)
        return routed

    def _founded(self, group_id: str) -> ModulatorState:
        state = self._groups.get(group_id)
        # Messages may come before the group itself: then nobody is known to be in it.
        if state is None or not state.agents:
            raise NotFound(f"no group {group_id!r}: ids are those of ListGroups")
        return state
