"""Import: profiles become agents in groups, and every group gets its first token."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.agent_state.domain import Agent, GroupState
from services.agent_state.grouping import GroupPlan, group_agents
from services.agent_state.profiles import Profile, anonymise_by_rule, leaked, pseudonym
from services.events import Group, Neighbour, ObservationsDelivered, SocietyImported
from services.runtime.asking import ask_text, one_line
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.journal import ModelJournal
from services.runtime.ports import ChatRequest, Embedder, Record
from services.runtime.prompts import Prompt, clip
from services.runtime.state import Changelog

_EMBEDDED_AT_ONCE = 64
_REWRITTEN_AT_ONCE = 64
_NAMED_MEMBERS = 3
"""Members that a group's description for its neighbours names by headline."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A profile that was not taken in."""

    profile_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made: records to publish in this order, and who was refused."""

    society: SocietyImported
    groups: tuple[GroupState, ...]
    refusals: tuple[Refusal, ...]

    def tokens(self) -> list[ObservationsDelivered]:
        """Return the token of every group's first step."""
        return [ObservationsDelivered(state.group.group_id, 0) for state in self.groups]


class Importer:
    """Turns profiles into a society. Nothing of a person's identity is written anywhere."""

    def __init__(
        self, journal: ModelJournal, embedder: Embedder, prompts: dict[str, Prompt]
    ) -> None:
        self._journal = journal
        self._embedder = embedder
        self._prompts = prompts
        self._limit = asyncio.Semaphore(_REWRITTEN_AT_ONCE)

    async def society(
        self, profiles: Sequence[Profile], seed: int, refused: int, fingerprint: str
    ) -> tuple[Imported, list[Record]]:
        """Return the society of `profiles`, and the journal's tombstones.

        Args:
            profiles: At least one.
            seed: Of grouping and ids.
            refused: Profiles that the reading refused before.
            fingerprint: Of profiles and settings, kept to recognise the same society again.

        Raises:
            Rejected: no profile is left.
        """
        made = await asyncio.gather(*(self._agent(profile) for profile in profiles))
        agents = [agent for agent, _, _ in made if agent is not None]
        refusals = tuple(refusal for _, refusal, _ in made if refusal is not None)
        tombstones = [record for _, _, records in made for record in records]
        if not agents:
            first = refusals[0].reason if refusals else "none was given"
            raise Rejected(f"no profile could be imported: {first}")
        embeddings: list[list[float]] = []
        texts = [f"{agent.headline}. {agent.description}" for agent in agents]
        for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
            embeddings += await self._embedder.embed(texts[start : start + _EMBEDDED_AT_ONCE])
        plan = group_agents(np.asarray(embeddings, dtype=np.float32), seed)
        groups = _states(agents, plan)
        regions = Counter[str]()
        for state in groups:
            regions[state.group.region] += len(state.agents)
        society = SocietyImported(
            len(agents), len(groups), dict(regions), refused + len(refusals), fingerprint
        )
        return Imported(society, tuple(groups), refusals), tombstones

    async def _agent(self, profile: Profile) -> tuple[Agent | None, Refusal | None, list[Record]]:
        agent_id = derived_id("agent", profile.profile_id)
        if profile.synthetic:
            return _as_agent(agent_id, profile.name, profile, profile.description), None, []
        name = pseudonym(agent_id, profile)
        scrubbed, identifiers = anonymise_by_rule(profile, name)
        unit = self._journal.unit(f"import/{agent_id}", agent_id)
        prompt = self._prompts["anonymise"].render(name=name, description=scrubbed.description)
        request = ChatRequest(prompt, max_tokens=300, temperature=0.3)
        async with self._limit:
            text = one_line(await ask_text(unit, "rewrite", "simulator", "birth", request))
        tombstones = unit.forget()
        if not text:
            return None, Refusal(profile.profile_id, "the model did not rewrite it"), tombstones
        agent = _as_agent(agent_id, name, scrubbed, text)
        whole = " ".join([agent.name, agent.headline, agent.description, *agent.past_actions])
        found = leaked(identifiers, whole)
        if found:
            kinds = ", ".join(sorted({identifier.kind for identifier in found}))
            reason = f"after anonymising it still holds an identifier of the original ({kinds})"
            return None, Refusal(profile.profile_id, reason), tombstones
        return agent, None, tombstones


def _as_agent(agent_id: str, name: str, profile: Profile, description: str) -> Agent:
    return Agent(
        agent_id=agent_id,
        name=name,
        headline=profile.headline or clip(one_line(description), 110),
        description=description,
        past_actions=profile.actions,
    )


def _states(agents: Sequence[Agent], plan: GroupPlan) -> list[GroupState]:
    ids = [derived_id("group", *(agents[i].agent_id for i in members)) for members in plan.members]
    described = [
        "; ".join(clip(agents[i].headline, 60) for i in members[:_NAMED_MEMBERS])
        for members in plan.members
    ]
    return [
        GroupState(
            group=Group(
                group_id=ids[place],
                region=f"r{plan.regions[place]:02}",
                description=described[place],
                neighbours=tuple(Neighbour(ids[n], described[n]) for n in plan.neighbours[place]),
            ),
            agents=tuple(agents[i] for i in members),
        )
        for place, members in enumerate(plan.members)
    ]


async def write_society(imported: Imported, groups: Changelog[GroupState]) -> None:
    """Write the groups that have no state yet; repeating an import that broke off is harmless."""
    missing = [state for state in imported.groups if groups.get(state.group.group_id) is None]
    await asyncio.gather(*(groups.put(state.group.group_id, state) for state in missing))
