"""Agents and groups as values, and the rules of their memory and their turns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.events import (
    Action,
    AgentCard,
    AgentsActed,
    AgentsJoined,
    Group,
    Neighbour,
    Newcomer,
    Observation,
)
from services.runtime.vectors import similarities

PLAN_STEPS = 8
"""Steps of a plan (paper: about 8)."""
OBSERVATIONS_HEEDED = 3
"""Observations that an agent takes in at a turn: the newest ones."""
MEMORIES_KEPT = 16
"""Memories of an agent before the older half is summarised."""
MEMORIES_RECALLED = 2
"""Memories in a prompt."""
MAX_NEIGHBOURS = 8
"""Groups that a group may send messages to."""
RECENCY_DECAY = 0.9
"""Weight of a memory per step of its age."""

_EMPHASIS = re.compile(r"\*{2,}|_{2,}")
_BULLETS = r"[+*•\u2013-]"
_LIST_MARK = re.compile(
    rf"(?:{_BULLETS}\s*)?\(?(?:step\s*)?\d+\s*(?:[.):](?!\d)|-\s)\s*"
    rf"|{_BULLETS}\s*(?=\S)(?!{_BULLETS})",
    re.IGNORECASE,
)
_BIRTH_LABEL = re.compile(
    r"(?:^|(?<=[.!?;]))[^\w\n]{0,8}(?:\d+[^\w\n]{1,4})?"
    r"(personality|life goal|goal)[^\w\n:]{0,4}:",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Something that an agent remembers."""

    text: str
    step: int
    embedding: bytes = b""


@dataclass(frozen=True, slots=True)
class Agent:
    """A person of the society; personality, goal and plan are empty before birth."""

    agent_id: str
    name: str
    headline: str
    description: str
    past_actions: tuple[str, ...] = ()
    born: bool = False
    personality: str = ""
    goal: str = ""
    plan: tuple[str, ...] = ()
    plan_done: int = 0
    memories: tuple[Memory, ...] = ()
    memory_summary: str = ""

    @property
    def persona(self) -> str:
        """Profile and personality in one paragraph."""
        return f"{self.description} {self.personality}".strip()

    @property
    def plan_step(self) -> str:
        """The next step of the plan; empty when it is done."""
        return self.plan[self.plan_done] if self.plan_done < len(self.plan) else ""

    def card(self) -> AgentCard:
        """Return what others know of the agent."""
        return AgentCard(self.agent_id, self.name, self.headline, self.persona, self.goal)


def newborn(newcomer: Newcomer) -> Agent:
    """Return an imported person as an agent who is not born yet."""
    return Agent(
        newcomer.agent_id,
        newcomer.name,
        newcomer.headline,
        newcomer.description,
        newcomer.past_actions,
    )


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group and its agents after a step."""

    group: Group
    agents: tuple[Agent, ...]
    applied_step: int = -1
    outcome: AgentsActed | None = None
    centroid: bytes = b""

    def with_joined(self, joined: AgentsJoined) -> "GroupState":
        """Return the group with those who joined; a repeat returns an equal one."""
        present = {agent.agent_id for agent in self.agents}
        added = tuple(newborn(n) for n in joined.newcomers if n.agent_id not in present)
        neighbours = with_new_neighbours(self.group.neighbours, joined.neighbours)
        group = replace(self.group, neighbours=neighbours)
        return replace(self, group=group, agents=(*self.agents, *added))


def with_new_neighbours(
    neighbours: tuple[Neighbour, ...], new: tuple[Neighbour, ...]
) -> tuple[Neighbour, ...]:
    """Return neighbours, of which new ones replaced the last (farthest) if there is no room."""
    known = {neighbour.group_id for neighbour in neighbours}
    added = tuple(neighbour for neighbour in new if neighbour.group_id not in known)
    added = added[:MAX_NEIGHBOURS]
    return (*neighbours[: MAX_NEIGHBOURS - len(added)], *added)


@dataclass(frozen=True, slots=True)
class Turn:
    """Why an agent acts in a step."""

    agent: Agent
    kind: str
    observations: tuple[Observation, ...] = ()

    @property
    def query(self) -> str:
        """What the agent's memory is searched for."""
        if self.kind == "react":
            return " ".join(observation.text for observation in self.observations)
        return self.agent.plan_step


def next_turn(agent: Agent, observations: tuple[Observation, ...]) -> Turn | None:
    """Return the agent's turn: it reacts to what it observed last, else goes on with its plan.

    None: nobody addresses it and its plan is done, so it rests.
    """
    if observations:
        return Turn(agent, "react", observations[-OBSERVATIONS_HEEDED:])
    return Turn(agent, "plan") if agent.plan_step else None


def recall(
    memories: Sequence[Memory], query: Sequence[float], step: int, limit: int = MEMORIES_RECALLED
) -> tuple[Memory, ...]:
    """Return the memories that matter now, oldest first.

    Scored as in Generative Agents (Park et al., 2023, section 4.1): recency, decaying by the age
    in steps, plus relevance, the cosine similarity to the query; both in [0, 1], equal weights.
    """
    relevance = similarities(query, [memory.embedding for memory in memories])
    scores = [
        RECENCY_DECAY ** max(0, step - memory.step) + max(0.0, similarity)
        for memory, similarity in zip(memories, relevance, strict=True)
    ]
    best = sorted(range(len(memories)), key=lambda i: (-scores[i], -i))[:limit]
    return tuple(memories[i] for i in sorted(best))


def after_turn(turn: Turn) -> Agent:
    """Return the agent after its turn; a plan step that the model refused is passed over."""
    agent = turn.agent
    return replace(agent, plan_done=agent.plan_done + 1) if turn.kind == "plan" else agent


def new_memories(turn: Turn, action: Action | None) -> list[str]:
    """Return what the agent will remember of its turn, as sentences."""
    observed = [f"{o.from_name}: {o.text}" for o in turn.observations]
    return [*observed, f"I: {action.text}"] if action else observed


def remember(agent: Agent, memories: Sequence[Memory]) -> tuple[Agent, tuple[Memory, ...]]:
    """Return the agent with `memories` added, and the older half if they became too many.

    The caller summarises the latter into `memory_summary`; the agent keeps the newer half.
    """
    all_memories = (*agent.memories, *memories)
    if len(all_memories) <= MEMORIES_KEPT:
        return replace(agent, memories=all_memories), ()
    kept = MEMORIES_KEPT // 2
    return replace(agent, memories=all_memories[-kept:]), all_memories[:-kept]


def parse_plan(text: str) -> tuple[str, ...]:
    """Return the steps of a plan that was written as a list, one step a line.

    Lines with a number or bullet are the steps, the others what the model said around them. Where
    no line has one, all are steps but those that end with a colon.
    """
    lines = [line.lstrip("# ") for line in _plain_lines(text)]
    listed = [_LIST_MARK.sub("", line, count=1) for line in lines if _LIST_MARK.match(line)]
    steps = listed or [line for line in lines if not line.endswith(":")]
    steps = [step.strip("*_ ") for step in steps]
    return tuple(step for step in steps if len(step.split()) >= 3)[:PLAN_STEPS]


def parse_birth(text: str) -> tuple[str, str]:
    """Return personality and life goal from an answer with a line for each.

    The text may also follow its label on the next line; of equal labels the first one with a text
    counts. An answer without the labels counts as the goal: the first sentences of a person's own
    words.
    """
    _, *labelled = _BIRTH_LABEL.split("\n".join(_plain_lines(text)))
    found = {"personality": "", "goal": ""}
    for label, rest in zip(labelled[::2], labelled[1::2], strict=True):
        lines = (line.strip("*_ ") for line in rest.split("\n"))
        name = label.lower().removeprefix("life ")
        found[name] = found[name] or next(filter(None, lines), "")
    if not labelled:
        return "", " ".join(text.split())
    return found["personality"], found["goal"]


def _plain_lines(text: str) -> list[str]:
    """Return the lines without bold, every run of white space as one space."""
    return [" ".join(line.split()) for line in _EMPHASIS.sub("", text).splitlines()]
