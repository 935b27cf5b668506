"""A window closes: its actions become a scenario."""

from typing import Literal

from services.events import RoutedAction, ScenarioExtracted, StepCompleted
from services.runtime.asking import ask_text, one_line
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.metrics import SocietyMetrics
from services.runtime.ports import ChatRequest, Embedder, Record
from services.runtime.prompts import Prompt, clip
from services.runtime.state import Changelog
from services.scenario_extraction.domain import WindowState, closes, happened, participants

Outlook = Literal["repeat", "open", "nothing", "scenario"]
"""The window stays open, or closes, and then a scenario comes of it or nothing."""
_MOST_MISSED = 1000
"""Steps of a group in a row that may have become dead letters."""


class Extraction:
    """The open windows of all groups that this process owns."""

    def __init__(
        self,
        windows: Changelog[WindowState],
        journal: ModelJournal,
        embedder: Embedder,
        prompts: dict[str, Prompt],
        metrics: SocietyMetrics,
    ) -> None:
        self.windows = windows
        self._journal = journal
        self._embedder = embedder
        self._prompts = prompts
        self._metrics = metrics

    def outlook(self, step: StepCompleted) -> Outlook:
        """Return what comes of a step when it is taken in."""
        state = self.windows.get(step.group.group_id) or WindowState()
        if step.step <= state.applied_step:
            return "repeat"
        steps = (*state.steps, step)
        if not closes(steps):
            return "open"
        return "scenario" if happened(steps) else "nothing"

    async def take_in(self, step: StepCompleted) -> tuple[ScenarioExtracted | None, list[Record]]:
        """Add a step to its group's window, and return the scenario if that closes it.

        A repeated step returns the outcome of the first time; one that is older still, None.

        Raises:
            Rejected: it is so far ahead of the last one that it is none of this group's.
        """
        group_id = step.group.group_id
        state = self.windows.get(group_id) or WindowState()
        if 0 <= state.applied_step < step.step - _MOST_MISSED:
            # Taken in, it would make a repeat of all that the group does from now on.
            raise Rejected(
                f"step {step.step} of group {group_id} cannot follow its step {state.applied_step}"
            )
        if step.step <= state.applied_step:
            known = state.outcome if step.step == state.applied_step else None
            return known, self._unit(group_id, known.window).forget() if known else []
        steps = (*state.steps, step)
        if not closes(steps):
            await self.windows.put(group_id, WindowState(step.step, state.window, steps))
            return None, []
        actions = happened(steps)
        if not actions:
            await self.windows.put(group_id, WindowState(step.step, state.window))
            return None, []
        unit = self._unit(group_id, state.window)
        scenario = await self._scenario(state.window, steps, actions, unit)
        closed = WindowState(step.step, state.window + 1, (), scenario)
        await self.windows.put(group_id, closed)
        self._metrics.scenarios += 1
        return scenario, unit.forget()

    def _unit(self, group_id: str, window: int) -> UnitOfWork:
        return self._journal.unit(f"window/{group_id}/{window}", group_id)

    async def _scenario(
        self,
        window: int,
        steps: tuple[StepCompleted, ...],
        actions: tuple[RoutedAction, ...],
        unit: UnitOfWork,
    ) -> ScenarioExtracted:
        group = steps[-1].group
        people = participants(steps, actions)
        prompt = self._prompts["summarise"].render(actions=actions[-12:])
        request = ChatRequest(prompt, max_tokens=140, temperature=0.5)
        summary = one_line(await ask_text(unit, "summary", "simulator", "scenario", request))
        if not summary:
            # The model refuses: what happened still stands, in the actors' own words.
            summary = clip(" ".join(routed.action.text for routed in actions), 600)
        embedding = (await self._embedder.embed([summary]))[0]
        return ScenarioExtracted(
            scenario_id=derived_id("scenario", group.group_id, window),
            group_id=group.group_id,
            region=group.region,
            window=window,
            first_step=steps[0].step,
            last_step=steps[-1].step,
            summary=summary,
            agents=people,
            actions=actions,
            embedding=tuple(embedding),
        )
