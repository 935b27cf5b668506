"""Where people live who join: bounds, nearness, and that nobody is forgotten or stands twice."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.domain import MAX_NEIGHBOURS
from services.agent_state.grouping import MAX_GROUP_SIZE, Vectors
from services.agent_state.placing import Placement, Roster, Seats
from services.events import Newcomer, SocietyImported
from services.events.ranks import shifted
from services.runtime.errors import Rejected
from services.runtime.vectors import quantised

IMPORTED = SocietyImported(0, 0, {}, refused=2, fingerprint="first", imported_at=5.0)


def unit(rows: object) -> Vectors:
    vectors = np.asarray(rows, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


def scattered(count: int, seed: int, dimensions: int = 6) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(count, dimensions)))


def society(sizes: Sequence[int], centroids: Vectors) -> Roster:
    groups, rank = [], 0
    for place, size in enumerate(sizes):
        ids = tuple(f"a{place:02}-{n}" for n in range(size))
        name = f"g{place:02}"
        groups.append(
            Seats(
                name,
                f"r{place % 3:02}",
                f"people of {name}",
                rank,
                quantised(centroids[place]),
                ids,
            )
        )
        rank += size
    return Roster(groups)


def people(count: int, first: int = 0) -> list[Newcomer]:
    return [
        Newcomer(f"n{n:03}", f"N{n}", f"newcomer {n}", "Has come.")
        for n in range(first, first + count)
    ]


def homes(placement: Placement) -> dict[str, str]:
    """Return the group of each newcomer; fails where one has two."""
    groups = [(f.group.group_id, f.newcomers) for f in placement.founded]
    groups += [(j.group_id, j.newcomers) for j in placement.joined]
    found = [(n.agent_id, group_id) for group_id, newcomers in groups for n in newcomers]
    assert len(dict(found)) == len(found)
    return dict(found)


sizes = st.lists(st.integers(1, MAX_GROUP_SIZE), min_size=1, max_size=12)
seeds = st.integers(0, 10_000)


@given(sizes, st.integers(0, 60), seeds)
def test_everybody_has_one_home_and_no_group_grows_beyond_its_bound(
    sizes: list[int], count: int, seed: int
) -> None:
    roster = society(sizes, scattered(len(sizes), seed))
    before = {group.group_id: len(group.agent_ids) for group in roster.groups}
    newcomers = people(count)
    placement = roster.place(newcomers, scattered(count, seed + 1), seed)
    assert homes(placement).keys() == {n.agent_id for n in newcomers}
    assert placement.people == count
    taken = Counter(homes(placement).values())
    now = Counter(before) + taken
    assert all(1 <= size <= MAX_GROUP_SIZE for size in now.values())
    # A group is founded only when no other one has room.
    assert not placement.founded or all(now[g] == MAX_GROUP_SIZE for g in before)
    assert count - sum(taken[g] for g in before) == max(
        0, count - sum(MAX_GROUP_SIZE - size for size in sizes)
    )
    roster.add(placement)
    assert {group.group_id: len(group.agent_ids) for group in roster.groups} == now
    assert len(roster.present) == sum(sizes) + count


@given(sizes, st.integers(1, 40), seeds)
def test_nobody_passes_by_a_nearer_group_that_has_room_in_the_end(
    sizes: list[int], count: int, seed: int
) -> None:
    centroids, embeddings = scattered(len(sizes), seed), scattered(count, seed + 1)
    roster = society(sizes, centroids)
    newcomers = people(count)
    placement = roster.place(newcomers, embeddings, seed)
    now = Counter(homes(placement).values())
    room = [n for n, size in enumerate(sizes) if size + now[f"g{n:02}"] < MAX_GROUP_SIZE]
    for newcomer, embedding in zip(newcomers, embeddings, strict=True):
        home = homes(placement)[newcomer.agent_id]
        if room:
            own = centroids[int(home[1:])] @ embedding
            # Quantisation moves a cosine by less than a hundredth.
            assert own >= (centroids[room] @ embedding).max() - 0.02


@given(sizes, st.lists(st.integers(0, 25), min_size=1, max_size=4), seeds)
def test_ranks_count_the_agents_before_whoever_joined_when(
    sizes: list[int], waves: list[int], seed: int
) -> None:
    roster = society(sizes, scattered(len(sizes), seed))
    known, first = IMPORTED, 0
    for number, count in enumerate(waves, 1):
        embeddings = scattered(count, seed + number)
        roster.add(roster.place(people(count, first), embeddings, seed))
        first += count
        known = roster.society(known, number, refused=1)
        before = 0
        for group in sorted(roster.groups, key=lambda group: group.rank):
            assert shifted(group.rank, known.shifts) == before
            before += len(group.agent_ids)
    assert (known.agents, known.groups) == (sum(sizes) + first, len(roster.groups))
    assert sum(known.regions.values()) == known.agents
    assert (known.joins, known.refused) == (len(waves), 2 + len(waves))
    assert (known.fingerprint, known.imported_at) == ("first", 5.0)


@given(sizes, st.integers(0, 60), seeds)
def test_new_groups_are_of_the_nearest_region_and_know_near_groups_that_know_them(
    sizes: list[int], count: int, seed: int
) -> None:
    centroids = scattered(len(sizes), seed)
    roster = society(sizes, centroids)
    placement = roster.place(people(count), scattered(count, seed + 1), seed)
    new = {f.group.group_id: f for f in placement.founded}
    every = {group.group_id for group in roster.groups} | new.keys()
    told = {n.group_id: j.group_id for j in placement.joined for n in j.neighbours}
    for founded in placement.founded:
        group = founded.group
        own = np.frombuffer(founded.centroid, dtype=np.int8).astype(np.float32)
        similarity = centroids @ unit(own)
        region = roster.groups[int(similarity.argmax())].region
        assert group.region == region or np.ptp(np.sort(similarity)[-2:]) < 0.02
        near = [neighbour.group_id for neighbour in group.neighbours]
        assert len(near) == len(set(near)) == min(MAX_NEIGHBOURS, len(every) - 1)
        assert set(near) <= every - {group.group_id}
    # All but those beyond the most that one group can take.
    assert told.keys() <= new.keys()
    assert not new or told


@given(sizes, st.integers(0, 60), seeds)
def test_the_same_people_come_to_the_same_groups_whatever_order_groups_are_found_in(
    sizes: list[int], count: int, seed: int
) -> None:
    roster = society(sizes, scattered(len(sizes), seed))
    other = Roster(roster.groups[::-1])
    embeddings = scattered(count, seed + 1)
    placement = roster.place(people(count), embeddings, seed)
    assert other.place(people(count), embeddings, seed) == placement
    roster.add(placement)
    groups = list(roster.groups)
    roster.add(Placement(joined=placement.joined))
    assert roster.groups == groups


def test_embeddings_of_another_model_are_refused_and_groups_without_centroid_are_far() -> None:
    roster = society([1, 1], scattered(2, 0))
    with pytest.raises(Rejected, match=r"has 4 dimensions, the centroid of group g00 6"):
        roster.place(people(1), scattered(1, 0, dimensions=4), 0)
    one = unit([[1, 0, 0]])
    old = [
        Seats("old", "r00", "", 0, b"", ("x",)),
        Seats("new", "r01", "", 1, quantised(one[0]), ()),
    ]
    (joined,) = Roster(old).place(people(1), unit([[1, 1, 0]]), 0).joined
    assert joined.group_id == "new"
