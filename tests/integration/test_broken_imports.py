"""An import that broke off anywhere and is repeated in full: each group is founded once."""

from pathlib import Path
from random import Random

import pytest

from services.agent_state.importing import Imported, Importer
from services.agent_state.profiles import Profile
from services.events import Appetite
from services.events.topics import AGENTS, GROUPS, POPULATION
from services.local.log import Log
from tests.integration.ring import Owner, agents, modulators, traffic
from tests.integration.running import Process, open_log, process, publish

PROFILES = [
    Profile(f"p{n}", f"Mina {n}", f"Mina is a {job} of quarter {n}.", synthetic=True)
    for n, job in enumerate(["baker", "nurse", "welder", "farmer"] * 3)
]


async def imported(parts: Process) -> Imported:
    importer = Importer(parts.journal, parts.models, {})
    made, _ = await importer.society(PROFILES, seed=3, refused=0, fingerprint="test")
    return made


async def owners(parts: Process) -> tuple[Owner, Owner]:
    return await agents(parts, Random(0)), await modulators(parts, Random(0))


async def turns(pair: tuple[Owner, Owner], count: int = 1000) -> None:
    """Work until nothing is left, or for so many rounds."""
    for _ in range(count):
        if not any([await owner.turn() for owner in pair]):
            return


async def want(log: Log, made: Imported, hungry: bool = True) -> None:
    for region in made.society.regions:
        await publish(log, POPULATION, f"appetite/{region}", Appetite(region, hungry))


@pytest.mark.parametrize("restarted", [False, True], ids=["one life", "restarted"])
@pytest.mark.parametrize("wanted", [False, True], ids=["wanted later", "wanted before"])
async def test_wherever_an_import_broke_off_its_repeat_founds_every_group_once(
    tmp_path: Path, restarted: bool, wanted: bool
) -> None:
    kept, groups = 0, 1
    while kept <= groups:
        log = open_log(tmp_path / f"{kept}.db")
        async with process(log) as parts:
            made = await imported(parts)
            groups = len(made.groups)
            if wanted:
                await want(log, made)
            # The last ones: a broker may take the records of some partitions and not of others.
            await log.publish(made.foundations()[groups - kept :])
            pair = await owners(parts)
            await turns(pair, count=5)
            if restarted:
                pair = await owners(parts)
            await log.publish([*made.foundations(), made.completion()])
            await turns(pair, count=8)
            if not wanted:
                assert (await traffic(log)).tokens == {}
                await want(log, made)
                await pair[1].restore()
            await turns(pair, count=8)
            await want(log, made, hungry=False)
            await turns(await owners(parts))
            await _check(log, made, kept, once=not restarted)
        await log.close()
        kept += 1
    assert groups > 2


async def _check(log: Log, made: Imported, kept: int, once: bool) -> None:
    """Look for one state of each kind and one first token for every group."""
    found = await traffic(log)
    group_ids = {founded.group.group_id for founded in made.groups}
    early = {founded.group.group_id for founded in made.groups[len(made.groups) - kept :]}
    assert found.founded == {name: 2 if name in early else 1 for name in group_ids}
    for topic in (AGENTS, GROUPS):
        assert {delivery.key for delivery in await log.history(topic.name)} == group_ids
    for name in group_ids:
        assert found.tokens[name, 0] == 1
        assert found.steps(name) == list(range(len(found.steps(name))))
        assert found.steps(name)
    # A restart may repeat what it finds on its way, nothing else may.
    repeats = found.repeats() - kept
    assert repeats == 0 if once else repeats <= 3 * len(group_ids)
