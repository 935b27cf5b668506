from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.events.topics import CANDIDATES
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.domain import GroupClaims
from services.local.log import Log, LogError
from services.runtime.errors import Rejected
from services.runtime.state import Changelog

TOPIC = CANDIDATES.name


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = Log(tmp_path / "log.db", {TOPIC})
    yield opened
    await opened.close()


def changelog(log: Log) -> Changelog[GroupClaims]:
    return Changelog(TOPIC, GROUP_CLAIMS, log)


async def test_states_stand_in_the_partition_of_the_partition_key(log: Log) -> None:
    states = {f"d/r00/{group}": GroupClaims({group: 1}) for group in "abcdefgh"}
    written = changelog(log)
    await written.put_all(states, "d/r00")
    await written.put("own", GroupClaims({"own": 1}))
    restored = changelog(log)
    restored.restore(await log.read(TOPIC, log.partition("d/r00"), 0, -1))
    assert dict(restored.items()).items() >= states.items()
    restored.restore(await log.read(TOPIC, log.partition("own"), 0, -1))
    assert restored.items() == written.items()


async def test_a_write_that_fails_takes_no_effect(tmp_path: Path) -> None:
    closed = Log(tmp_path / "closed.db", {TOPIC})
    states = changelog(closed)
    await states.put("a", GroupClaims({"old": 1}))
    await closed.close()
    with pytest.raises((LogError, RuntimeError)):
        await states.put_all({"a": GroupClaims(), "b": GroupClaims()})
    assert states.items() == [("a", GroupClaims({"old": 1}))]


async def test_forgotten_keys_are_dropped_from_memory_and_stay_in_the_log(log: Log) -> None:
    states = changelog(log)
    await states.put_all({key: GroupClaims({key: 1}) for key in ("a/1", "a/2", "b/1")})
    states.forget(lambda key: key.startswith("a/"))
    assert [key for key, _ in states.items()] == ["b/1"]
    states.restore(await log.history(TOPIC))
    assert [key for key, _ in states.items()] == ["a/1", "a/2", "b/1"]


async def test_who_watches_is_told_of_all_states_and_of_each_change(log: Log) -> None:
    before, after = changelog(log), changelog(log)
    one, two = GroupClaims({"a": 1}), GroupClaims({"a": 2})
    await before.put("old", one)
    told: dict[str, GroupClaims | None] = {}
    before.watch(told.__setitem__)
    assert told == {"old": one}
    await before.put_all({"old": two, "new": one})
    assert told == {"old": two, "new": one}
    before.forget(lambda key: key == "old")
    assert told == {"old": None, "new": one}
    seen: dict[str, GroupClaims | None] = {}
    after.watch(seen.__setitem__)
    after.restore(await log.history(TOPIC))
    assert seen == {"old": two, "new": one}


@pytest.mark.parametrize("watched", [False, True])
async def test_a_record_of_another_type_is_rejected_and_the_state_stays(
    log: Log, watched: bool
) -> None:
    states = Changelog(TOPIC, GROUP_CLAIMS, log, awake=1)
    await states.put("a", GroupClaims({"old": 1}))
    if watched:
        states.watch(lambda key, state: None)
    good = (await log.history(TOPIC))[0]
    with pytest.raises(Rejected, match=r"3 bytes are no .*GroupClaims"):
        states.restore([replace(good, value=b"\xff\xff\xff")])
    assert states.items() == [("a", GroupClaims({"old": 1}))]
