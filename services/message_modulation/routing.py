"""The modulator's questions to its model: can it happen, who notices, who else hears of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from services.events import Action, AgentCard, Neighbour, Observation, RoutedAction
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
from services.runtime.ports import ChatRequest
from services.runtime.prompts import Prompt

MOST_FORWARDED = 2
"""Groups that one action is forwarded to, at most: what a weak model sends to all floods them."""


def _schema(people: int, groups: int, plausibility: bool) -> dict[str, Any]:
    """Return what an answer must look like; only what is to be decided is in it."""
    fields: dict[str, Any] = {}
    if plausibility:
        fields["plausible"] = {"type": "boolean"}
    for name, count, most in (("aware", people, people), ("groups", groups, MOST_FORWARDED)):
        if count:
            number = {"type": "integer", "minimum": 1, "maximum": count}
            fields[name] = {"type": "array", "items": number, "maxItems": min(count, most)}
    fields["reason"] = {"type": "string", "maxLength": 40}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
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
        structured = self._communication == "structured"
        answer = await self._decision(
            unit,
            state,
            as_observation(RoutedAction(action)),
            groups=state.group.neighbours if structured else (),
            people=structured,
        )
        if answer.get("plausible") is False:
            return RoutedAction(action, plausible=False, reason="contradicts what has happened")
        if structured:
            return RoutedAction(
                action,
                aware_agent_ids=_aware(answer, state.agents, action.agent_id),
                aware_group_ids=_hearing(answer, state.group.neighbours),
                reason=one_line(str(answer.get("reason", ""))),
            )
        if self._communication == "random":
            rng = Random(derived_seed("random routing", action.action_id))
            ids = [a.agent_id for a in state.agents if a.agent_id != action.agent_id]
            near = [neighbour.group_id for neighbour in state.group.neighbours]
            return RoutedAction(
                action,
                aware_agent_ids=random_receivers(rng, ids, RANDOM_SHARE),
                aware_group_ids=random_receivers(rng, near, RANDOM_FORWARD_SHARE)[:MOST_FORWARDED],
                reason="chosen at random",
            )
        return RoutedAction(action)

    async def route_arrived(
        self, state: ModulatorState, observation: Observation, unit: UnitOfWork
    ) -> tuple[str, ...]:
        """Return which agents of the group notice a message from another group."""
        if self._communication == "random":
            rng = Random(derived_seed("random arrival", observation.message_id, unit.name))
            return random_receivers(rng, [a.agent_id for a in state.agents], RANDOM_SHARE)
        if self._communication == "none":
            return ()
        # It has happened already: whether it can is not asked here.
        without_memory = replace(state, memory=(), summary="")
        answer = await self._decision(unit, without_memory, observation, groups=(), people=True)
        return _aware(answer, state.agents, observation.from_agent_id)

    async def _decision(
        self,
        unit: UnitOfWork,
        state: ModulatorState,
        observation: Observation,
        *,
        groups: Sequence[Neighbour],
        people: bool,
    ) -> dict[str, Any]:
        """Return what the model decides; it reaches nobody when it cannot be read.

        The prompt lists the whole group, so that all actions of a step share its beginning.
        """
        others = any(a.agent_id != observation.from_agent_id for a in state.agents)
        listed_people = state.agents if people and others else ()
        if not (listed_people or groups or state.memory):
            return {"reason": "nobody else is here"}
        prompt = self._prompts["route"].render(
            people=listed_people,
            groups=groups,
            memory=state.memory,
            summary=state.summary,
            name=observation.from_name,
            text=observation.text,
        )
        schema = _schema(len(listed_people), len(groups), plausibility=bool(state.memory))
        request = ChatRequest(prompt, max_tokens=80, temperature=0.0, json_schema=schema)
        call = f"route/{observation.message_id}"
        answer = await ask_decision(unit, call, "simulator", "route", request)
        return answer if answer is not None else {"reason": "no readable decision"}

    async def summarise(self, summary: str, older: Sequence[str], unit: UnitOfWork) -> str:
        """Return the chronicle with `older` events taken in."""
        prompt = self._prompts["summarise"].render(summary=summary, memory=older)
        request = ChatRequest(prompt, max_tokens=100, temperature=0.5)
        text = await ask_text(unit, "summary", "simulator", "memory", request)
        return one_line(text) or summary


def _aware(
    answer: Mapping[str, Any], people: Sequence[AgentCard], actor_id: str
) -> tuple[str, ...]:
    named = (people[place].agent_id for place in listed(answer.get("aware"), len(people)))
    return tuple(agent_id for agent_id in named if agent_id != actor_id)


def _hearing(answer: Mapping[str, Any], groups: Sequence[Neighbour]) -> tuple[str, ...]:
    places = listed(answer.get("groups"), len(groups))
    return tuple(groups[place].group_id for place in places)[:MOST_FORWARDED]
