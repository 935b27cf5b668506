"""Import: profiles become agents in groups, and every group gets its first token."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import numpy as np

from services.agent_state.grouping import GroupPlan, Vectors, group_agents
from services.agent_state.profiles import Profile, anonymise_by_rule, leaked, pseudonym
from services.events import Group, GroupFounded, Neighbour, Newcomer, SocietyImported, codec
from services.events.topics import OBSERVATIONS_DELIVERED, POPULATION
from services.runtime.asking import ask_text, one_line
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.journal import ModelJournal
from services.runtime.ports import ChatRequest, Embedder, Record
from services.runtime.prompts import Prompt, clip
from services.runtime.vectors import quantised

T = TypeVar("T")

_EMBEDDED_AT_ONCE = 64
_REWRITTEN_AT_ONCE = 64
_TAKEN_AT_ONCE = 4096
"""Profiles that are worked on at once: each is a task, whether it waits for a model or not."""
_NAMED_MEMBERS = 3
"""Members that a group's description for its neighbours names by headline."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A profile that was not taken in."""

    profile_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class People:
    """Profiles as people who may be known, in the order of the profiles."""

    newcomers: list[Newcomer]
    refusals: tuple[Refusal, ...]
    tombstones: list[Record]
    """Of the journal, to be published when the people are in the log."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made: records to publish in this order, and who was refused."""

    society: SocietyImported
    groups: tuple[GroupFounded, ...]
    refusals: tuple[Refusal, ...]

    def foundations(self) -> list[Record]:
        """Return what founds the groups; the owners of their agents tell their modulators.

        Not told from here: of records on two topics either may be lost or come first, and a token
        that its modulator releases before the agents are there finds nobody.
        """
        return [foundation(each) for each in self.groups]

    def completion(self) -> Record:
        """Return what says that the society is whole."""
        return completion(self.society)


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
        people = await self.people(profiles)
        agents, refusals = people.newcomers, people.refusals
        if not agents:
            first = refusals[0].reason if refusals else "none was given"
            raise Rejected(f"no profile could be imported: {first}")
        # Off the loop: others are to go on while it works, for minutes where people are many.
        embeddings = await self.embeddings(agents)
        plan = await asyncio.to_thread(group_agents, embeddings, seed)
        groups = _foundations(agents, plan, seed)
        regions = Counter[str]()
        for state in groups:
            regions[state.group.region] += len(state.newcomers)
        society = SocietyImported(
            len(agents), len(groups), dict(regions), refused + len(refusals), fingerprint
        )
        return Imported(society, tuple(groups), refusals), people.tombstones

    async def people(self, profiles: Sequence[Profile]) -> People:
        """Return profiles as people who may be known."""
        made = []
        for taken in _slices(profiles, _TAKEN_AT_ONCE):
            made += await asyncio.gather(*(self._agent(profile) for profile in taken))
        return People(
            [agent for agent, _, _ in made if agent is not None],
            tuple(refusal for _, refusal, _ in made if refusal is not None),
            [record for _, _, records in made for record in records],
        )

    async def embeddings(self, agents: Sequence[Newcomer]) -> Vectors:
        """Return what people are compared by (people x dimensions), L2-normalised.

        An array from the start: as numbers of Python they would be ten times as large.
        """
        parts = []
        for taken in _slices(agents, _EMBEDDED_AT_ONCE):
            texts = [f"{agent.headline}. {agent.description}" for agent in taken]
            parts.append(np.asarray(await self._embedder.embed(texts), dtype=np.float32))
        return np.concatenate(parts)

    async def _agent(
        self, profile: Profile
    ) -> tuple[Newcomer | None, Refusal | None, list[Record]]:
        agent_id = agent_id_of(profile)
        if profile.synthetic:
            return _as_newcomer(agent_id, profile.name, profile, profile.description), None, []
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
        agent = _as_newcomer(agent_id, name, scrubbed, text)
        whole = " ".join([agent.name, agent.headline, agent.description, *agent.past_actions])
        found = leaked(identifiers, whole)
        if found:
            kinds = ", ".join(sorted({identifier.kind for identifier in found}))
            reason = f"after anonymising it still holds an identifier of the original ({kinds})"
            return None, Refusal(profile.profile_id, reason), tombstones
        return agent, None, tombstones


def _slices(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def agent_id_of(profile: Profile) -> str:
    """Return the id of a profile's agent, by which they are known again."""
    return derived_id("agent", profile.profile_id)


def foundation(founded: GroupFounded) -> Record:
    """Return the record that founds a group."""
    return codec.to_record(OBSERVATIONS_DELIVERED, founded.group.group_id, founded, cause="founded")


def completion(society: SocietyImported) -> Record:
    """Return the record that says what the society is."""
    return codec.to_record(POPULATION, "society", society)


def _as_newcomer(agent_id: str, name: str, profile: Profile, description: str) -> Newcomer:
    return Newcomer(
        agent_id=agent_id,
        name=name,
        headline=profile.headline or clip(one_line(description), 110),
        description=description,
        past_actions=profile.actions,
    )


def _foundations(agents: Sequence[Newcomer], plan: GroupPlan, seed: int) -> list[GroupFounded]:
    ids = [derived_id("group", *(agents[i].agent_id for i in members)) for members in plan.members]
    described = [description_of([agents[i] for i in members]) for members in plan.members]
    sizes = [len(members) for members in plan.members]
    ranks = ranks_of(sizes, plan.regions, seed)
    return [
        GroupFounded(
            group=Group(
                group_id=ids[place],
                region=f"r{plan.regions[place]:02}",
                description=described[place],
                neighbours=tuple(Neighbour(ids[n], described[n]) for n in plan.neighbours[place]),
                rank=ranks[place],
            ),
            newcomers=tuple(agents[i] for i in members),
            centroid=quantised(plan.centroids[place].tolist()),
        )
        for place, members in enumerate(plan.members)
    ]


def description_of(members: Sequence[Newcomer]) -> str:
    """Return what a group of these people is to its neighbours."""
    return "; ".join(clip(member.headline, 60) for member in members[:_NAMED_MEMBERS])


def ranks_of(sizes: Sequence[int], regions: Sequence[int], seed: int) -> list[int]:
    """Return for each group the agents of the groups before it in a random order.

    The regions take turns in proportion to their groups, so that however few agents may be
    active, they are of many regions.

    Args:
        sizes: Agents of each group.
        regions: Region of each group.
        seed: Of the order.
    """
    order = list(range(len(sizes)))
    Random(seed).shuffle(order)
    groups, turn = Counter(regions), Counter[int]()
    due = {}
    for place in order:
        due[place] = turn[regions[place]] / groups[regions[place]]
        turn[regions[place]] += 1
    order.sort(key=due.__getitem__)
    ranks, before = [0] * len(sizes), 0
    for place in order:
        ranks[place], before = before, before + sizes[place]
    return ranks
