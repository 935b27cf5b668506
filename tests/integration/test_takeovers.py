"""Repeats in the ring: whoever dies or takes over, each ends at the modulator."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from services.events import Group, GroupFounded, Neighbour, Newcomer
from services.events.topics import OBSERVATIONS_DELIVERED
from services.local.log import Log
from tests.integration.modulating import UNWANTED, WANTED, place
from tests.integration.ring import DeadError, Owner, agents, modulators, traffic
from tests.integration.running import Process, open_log, process, publish

NAMES = ("g0", "g1", "g2")
"""Each hears of the others."""


def foundation(number: int) -> GroupFounded:
    near = tuple(Neighbour(name, f"people of {name}") for name in NAMES if name != NAMES[number])
    people = tuple(
        Newcomer(f"{NAMES[number]}/{n}", f"Mina{n}", f"baker {n}", f"Mina{n} bakes for a living.")
        for n in range(2)
    )
    return GroupFounded(Group(NAMES[number], "r00", "bakers", near, 2 * number), people)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = open_log(tmp_path / "log.db")
    for number, name in enumerate(NAMES):
        await publish(opened, OBSERVATIONS_DELIVERED, name, foundation(number))
    await publish(opened, *place(WANTED), WANTED)
    yield opened
    await opened.close()


async def turns(*owners: Owner, count: int) -> None:
    for owner in itertools.islice(itertools.cycle(owners), count):
        await owner.turn()


async def until_still(*owners: Owner) -> int:
    """Work until there is nothing left to handle; return in how many rounds."""
    for rounds in range(1000):
        if not any([await owner.turn() for owner in owners]):
            return rounds
    raise AssertionError("something goes round for ever")


async def rest(log: Log, parts: Process, society: Owner) -> None:
    """Let the groups end what they are at."""
    await publish(log, *place(UNWANTED), UNWANTED)
    await until_still(await modulators(parts, Random(0)), society)


async def test_without_takeovers_nothing_is_ever_repeated(log: Log) -> None:
    async with process(log) as parts:
        society, owner = await agents(parts, Random(0)), await modulators(parts, Random(0))
        await turns(society, owner, count=60)
        await rest(log, parts, society)
    found = await traffic(log)
    assert found.repeats() == 0
    assert found.forwarded
    assert all(len(found.steps(name)) > 3 for name in NAMES)


async def test_a_new_owner_repeats_the_last_step_once_and_the_repeat_ends_at_it(log: Log) -> None:
    async with process(log) as parts:
        society, first = await agents(parts, Random(0)), await modulators(parts, Random(0))
        for _ in NAMES:
            await society.turn()
            await first.turn()
        for _ in NAMES:
            await society.turn()
        before = await traffic(log)
        assert before.repeats() == 0
        # The first owner routes everybody's step 0, and loses the partition before it commits.
        for _ in NAMES:
            assert await first.turn(commit=False)
        second = await modulators(parts, Random(0))
        for _ in NAMES:
            assert await second.turn()
        after = await traffic(log)
        assert after.completed == {(name, 0): 2 for name in NAMES}
        assert after.tokens == {(name, step): 1 + step for name in NAMES for step in (0, 1)}
        # Both tokens of step 1 are answered, with the same words, and the second answer ends here.
        for _ in range(2 * len(NAMES)):
            await society.turn()
        assert (await traffic(log)).acted == {(n, step): 1 + step for n in NAMES for step in (0, 1)}
        await turns(second, society, count=80)
        await rest(log, parts, society)
    found = await traffic(log)
    assert all(len(found.steps(name)) > 2 for name in NAMES)
    assert found.completed - Counter(set(found.completed)) == {(name, 0): 1 for name in NAMES}
    assert found.tokens - Counter(set(found.tokens)) == {(name, 1): 1 for name in NAMES}
    assert found.acted - Counter(set(found.acted)) == {(name, 1): 1 for name in NAMES}
    assert {step for *_, step in found.forwarded - Counter(set(found.forwarded))} <= {0}


@pytest.mark.parametrize("seed", range(3, 9))
async def test_whoever_dies_or_takes_over_repeats_stay_few_and_no_step_is_lost(
    log: Log, seed: int
) -> None:
    rng = Random(seed)
    deaths = {agents: 0, modulators: 0}
    taken_over = 0
    async with process(log) as parts:
        started = {
            agents: [await agents(parts, rng)],
            modulators: [await modulators(parts, rng), await modulators(parts, rng)],
        }
        for _ in range(400):
            start = rng.choice([agents, modulators])
            owner = started[start][0]
            if rng.random() < 0.05 and owner.publisher.left is None:
                owner.publisher.left = rng.randrange(5)
            try:
                await owner.turn(commit=rng.random() < 0.7)
            except DeadError:
                deaths[start] += 1
                started[start].remove(owner)
                started[start].append(await start(parts, rng))
                started[start][0].source = await started[start][0].restore()
            if rng.random() < 0.05:
                # A rebalance: the one who owned before lives on with what it remembers.
                taken_over += 1
                started[modulators].reverse()
                started[modulators][0].source = await started[modulators][0].restore()
        await rest(log, parts, await agents(parts, rng))
        found = await traffic(log)
        # Nothing is left that goes round.
        assert await until_still(await modulators(parts, rng), await agents(parts, rng)) == 0
        again = await traffic(log)
    assert again == found
    lives = 1 + deaths[modulators] + taken_over
    others = 1 + deaths[agents]
    assert min(lives, others) > 3
    for name in NAMES:
        steps = found.steps(name)
        assert steps == list(range(len(steps)))
        assert len(steps) > 5
        completed, tokens, acted = (
            sum(count for key, count in counter.items() if key[0] == name)
            for counter in (found.completed, found.tokens, found.acted)
        )
        # A life repeats the outputs of one step of a group at most, those it began with.
        assert completed <= len(steps) + lives
        assert tokens <= len(steps) + 1 + lives
        # So does one of agent_state for each token that it is given again.
        assert acted <= tokens + others
        assert found.founded[name] <= others
    repeated_steps = found.completed.total() - len(found.completed)
    assert found.forwarded.total() - len(found.forwarded) <= repeated_steps * (len(NAMES) - 1)
