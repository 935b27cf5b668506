"""Where people live who join a society: the nearest group with room, or a new one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from services.agent_state.domain import MAX_NEIGHBOURS
from services.agent_state.grouping import (
    MAX_GROUP_SIZE,
    Vectors,
    group_agents,
    nearest_group,
)
from services.agent_state.importing import description_of, ranks_of
from services.events import (
    AgentsJoined,
    Group,
    GroupFounded,
    Neighbour,
    Newcomer,
    SocietyImported,
)
from services.events.ranks import shifts_of
from services.runtime.errors import Rejected
from services.runtime.ids import derived_id
from services.runtime.vectors import quantised


@dataclass(frozen=True, slots=True)
class Seats:
    """A group as a join sees it."""

    group_id: str
    region: str
    description: str
    rank: int
    """As it was founded."""
    centroid: bytes
    """Quantised; empty for groups that were founded without one: nobody is near them."""
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where newcomers live; everyone is in exactly one of the groups."""

    founded: tuple[GroupFounded, ...] = ()
    joined: tuple[AgentsJoined, ...] = ()

    @property
    def people(self) -> int:
        """How many they are."""
        founders = sum(len(group.newcomers) for group in self.founded)
        return founders + sum(len(group.newcomers) for group in self.joined)


@dataclass
class Roster:
    """All groups of a society in order of id, and who is in them."""

    groups: list[Seats]
    _centroids: Vectors | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.present = {agent_id for group in self.groups for agent_id in group.agent_ids}
        self._sort()

    def _sort(self) -> None:
        self.groups.sort(key=lambda group: group.group_id)
        self._place = {group.group_id: place for place, group in enumerate(self.groups)}
        self._centroids = None

    def place(self, newcomers: Sequence[Newcomer], embeddings: Vectors, seed: int) -> Placement:
        """Return where people live who are not here yet; `add` puts them there.

        One after the other goes to the most similar group that has room; those that find none are
        grouped among themselves, in the region of the most similar group. The same people and
        groups give the same placement.

        Args:
            newcomers: In the order in which they choose.
            embeddings: (newcomers x dimensions), L2-normalised.
            seed: Of the grouping.

        Raises:
            Rejected: the groups' centroids are of another model's embeddings.
        """
        centroids = self._centres(embeddings.shape[1])
        sizes = np.array([len(group.agent_ids) for group in self.groups], dtype=np.intp)
        joining: dict[int, list[Newcomer]] = {}
        left = []
        for number, newcomer in enumerate(newcomers):
            place = nearest_group(centroids, sizes, embeddings[number], MAX_GROUP_SIZE)
            if place is None:
                left.append(number)
            else:
                sizes[place] += 1
                joining.setdefault(place, []).append(newcomer)
        founded: tuple[GroupFounded, ...] = ()
        near: dict[int, list[Neighbour]] = {}
        if left:
            homeless = [newcomers[number] for number in left]
            founded, near = self._found(homeless, embeddings[left], centroids, sizes, seed)
        joined = [
            AgentsJoined(
                self.groups[place].group_id,
                tuple(joining.get(place, ())),
                tuple(near.get(place, ())[:MAX_NEIGHBOURS]),
            )
            for place in sorted(joining.keys() | near.keys())
        ]
        return Placement(founded, tuple(joined))

    def _found(
        self,
        newcomers: Sequence[Newcomer],
        embeddings: Vectors,
        centroids: Vectors,
        sizes: NDArray[np.intp],
        seed: int,
    ) -> tuple[tuple[GroupFounded, ...], dict[int, list[Neighbour]]]:
        """Return new groups, and by place the groups of before that get them as neighbours."""
        plan = group_agents(embeddings, seed)
        members = [[newcomers[i] for i in group] for group in plan.members]
        ids = [derived_id("group", *(n.agent_id for n in group)) for group in members]
        every = [Neighbour(group.group_id, group.description) for group in self.groups]
        new = [Neighbour(i, description_of(m)) for i, m in zip(ids, members, strict=True)]
        regions = sorted({group.region for group in self.groups})
        # Of one region each, the most similar group of before.
        to_old = plan.centroids @ centroids.T
        nearest = to_old.argmax(axis=1).tolist()
        homes = [self.groups[place].region for place in nearest]
        ranks = ranks_of(list(map(len, members)), list(map(regions.index, homes)), seed)
        last = max(range(len(self.groups)), key=lambda place: self.groups[place].rank)
        start = self.groups[last].rank + int(sizes[last])
        similarity = np.concatenate([to_old, plan.centroids @ plan.centroids.T], axis=1)
        founded, near = [], dict[int, list[Neighbour]]()
        for place, group in enumerate(members):
            similarity[place, len(every) + place] = -np.inf
            order = np.argsort(-similarity[place], kind="stable")[:MAX_NEIGHBOURS].tolist()
            neighbours = tuple((*every, *new)[i] for i in order if similarity[place, i] > -np.inf)
            founded.append(
                GroupFounded(
                    Group(
                        group_id=ids[place],
                        region=homes[place],
                        description=new[place].description,
                        neighbours=neighbours,
                        rank=start + ranks[place],
                    ),
                    tuple(group),
                    quantised(plan.centroids[place].tolist()),
                )
            )
            near.setdefault(nearest[place], []).append(new[place])
        return tuple(founded), near

    def add(self, placement: Placement) -> None:
        """Put people where they were placed."""
        for joined in placement.joined:
            place = self._place[joined.group_id]
            seats = self.groups[place]
            ids = (newcomer.agent_id for newcomer in joined.newcomers)
            new = tuple(agent_id for agent_id in ids if agent_id not in seats.agent_ids)
            self.groups[place] = replace(seats, agent_ids=(*seats.agent_ids, *new))
            self.present.update(new)
        for founded in placement.founded:
            self.groups.append(seats_of(founded))
            self.present.update(self.groups[-1].agent_ids)
        if placement.founded:
            self._sort()

    def society(self, before: SocietyImported, joins: int, refused: int) -> SocietyImported:
        """Return the society of these groups.

        Args:
            before: What it was when it was imported or last joined.
            joins: Decisions by which people joined so far.
            refused: Profiles that were not taken in now.
        """
        regions = Counter[str]()
        for group in self.groups:
            regions[group.region] += len(group.agent_ids)
        return replace(
            before,
            agents=len(self.present),
            groups=len(self.groups),
            regions=dict(sorted(regions.items())),
            refused=before.refused + refused,
            joins=joins,
            shifts=shifts_of([(group.rank, len(group.agent_ids)) for group in self.groups]),
        )

    def _centres(self, dimensions: int) -> Vectors:
        """Return the groups' centroids (groups x dimensions), L2-normalised, or 0 if unknown."""
        if self._centroids is None or self._centroids.shape[1] != dimensions:
            centroids = np.zeros((len(self.groups), dimensions), dtype=np.float32)
            for place, group in enumerate(self.groups):
                stored = np.frombuffer(group.centroid, dtype=np.int8)
                if len(stored) not in (0, dimensions):
                    raise Rejected(
                        f"the embedding has {dimensions} dimensions, the centroid of group "
                        f"{group.group_id} {len(stored)}: join with the embedding model that the "
                        "society was imported with"
                    )
                if len(stored):
                    centroids[place] = stored
            norms = np.linalg.norm(centroids, axis=1, keepdims=True)
            norms[norms == 0.0] = 1.0
            self._centroids = centroids / norms
        return self._centroids


def seats_of(founded: GroupFounded) -> Seats:
    """Return a group as it is when it is founded."""
    group = founded.group
    return Seats(
        group_id=group.group_id,
        region=group.region,
        description=group.description,
        rank=group.rank,
        centroid=founded.centroid,
        agent_ids=tuple(newcomer.agent_id for newcomer in founded.newcomers),
    )
