"""A group's step: its agents are born when they first act, then act once, concurrently."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from services.agent_state.domain import (
    PLAN_STEPS,
    Agent,
    GroupState,
    Memory,
    Turn,
    after_turn,
    new_memories,
    newborn,
    next_turn,
    parse_birth,
    parse_plan,
    recall,
    remember,
)
from services.events import (
    Action,
    AgentsActed,
    AgentsJoined,
    GroupFounded,
    ObservationsDelivered,
)
from services.runtime import tracing
from services.runtime.asking import ask_text, one_line
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.metrics import SocietyMetrics
from services.runtime.ports import ChatRequest, Embedder, Embeddings, Message, Record
from services.runtime.prompts import Prompt
from services.runtime.state import Changelog
from services.runtime.vectors import quantised

_log = structlog.get_logger(__name__)


class Society:
    """The agents of all groups that this process owns."""

    def __init__(
        self,
        groups: Changelog[GroupState],
        journal: ModelJournal,
        embedder: Embedder,
        prompts: dict[str, Prompt],
        metrics: SocietyMetrics,
    ) -> None:
        self.groups = groups
        self._journal = journal
        self._embedder = embedder
        self._prompts = prompts
        self._metrics = metrics
        self._counted: dict[str, tuple[int, int]] = {}
        """Agents of each group, and those of them who are born."""
        groups.watch(self._count)

    def _count(self, group_id: str, state: GroupState | None) -> None:
        """Bring the gauges up to date."""
        agents, born = self._counted.pop(group_id, (0, 0))
        self._metrics.groups -= agents > 0
        self._metrics.agents -= agents
        self._metrics.born -= born
        if state is not None:
            agents, born = len(state.agents), sum(agent.born for agent in state.agents)
            self._counted[group_id] = agents, born
            self._metrics.groups += agents > 0
            self._metrics.agents += agents
            self._metrics.born += born

    async def found(self, founded: GroupFounded) -> None:
        """Take in the people of a new group; a repeat changes nothing."""
        group_id = founded.group.group_id
        if self.groups.get(group_id) is None:
            agents = tuple(newborn(newcomer) for newcomer in founded.newcomers)
            state = GroupState(founded.group, agents, centroid=founded.centroid)
            await self.groups.put(group_id, state)

    async def join(self, joined: AgentsJoined) -> None:
        """Take people into a group; a repeat changes nothing.

        Raises:
            Rejected: no such group was founded here.
        """
        state = self.groups.get(joined.group_id)
        if state is None:
            raise Rejected(f"group {joined.group_id} is not known here: nobody can join it")
        grown = state.with_joined(joined)
        if grown != state:
            await self.groups.put(joined.group_id, grown)

    async def take_step(
        self, token: ObservationsDelivered
    ) -> tuple[AgentsActed | None, list[Record]]:
        """Let the agents of a group act, and return what they did and the journal's tombstones.

        A repeated token returns the outcome of the first time; one that is older still, None.

        Raises:
            Rejected: no such group was imported here.
        """
        state = self.groups.get(token.group_id)
        if state is None:
            raise Rejected(f"group {token.group_id} is not known here: was it imported?")
        unit = self._journal.unit(f"step/{token.group_id}/{token.step}", token.group_id)
        if token.step <= state.applied_step:
            # A crash may have come between the state and the tombstones.
            return (state.outcome if token.step == state.applied_step else None), unit.forget()
        began = time.monotonic()
        state = replace(state, agents=await self._born(state.agents, unit))
        turns = self._turns(state, token)
        actions = await self._act(turns, token.step, unit)
        agents = await self._remember(turns, actions, state.agents, token.step, unit)
        done = [action for action in actions if action is not None]
        outcome = AgentsActed(
            group=state.group,
            step=token.step,
            agents=tuple(agent.card() for agent in agents),
            actions=tuple(done),
            planning=sum(bool(agent.plan_step) for agent in agents),
        )
        new_state = replace(state, agents=agents, applied_step=token.step, outcome=outcome)
        await self.groups.put(token.group_id, new_state)
        self._metrics.steps += 1
        self._metrics.step_seconds.observe(time.monotonic() - began, tracing.exemplar())
        self._metrics.actions.update(action.kind for action in done)
        return outcome, unit.forget()

    async def _born(self, agents: tuple[Agent, ...], unit: UnitOfWork) -> tuple[Agent, ...]:
        if all(agent.born for agent in agents):
            return agents
        return tuple(await asyncio.gather(*(self._birth(agent, unit) for agent in agents)))

    async def _birth(self, agent: Agent, unit: UnitOfWork) -> Agent:
        """Give the agent a personality, a life goal and a plan, in two calls (paper)."""
        if agent.born:
            return agent
        prompt = self._prompts["birth"].render(
            name=agent.name, description=agent.description, past_actions=agent.past_actions
        )
        personality, goal = parse_birth(await self._text(unit, agent, "birth", prompt, 70))
        goal = goal or f"To do well in what matters to {agent.name}."
        born = replace(agent, personality=personality, goal=goal, past_actions=(), born=True)
        prompt = self._prompts["plan"].render(
            name=agent.name, persona=born.persona, goal=goal, steps=PLAN_STEPS
        )
        plan = parse_plan(await self._text(unit, agent, "plan", prompt, 150))
        return replace(born, plan=plan or (f"Take a first step: {goal}",))

    def _turns(self, state: GroupState, token: ObservationsDelivered) -> list[Turn]:
        inboxes = {inbox.agent_id: inbox.observations for inbox in token.inboxes}
        turns = (next_turn(agent, inboxes.get(agent.agent_id, ())) for agent in state.agents)
        return [turn for turn in turns if turn is not None]

    async def _act(self, turns: list[Turn], step: int, unit: UnitOfWork) -> list[Action | None]:
        queries = await self._vectors([turn.query for turn in turns])
        acting = (
            self._action(turn, query, step, unit)
            for turn, query in zip(turns, queries, strict=True)
        )
        return list(await asyncio.gather(*acting))

    async def _action(
        self, turn: Turn, query: Sequence[float], step: int, unit: UnitOfWork
    ) -> Action | None:
        agent = turn.agent
        prompt = self._prompts["act"].render(
            name=agent.name,
            persona=agent.persona,
            goal=agent.goal,
            summary=agent.memory_summary,
            memories=recall(agent.memories, query, step),
            observations=turn.observations,
            plan_step=agent.plan_step,
        )
        text = one_line(await self._text(unit, agent, "act", prompt, 60))
        if not text:
            return None
        return Action(
            action_id=derived_id("action", unit.partition_key, step, agent.agent_id),
            agent_id=agent.agent_id,
            agent_name=agent.name,
            kind=turn.kind,
            plan_step=agent.plan_done + 1 if turn.kind == "plan" else 0,
            text=text,
            observed=tuple(o.message_id for o in turn.observations),
        )

    async def _remember(
        self,
        turns: list[Turn],
        actions: list[Action | None],
        agents: tuple[Agent, ...],
        step: int,
        unit: UnitOfWork,
    ) -> tuple[Agent, ...]:
        sentences = [new_memories(t, a) for t, a in zip(turns, actions, strict=True)]
        flat = [sentence for own in sentences for sentence in own]
        vectors = iter(await self._vectors(flat))
        changed = {}
        for turn, own in zip(turns, sentences, strict=True):
            memories = [Memory(sentence, step, quantised(next(vectors))) for sentence in own]
            changed[turn.agent.agent_id] = remember(after_turn(turn), memories)
        summarised = await asyncio.gather(
            *(self._summarise(agent, older, unit) for agent, older in changed.values())
        )
        by_id = {agent.agent_id: agent for agent in summarised}
        return tuple(by_id.get(agent.agent_id, agent) for agent in agents)

    async def _summarise(self, agent: Agent, older: tuple[Memory, ...], unit: UnitOfWork) -> Agent:
        if not older:
            return agent
        prompt = self._prompts["summarise"].render(
            name=agent.name, summary=agent.memory_summary, memories=older
        )
        text = one_line(await self._text(unit, agent, "memory", prompt, 100))
        return replace(agent, memory_summary=text or agent.memory_summary)

    async def _vectors(self, texts: list[str]) -> Embeddings:
        """Return the embeddings; empty ones, which are like nothing, when the model refuses.

        Many observations at once may be longer than the model takes: the group goes on with what
        its agents remember last, as it does when a prompt is refused.
        """
        try:
            return await self._embedder.embed(texts) if texts else []
        except Rejected as error:
            _log.warning("embedding refused", texts=len(texts), reason=str(error))
            return [[] for _ in texts]

    async def _text(
        self,
        unit: UnitOfWork,
        agent: Agent,
        call: str,
        prompt: tuple[Message, ...],
        max_tokens: int,
    ) -> str:
        stage = "birth" if call == "plan" else call
        request = ChatRequest(prompt, max_tokens, temperature=0.8)
        return await ask_text(unit, f"{call}/{agent.agent_id}", "simulator", stage, request)
