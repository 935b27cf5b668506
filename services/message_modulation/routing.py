"""The modulator's questions to its model: can it happen, who notices, who else hears of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from services.events import Action, AgentCard, Observation, RoutedAction
from services.message_modulation.domain import (
    RANDOM_FORWARD_SHARE,
    RANDOM_SHARE,
    Communication,
    ModulatorState,
    as_observation,
    listed,
    random_receivers,
)
from services.runtime.asking import ask_decision, ask_text, one_line
from services.runtime.ids import derived_seed
from services.runtime.journal import UnitOfWork
from services.runtime.ports import ChatRequest, Message
from services.runtime.prompts import Prompt

_PLAUSIBLE = {
    "type": "object",
    "properties": {"plausible": {"type": "boolean"}},
    "required": ["plausible"],
    "additionalProperties": False,
}


def _aware_schema(count: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": count}
    return {
        "type": "object",
        "properties": {
            "aware": {"type": "array", "items": number, "maxItems": count},
            "reason": {"type": "string", "maxLength": 40},
        },
        "required": ["aware", "reason"],
        "additionalProperties": False,
    }


class Router:
    """Routes the actions of one group's step at a time."""

    def __init__(self, prompts: dict[str, Prompt], communication: Communication) -> None:
        self._prompts = prompts
        self._communication = communication

    async def route(
        self, state: ModulatorState, actions: Sequence[Action], unit: UnitOfWork
    ) -> tuple[RoutedAction, ...]:
        """Return every action with its receivers; implausible ones reach nobody."""
        return tuple(await asyncio.gather(*(self._route(state, a, unit) for a in actions)))

    async def _route(self, state: ModulatorState, action: Action, unit: UnitOfWork) -> RoutedAction:
        if not await self._plausible(state, action, unit):
            return RoutedAction(action, plausible=False, reason="contradicts what has happened")
        routed = RoutedAction(action)
        if self._communication == "structured":
            aware, groups = await asyncio.gather(
                self._intra(state.agents, as_observation(routed), unit),
                self._inter(state, action, unit),
            )
            return replace(
                routed, aware_agent_ids=aware[0], aware_group_ids=groups, reason=aware[1]
            )
        if self._communication == "random":
            rng = Random(derived_seed("random routing", action.action_id))
            ids = [a.agent_id for a in state.agents if a.agent_id != action.agent_id]
            near = [neighbour.group_id for neighbour in state.group.neighbours]
            return replace(
                routed,
                aware_agent_ids=random_receivers(rng, ids, RANDOM_SHARE),
                aware_group_ids=random_receivers(rng, near, RANDOM_FORWARD_SHARE),
                reason="chosen at random",
            )
        return routed

    async def route_arrived(
        self, state: ModulatorState, observation: Observation, unit: UnitOfWork
    ) -> tuple[str, ...]:
        """Return which agents of the group notice a message from another group."""
        if self._communication == "random":
            rng = Random(derived_seed("random arrival", observation.message_id, unit.name))
            return random_receivers(rng, [a.agent_id for a in state.agents], RANDOM_SHARE)
        if self._communication == "none":
            return ()
        return (await self._intra(state.agents, observation, unit))[0]

    async def _plausible(self, state: ModulatorState, action: Action, unit: UnitOfWork) -> bool:
        if not state.memory:
            return True  # Nothing has happened that it could contradict.
        prompt = self._prompts["plausible"].render(
            summary=state.summary, memory=state.memory, name=action.agent_name, text=action.text
        )
        request = ChatRequest(prompt, max_tokens=12, temperature=0.0, json_schema=_PLAUSIBLE)
        call = f"plausible/{action.action_id}"
        answer = await ask_decision(unit, call, "simulator", "plausibility", request)
        return answer is None or answer.get("plausible") is not False

    async def _intra(
        self,
        people: Sequence[AgentCard],
        observation: Observation,
        unit: UnitOfWork,
    ) -> tuple[tuple[str, ...], str]:
        """Return who else of the group becomes aware, and the reason given.

        The prompt lists the whole group, so that all actions of a step share its beginning.
        """
        if all(person.agent_id == observation.from_agent_id for person in people):
            return (), "nobody else is here"
        prompt = self._prompts["intra"].render(
            people=people, name=observation.from_name, text=observation.text
        )
        answer = await self._aware(unit, f"intra/{observation.message_id}", prompt, len(people))
        named = (people[place].agent_id for place in listed(answer.get("aware"), len(people)))
        ids = tuple(agent_id for agent_id in named if agent_id != observation.from_agent_id)
        return ids, one_line(str(answer.get("reason", "")))

    async def _inter(
        self, state: ModulatorState, action: Action, unit: UnitOfWork
    ) -> tuple[str, ...]:
        near = state.group.neighbours
        if not near:
            return ()
        prompt = self._prompts["inter"].render(
            groups=near, summary=state.summary, name=action.agent_name, text=action.text
        )
        answer = await self._aware(unit, f"inter/{action.action_id}", prompt, len(near))
        return tuple(near[place].group_id for place in listed(answer.get("aware"), len(near)))

    async def _aware(
        self, unit: UnitOfWork, call: str, prompt: tuple[Message, ...], count: int
    ) -> dict[str, Any]:
        """Return the decision; when no readable one is to be had, it reaches nobody."""
        request = ChatRequest(
            prompt, max_tokens=60, temperature=0.0, json_schema=_aware_schema(count)
        )
        answer = await ask_decision(unit, call, "simulator", "route", request)
        return answer if answer is not None else {"aware": [], "reason": "no readable decision"}

    async def summarise(self, summary: str, older: Sequence[str], unit: UnitOfWork) -> str:
        """Return the chronicle with `older` events taken in."""
        prompt = self._prompts["summarise"].render(summary=summary, memory=older)
        request = ChatRequest(prompt, max_tokens=100, temperature=0.5)
        text = await ask_text(unit, "summary", "simulator", "memory", request)
        return one_line(text) or summary
