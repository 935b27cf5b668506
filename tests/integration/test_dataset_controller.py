"""Dataset objects become orders of a platform, and tell how far these are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.events.topics import POPULATION
from tests.integration.cli_rpc import Platform, platform
from tests.integration.controlling import Cluster, cluster, free_port, role_rules
from tests.integration.instruction_generation_rpc import SOCIETY, orders
from tests.integration.kubernetes_double import Refused
from tests.integration.reward_filtering_rpc import judged
from tests.integration.rpc import until
from tests.integration.running import publish, work

NEVER = 3600.0
"""Seconds between two questions, where only what handlers do is looked at."""


@asynccontextmanager
async def both(folder: Path, society: bool = True) -> AsyncIterator[tuple[Platform, Cluster]]:
    async with platform(folder, society=society) as there, cluster(folder) as here:
        yield there, here


async def judge(there: Platform, *numbers: int) -> None:
    await there.samples.take_in(*(judged(number, "d", True) for number in numbers))
    await work(there.orders.worker)


async def test_an_object_becomes_an_order_and_tells_how_it_stands(tmp_path: Path) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3, weight=2.5, seed=7, filter={"maxJaccard": 0.5})
        async with here.controller(there.address) as process:
            accepted = await here.until("d", "Accepted", "True")
            ordered = here.status("d")
            await judge(there, 0, 1)
            await here.api.until(lambda: here.status("d").get("accepted") == 2)
            partly = here.status("d")
            await judge(there, 2)
            complete = await here.until("d", "Complete", "True")
            await here.api.until(lambda: "Filled" in here.reasons())
        (order,) = await orders(there.orders)
    assert (order.dataset, order.kind, order.size) == ("d", "sft", 3)
    assert (order.weight, order.seed, order.filter.max_jaccard) == (2.5, 7, 0.5)
    assert accepted["reason"] == "Ordered"
    assert (ordered["phase"], ordered["wanted"], ordered["accepted"]) == ("Filling", 3, 0)
    assert (ordered["observedGeneration"], "snapshotURI" in ordered) == (1, False)
    assert (partly["wanted"], partly["snapshotURI"]) == (1, "s3://bucket/prefix/d")
    assert partly["rate"] > 0
    assert complete["reason"] == "Filled"
    assert here.status("d")["phase"] == "Filled"
    assert here.reasons() == ["Ordered", "Filled"]
    assert process.returncode == 0


async def test_a_refused_spec_is_told_in_the_platforms_words_asked_once_and_may_be_corrected(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3, kind="poems")
        async with here.controller(there.address):
            refused = await here.until("d", "Accepted", "False", "Rejected")
            # A second object is ordered meanwhile, so that the first one had its time.
            here.create("e", size=3)
            await here.until("e", "Accepted", "True")
            assert here.reasons().count("Rejected") == 1
            here.change("d", kind="sft")
            await here.until("d", "Accepted", "True")
            status = here.status("d")
        placed = {order.dataset for order in await orders(there.orders)}
    assert "known: code, domain, dpo" in refused["message"]
    assert status["observedGeneration"] == 2
    assert status["phase"] == "Filling"
    assert placed == {"d", "e"}


async def test_an_order_of_that_name_that_is_another_one_is_left_alone(tmp_path: Path) -> None:
    async with both(tmp_path) as (there, here):
        await there.matrix("datasets", "create", "d", "--size", "9")
        here.create("d", size=3, deletionPolicy="Cancel")
        async with here.controller(there.address):
            refused = await here.until("d", "Accepted", "False")
            here.delete("d")
            await here.until_gone("d")
        (order,) = await orders(there.orders)
    assert "exists with size 9, not 3" in refused["message"]
    assert (order.deleted, order.paused) == (False, False)


async def test_an_object_pauses_and_resumes_its_order_also_after_somebody_else_did(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3)
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
            here.change("d", paused=True)
            await here.api.until(lambda: here.status("d").get("phase") == "Paused")
            assert (await orders(there.orders))[-1].paused
            here.change("d", paused=False)
            await here.api.until(lambda: here.status("d").get("phase") == "Filling")
            await there.matrix("datasets", "pause", "d")
            # Each change is a revision: ordered, paused, resumed, paused by hand, resumed.
            await until(lambda: there.orders.planner.datasets["d"].revision == 5)
        assert not (await orders(there.orders))[-1].paused


@pytest.mark.parametrize(
    ("policy", "paused", "deleted"),
    [("Pause", True, False), ("Retain", False, False), ("Cancel", False, True)],
)
async def test_a_deleted_object_does_with_its_order_as_its_policy_says(
    tmp_path: Path, policy: str, paused: bool, deleted: bool
) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3, deletionPolicy=policy)
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
            here.delete("d")
            await here.until_gone("d")
            last = (await orders(there.orders))[-1]
            assert (last.paused, last.deleted) == (paused, deleted)
            here.create("d", size=3, deletionPolicy=policy)
            again = await here.until("d", "Accepted", "False" if deleted else "True")
            last = (await orders(there.orders))[-1]
    assert ("was deleted" in again["message"]) == deleted
    assert (last.paused, last.deleted) == (False, deleted)


async def test_an_order_that_somebody_ended_is_told_and_not_made_anew(tmp_path: Path) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3)
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
            await there.matrix("datasets", "delete", "d", "--yes")
            ended = await here.until("d", "Accepted", "False", "Ended")
        assert (await orders(there.orders))[-1].deleted
    assert "no dataset 'd'" in ended["message"]
    assert here.status("d")["phase"] == "Ended"


async def test_while_the_platform_is_away_an_object_waits_and_retain_lets_it_go(
    tmp_path: Path,
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    async with both(tmp_path) as (there, here):
        here.create("d", size=3)
        here.create("e", size=3)
        async with here.controller(nowhere):
            away = await here.until("d", "Synced", "False", "Unavailable")
            assert here.condition("d", "Accepted") == {}
            here.delete("e")
            await here.api.until(lambda: here.reasons().count("Unavailable") >= 3)
            assert here.find("e") is not None
            here.change("e", deletionPolicy="Retain")
            await here.until_gone("e")
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
            synced = here.condition("d", "Synced")
    assert "cannot be reached" in away["message"]
    assert synced["status"] == "True"


async def test_an_object_that_came_before_any_agents_waits_for_them(tmp_path: Path) -> None:
    async with both(tmp_path, society=False) as (there, here), here.controller(there.address):
        here.create("d", size=3)
        waits = await here.until("d", "Synced", "False", "Unavailable")
        assert here.condition("d", "Accepted") == {}
        await publish(there.orders.parts.log, POPULATION, "society", SOCIETY)
        await work(there.orders.worker)
        await here.until("d", "Accepted", "True")
        assert [order.dataset for order in await orders(there.orders)] == ["d"]
    assert "no society to draw on; import agents first" in waits["message"]


async def test_a_controller_killed_between_order_and_status_goes_on_with_the_same_order(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3)
        here.api.hold("datasets/status")
        async with here.controller(there.address) as process:
            await here.api.until(lambda: here.api.held)
            process.kill()
            await process.wait()
        assert here.status("d") == {}
        assert [order.revision for order in await orders(there.orders)] == [1]
        here.api.release()
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
        assert [order.revision for order in await orders(there.orders)] == [1]


async def test_an_object_deleted_while_no_controller_runs_is_settled_by_the_next_one(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3, deletionPolicy="Cancel")
        async with here.controller(there.address) as process:
            await here.until("d", "Accepted", "True")
            process.kill()
            await process.wait()
        here.delete("d")
        assert here.find("d") is not None
        async with here.controller(there.address):
            await here.until_gone("d")
        assert (await orders(there.orders))[-1].deleted


@pytest.mark.parametrize(
    ("code", "reason"),
    [(409, "Conflict"), (422, "Invalid"), (429, "TooManyRequests"), (500, "InternalError")],
)
async def test_a_write_that_fails_or_meets_a_newer_version_is_done_again(
    tmp_path: Path, code: int, reason: str
) -> None:
    async with both(tmp_path) as (there, here):
        here.api.fail("patch", "datasets/status", code, reason)
        here.create("d", size=3)
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
            await judge(there, 0)
            await here.api.until(lambda: here.status("d").get("accepted") == 1)
        first, *others = (refused for _, refused in here.api.refusals)
        assert first == code
        assert set(others) <= {422}  # Tests of the resource version, while kopf catches up.
        assert [order.revision for order in await orders(there.orders)] == [1]


async def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3)
        here.api.hold("datasets/status")
        async with here.controller(there.address):
            await here.api.until(lambda: here.api.held)
            here.annotate("d", "written meanwhile")
            here.api.release()
            await here.until("d", "Accepted", "True")
        annotations = (here.find("d") or {})["metadata"]["annotations"]
        conflicts = [code for _, code in here.api.refusals]
    assert annotations["example.org/note"] == "written meanwhile"
    assert 422 in conflicts  # The test of the resource version in the first patch.


async def test_an_expired_version_and_a_broken_watch_lose_no_change(tmp_path: Path) -> None:
    async with both(tmp_path) as (there, here):
        here.create("d", size=3)
        async with here.controller(there.address, NEVER):
            await here.until("d", "Accepted", "True")
            lists = here.api.calls.count(("list", "matrix.dev", "datasets"))
            here.api.bookmark()
            here.api.expire()
            await here.api.until(
                lambda: here.api.calls.count(("list", "matrix.dev", "datasets")) > lists
            )
            here.create("e", size=3)
            await here.until("e", "Accepted", "True")
            here.api.break_watches()
            here.create("f", size=3)
            await here.until("f", "Accepted", "True")
        placed = [order.dataset for order in await orders(there.orders)]
    assert sorted(placed) == ["d", "e", "f"]


async def test_the_role_allows_exactly_what_the_controller_calls(tmp_path: Path) -> None:
    allowed = {
        (verb, group, resource)
        for rule in role_rules()
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    async with both(tmp_path) as (there, here):
        here.api.rules = role_rules()
        here.create("d", size=3)
        async with here.controller(there.address):
            await here.until("d", "Accepted", "True")
            await here.api.until(lambda: here.reasons() == ["Ordered"])
            here.delete("d")
            await here.until_gone("d")
    assert here.api.refusals == []
    assert set(here.api.calls) == allowed


async def test_the_schema_refuses_what_no_order_can_be(tmp_path: Path) -> None:
    async with cluster(tmp_path) as here:
        for bad, told in (
            ({"size": 0}, "size"),
            ({"size": 3, "weight": 0}, "weight"),
            ({"size": 3, "kind": ""}, "kind"),
            ({"size": 3, "filter": {"maxJaccard": 0}}, "maxJaccard"),
            ({"size": 3, "filter": {"stages": ["magic"]}}, "stages"),
            ({"size": 3, "deletionPolicy": "Delete"}, "deletionPolicy"),
        ):
            with pytest.raises(Refused, match=told):
                here.create("d", **bad)
        assert here.create("d", size=3, colour="red")["spec"] == {
            **{"kind": "sft", "size": 3, "paused": False, "deletionPolicy": "Pause"}
        }
