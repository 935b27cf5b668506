"""Whatever point the filter dies at, each candidate gets the verdict that it would have got."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.events import InstructionGenerated, SampleJudged
from tests.integration.fates import DeadError, Fate
from tests.integration.mortal_filter import STRATA, World, candidates, seen

TRIED = ("dpo", "reasoning", "code", "multi_turn", "safety")
EACH = 2
GRANTED = 1


@dataclass(frozen=True)
class Calm:
    """A run in which nothing happens, and the world as it was before."""

    before: World
    verdicts: dict[str, SampleJudged]
    points: int
    paid: Counter[str]


async def calm(folder: Path, kind: str, made: Sequence[InstructionGenerated] = ()) -> Calm:
    before = World(folder / "before", kind)
    (folder / "before").mkdir()
    await before.begin(made or candidates(kind, EACH), GRANTED)
    world = before.copy(folder / "calm")
    async with world.life(Fate()) as life:
        await life.work()
        points = life.fate.passed
    return Calm(before, own((await world.look()).judged), points, world.paid)


def own(judged: Sequence[SampleJudged]) -> dict[str, SampleJudged]:
    """Return verdicts, one of each candidate, without what other strata have a part in.

    A process that starts again reads the strata in another order: what else was accepted when a
    candidate came, and how far from it, is not the same then.
    """
    assert len({verdict.sample_id for verdict in judged}) == len(judged)
    return {
        verdict.sample_id: replace(
            verdict,
            scores={k: v for k, v in verdict.scores.items() if not k.startswith("nearest_")},
        )
        for verdict in judged
    }


async def check_funnel(world: World, expected: dict[str, SampleJudged]) -> None:
    """Check that the world is as if nothing had happened, and that its numbers add up."""
    found = await world.look()
    verdicts = own(found.judged)
    assert verdicts == expected
    made = [each.candidate_id for each in candidates(world.kind, EACH)]
    assert sorted(verdicts) == sorted(made)
    rejected = Counter(verdict.reason for verdict in found.judged if not verdict.accepted)
    assert len(made) == sum(verdict.accepted for verdict in found.judged) + rejected.total()
    assert rejected[""] == 0
    assert (found.answers, found.letters) == ([], [])


def check_tables(world: World, expected: dict[str, SampleJudged]) -> None:
    """Check that the tables hold each verdict once, on its side."""
    for accepted in (True, False):
        wanted = [name for name, verdict in expected.items() if verdict.accepted is accepted]
        assert sorted(world.rows(accepted)) == sorted(wanted)


async def live(world: World, dies_at: int | None = None) -> int:
    """Live until death or the end; return the calls that were paid for and may be lost."""
    before = world.paid.total()
    async with world.life(Fate(dies_at)) as life:
        try:
            await life.work()
        except DeadError:
            return world.paid.total() - before - life.way.journalled
    return 0


@pytest.mark.parametrize("kind", TRIED)
async def test_the_run_that_is_disturbed_has_verdicts_of_many_sorts(
    tmp_path: Path, kind: str
) -> None:
    run = await calm(tmp_path, kind)
    assert {True, False} == {verdict.accepted for verdict in run.verdicts.values()}
    assert len({verdict.reason for verdict in run.verdicts.values()}) >= 3
    assert run.points > 50


@pytest.mark.parametrize("kind", TRIED)
async def test_a_death_at_any_point_changes_no_verdict(tmp_path: Path, kind: str) -> None:
    run = await calm(tmp_path, kind)
    for point in range(run.points):
        world = run.before.copy(tmp_path / str(point))
        lost = await live(world, dies_at=point)
        await live(world)
        await check_funnel(world, run.verdicts)
        assert world.paid.total() - run.paid.total() <= lost, f"point {point}"


@given(
    st.sampled_from(TRIED),
    st.lists(st.integers(0, 120), min_size=2, max_size=5),
    st.lists(st.integers(0, 12), max_size=4),
)
@settings(max_examples=15, deadline=None)
async def test_deaths_in_a_row_of_filter_and_writer_leave_tables_that_add_up(
    kind: str, deaths: list[int], writer_deaths: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = await calm(Path(folder), kind)
        world = run.before.copy(Path(folder) / "disturbed")
        lost = 0
        for point in deaths:
            lost += await live(world, dies_at=point)
            await deliver(world, writer_deaths)
        await live(world)
        await deliver(world, writer_deaths)
        await world.deliver(Fate())
        await check_funnel(world, run.verdicts)
        check_tables(world, run.verdicts)
        assert world.paid.total() - run.paid.total() <= lost


async def deliver(world: World, deaths: list[int]) -> None:
    """Write the tables in lives that end so soon."""
    for point in deaths:
        try:
            await world.deliver(Fate(point))
        except DeadError:
            continue


async def test_a_writer_that_dies_at_any_point_writes_each_row_once(tmp_path: Path) -> None:
    run = await calm(tmp_path, "dpo")
    judged = run.before.copy(tmp_path / "judged")
    await live(judged)
    fate = Fate()
    world = judged.copy(tmp_path / "written")
    await world.deliver(fate)
    check_tables(world, run.verdicts)
    assert fate.passed > 10
    for point in range(fate.passed):
        world = judged.copy(tmp_path / f"died-{point}")
        with pytest.raises(DeadError):
            await world.deliver(Fate(point))
        await world.deliver(Fate())
        check_tables(world, run.verdicts)


@pytest.mark.parametrize("kind", TRIED)
async def test_one_that_froze_amid_a_candidate_and_wakes_when_another_is_done_counts_for_nothing(
    tmp_path: Path, kind: str
) -> None:
    run = await calm(tmp_path, kind)
    # Every third: a take-over is two lives at once, and neighbouring points are alike.
    for point in range(0, run.points, 3):
        world = run.before.copy(tmp_path / str(point))
        fate = Fate(freezes_at=point)
        async with world.life(fate) as frozen:
            working = asyncio.create_task(frozen.work())
            await fate.frozen.wait()
            async with world.life(Fate(), beside=frozen) as heir:
                await heir.work()
            judged = (await seen(frozen.log)).judged
            assert own(judged) == run.verdicts, f"point {point}"
            fate.woken.set()
            await working
        # What the late one wrote is void: the verdicts are still those of its heir.
        assert (await world.look()).judged == judged
        await world.deliver(Fate())
        check_tables(world, run.verdicts)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[str, list[InstructionGenerated]]:
    """Candidates in some order between the strata, some of them again."""
    kind = draw(st.sampled_from(TRIED))
    made = candidates(kind, EACH)
    lanes = [[each for each in made if each.stratum == stratum] for stratum in STRATA]
    sent: list[InstructionGenerated] = []
    while any(lanes):
        lane = draw(st.sampled_from([lane for lane in lanes if lane]))
        sent.append(lane.pop(0))
        if draw(st.booleans()):
            sent.append(draw(st.sampled_from(sent)))
    return kind, sent


@given(deliveries())
@settings(max_examples=20, deadline=None)
async def test_repeats_and_the_order_between_strata_change_no_verdict(
    sent: tuple[str, list[InstructionGenerated]],
) -> None:
    kind, made = sent
    with tempfile.TemporaryDirectory() as folder:
        run = await calm(Path(folder), kind)
        (Path(folder) / "other").mkdir()
        other = await calm(Path(folder) / "other", kind, made)
    assert other.verdicts == run.verdicts
    assert other.paid == run.paid
