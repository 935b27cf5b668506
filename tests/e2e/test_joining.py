"""More people for a run that is there: they join its society, and act."""

import asyncio
from pathlib import Path

from services.events import AgentsActed, AgentsJoined, GroupFounded
from services.events.topics import AGENTS_ACTED, OBSERVATIONS_DELIVERED
from tests.e2e.conftest import Matrix, write_society
from tests.e2e.driving import at_work, ended
from tests.e2e.reading import count, events, rows


def members(out: Path) -> dict[str, str]:
    """Return the group of each person, as they came; fails where somebody came twice."""
    found: list[tuple[str, str]] = []
    for event in events(out, OBSERVATIONS_DELIVERED):
        if isinstance(event, GroupFounded):
            found += [(n.agent_id, event.group.group_id) for n in event.newcomers]
        elif isinstance(event, AgentsJoined):
            found += [(n.agent_id, event.group_id) for n in event.newcomers]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_people_who_join_a_run_act_and_those_of_before_stay_where_they_are(
    matrix: Matrix, society: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    run = ("run", "--model", "simulated", "--deterministic", "--profiles", society, "--out", out)
    first = matrix(*run, "--agents", "20", "--samples", "6")
    assert first.returncode == 0, first.stderr
    before = members(out)
    second = matrix(*run, "--agents", "30", "--samples", "40")
    assert second.returncode == 0, second.stderr
    told = " ".join(second.stderr.split())
    assert "10 people joined: " in told
    assert "30 agents" in told
    after = members(out)
    assert (len(before), len(after)) == (20, 30)
    assert before.items() <= after.items()
    newcomers = after.keys() - before.keys()
    acted = [e for e in events(out, AGENTS_ACTED) if isinstance(e, AgentsActed)]
    assert newcomers <= {action.agent_id for each in acted for action in each.actions}
    assert all(len(each.agents) <= 10 for each in acted)
    assert len(rows(out)) == 46

    # People do not leave, and are not exchanged.
    fewer = matrix(*run, "--agents", "20", "--samples", "1")
    assert fewer.returncode == 2
    assert "agents is 30 there, 20 here" in " ".join(fewer.stderr.split())
    write_society(society, 50)
    lines = society.read_text().splitlines()
    society.write_text("\n".join(lines[1:]))
    others = matrix(*run, "--agents", "40", "--samples", "1")
    assert others.returncode == 2
    assert "profiles is" in others.stderr
    assert members(out) == after


async def test_a_run_that_is_killed_while_people_join_brings_in_each_once(
    society: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    run = ("run", "--model", "simulated", "--profiles", society, "--out", out, "--samples", "12")
    assert (await ended(*run, "--agents", "20")).code == 0
    founded = count(out, OBSERVATIONS_DELIVERED)
    for _ in range(2):
        async with at_work(*run, "--agents", "60") as running:
            await running.until(lambda: count(out, OBSERVATIONS_DELIVERED) > founded)
        # Left behind: killed.
    done = await ended(*run, "--agents", "60")
    assert done.code == 0, done.told
    assert len(await asyncio.to_thread(members, out)) == 60
