"""Several replicas plan one set of datasets: together they decide as one would."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.events import DatasetDeclared, Provenance, ScenarioExtracted
from services.events.topics import (
    CANDIDATES,
    DEAD_LETTERS,
    SCENARIOS_EXTRACTED,
)
from services.instruction_generation.application import Generation
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.domain import Claim
from services.instruction_generation.orders import deleted, extended, ordered
from services.instruction_generation.planner import Planner
from services.runtime.ids import derived_seed
from services.runtime.partitions import partition_of
from services.runtime.state import Changelog
from tests.integration.generating import KINDS, running, scenario
from tests.integration.generating import claims as claims_of
from tests.integration.replicas import Cluster, Replica, cluster
from tests.integration.running import events, open_log, process, publish

REGIONS = {"r00": 2, "r01": 1}
SIZES = {"d": 9, "e": 5}
KEYS = [*SIZES, *(f"{name}/{region}" for name in SIZES for region in REGIONS)]
WHICH = st.integers(0, 1)
OPERATIONS = st.one_of(
    st.tuples(st.just("learn"), WHICH, st.integers(1, 30)),
    st.tuples(st.just("tick"), WHICH, st.just(0)),
    st.tuples(st.just("work"), WHICH, st.integers(1, 5)),
    st.tuples(st.just("judge"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, len(KEYS) - 1), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, len(KEYS) - 1), st.just(0)),
    st.tuples(st.just("crash"), WHICH, st.just(0)),
    st.tuples(st.just("scenario"), WHICH, st.integers(1, 3)),
    st.tuples(st.just("later"), st.just(0), st.just(0)),
)


def order(name: str, size: int, weight: float = 1.0) -> DatasetDeclared:
    return ordered(KINDS, name, "sft", size, "", REGIONS, 0, 0.0, weight=weight)


def chance(candidate_id: str) -> bool:
    return derived_seed(candidate_id) % 3 > 0


async def carry_out(now: Cluster, operation: tuple[str, int, int], number: int) -> None:
    name, which, count = operation
    if name == "learn":
        await now.replicas[which].learn(count)
    elif name == "tick":
        await now.replicas[which].consumer.tick()
    elif name == "work":
        for _ in range(count):
            await now.replicas[which].consumer.step()
    elif name == "judge":
        await now.judge(which, chance)
    elif name == "move":
        await now.move(partition_of(KEYS[which], now.partitions))
    elif name == "crash":
        await now.restart(which)
    elif name == "scenario":
        made = scenario(f"s{number}-", count, f"r0{which}")
        await publish(now.process.log, SCENARIOS_EXTRACTED, made.group_id, made)
    else:
        now.now.seconds += 100.0


async def check_interleaving(folder: Path, operations: list[tuple[str, int, int]]) -> None:
    log = open_log(folder / "log.db")
    async with process(log) as parts:
        now = await cluster(parts, 2, REGIONS, wait=0)
        for name, size in SIZES.items():
            await now.owner(name).consumer.create(order(name, size))
        first = [("scenario", 0, 3), ("scenario", 1, 2)]
        for number, operation in enumerate([*first, *operations]):
            await carry_out(now, operation, number)
            assert all(now.accepted()[name] <= size for name, size in SIZES.items())
        await now.settle(chance)
        made = Counter(each.candidate_id for each in await now.made())
        claimed = 0
        for delivery in await log.history(CANDIDATES.name):
            claims = GROUP_CLAIMS.decode(delivery.value)
            assert not claims.open  # none is lost
            claimed += sum(claims.claimed.values())
        assert set(made.values()) <= {1}  # and none done twice
        assert len(made) == claimed
        assert all(now.accepted()[name] <= size for name, size in SIZES.items())
        for each in now.replicas:
            for name in SIZES:
                assert each.planner.accepted(name) == now.accepted()[name]
        assert await events(log, DEAD_LETTERS) == []
    await log.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=20, max_size=80))
def test_however_ownership_moves_no_claim_is_lost_or_doubled_and_no_size_exceeded(
    operations: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check_interleaving(Path(folder), operations))


@pytest.fixture
async def now(tmp_path: Path) -> AsyncIterator[Cluster]:
    log = open_log(tmp_path / "log.db")
    async with process(log) as parts:
        yield await cluster(parts, 2, REGIONS)
    await log.close()


async def bring(now: Cluster, *scenarios: ScenarioExtracted) -> None:
    for each in scenarios:
        await publish(now.process.log, SCENARIOS_EXTRACTED, each.group_id, each)


async def catch_up(*replicas: Replica) -> None:
    for each in replicas:
        while await each.learn():
            pass


def other(now: Cluster, replica: Replica) -> Replica:
    return now.replicas[1 - now.replicas.index(replica)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def claimed_by_one(now: Cluster) -> tuple[Replica, Replica, list[Claim]]:
    """Let a stratum claim, and return its owner, the other replica, and the claims."""
    owner = now.owner("d/r00")
    await now.owner("d").consumer.create(order("d", 9))
    await bring(now, scenario("s", 3))
    await catch_up(owner)
    await owner.consumer.tick()
    return owner, other(now, owner), owner.open_claims()


async def test_only_the_owner_of_a_stratum_claims_and_the_others_know_it_by_the_verdicts(
    now: Cluster,
) -> None:
    owner, watcher, claims = await claimed_by_one(now)
    await catch_up(watcher)
    await watcher.consumer.tick()
    assert (len(claims), watcher.open_claims()) == (3, [])
    assert watcher.planner.libraries["r00"].unused_pairs("d") == 3
    while await owner.consumer.step():
        pass
    await now.judge(2, lambda name: True)
    await catch_up(watcher)
    assert watcher.planner.libraries["r00"].unused_pairs("d") == 1
    assert watcher.planner.status("d").claimed == watcher.planner.status("d").judged == 2


async def test_a_new_owner_works_off_what_the_old_one_claimed(now: Cluster) -> None:
    owner, heir, claims = await claimed_by_one(now)
    await owner.consumer.step()
    await now.move(partition_of("d/r00", now.partitions))
    assert owner.open_claims() == []
    assert owner.planner.progress["d"]["r00"].claimed == 0
    assert owner.consumer.idle
    await catch_up(heir)
    await heir.consumer.tick()
    assert heir.open_claims() == claims[1:]
    while await heir.consumer.step():
        pass
    assert {each.candidate_id for each in await now.made()} == {c.candidate_id for c in claims}


async def test_a_claim_in_work_is_let_go_with_its_stratum(now: Cluster) -> None:
    owner, heir, _ = await claimed_by_one(now)
    await now.move(partition_of("d/r00", now.partitions))
    # The heir has not read the scenario: its hands wait for it.
    hands = asyncio.create_task(heir.consumer.work(3))
    await until(lambda: heir.consumer.backlog.in_work == 3)
    await now.move(partition_of("d/r00", now.partitions))
    assert heir.consumer.idle
    await catch_up(heir)
    assert await now.made() == []
    while await owner.consumer.step():
        pass
    assert len(await now.made()) == 3
    assert not hands.done()
    hands.cancel()


async def test_a_claim_waits_for_its_scenario(now: Cluster) -> None:
    _, heir, claims = await claimed_by_one(now)
    await now.move(partition_of("d/r00", now.partitions))
    hands = asyncio.create_task(heir.consumer.work(3))
    await until(lambda: heir.consumer.backlog.in_work == 3)
    await catch_up(heir)
    await until(lambda: heir.consumer.idle)
    assert len(claims) == len(await now.made()) == 3
    assert all(each.instruction for each in await now.made())
    hands.cancel()


async def test_no_instruction_comes_of_a_dataset_that_is_deleted_while_a_claim_is_in_work(
    now: Cluster,
) -> None:
    _, heir, _ = await claimed_by_one(now)
    await now.move(partition_of("d/r00", now.partitions))
    hands = asyncio.create_task(heir.consumer.work(3))
    await until(lambda: heir.consumer.backlog.in_work == 3)
    await now.owner("d").consumer.change("d", deleted)
    await catch_up(heir)
    await until(lambda: heir.consumer.idle)
    assert (heir.open_claims(), await now.made()) == ([], [])
    hands.cancel()


async def test_a_claim_whose_scenario_never_comes_gets_its_verdict(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.db")
    async with running(log) as known:
        await known.handle(order("d", 9), scenario("s", 3))
        (claim, *_) = await claims_of(log)
    async with process(log) as parts:
        changelog = Changelog(CANDIDATES.name, GROUP_CLAIMS, log)
        generation = Generation(
            Planner(changelog, parts.models), KINDS, parts.journal, lambda: 0.0, patience_seconds=0
        )
        event, _ = await generation.instruct(claim)
    assert (event.candidate_id, event.instruction) == (claim.candidate_id, "")
    assert event.provenance == Provenance("s", "group-s", claim.agent_id)
    await log.close()


async def test_a_new_owner_of_a_dataset_builds_on_the_last_order(now: Cluster) -> None:
    owner = now.owner("d")
    heir = other(now, owner)
    await owner.consumer.create(order("d", 9))
    await catch_up(heir)
    last = await owner.consumer.change("d", lambda known: extended(known, 5, REGIONS))
    await now.move(partition_of("d", now.partitions))
    ended = await heir.consumer.change("d", deleted)  # it has read nothing since
    assert (ended.size, ended.revision) == (14, last.revision + 1)
    await catch_up(owner)
    assert owner.planner.datasets["d"] == ended
