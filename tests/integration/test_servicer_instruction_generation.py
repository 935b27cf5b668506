"""Datasets on real servers: standing orders, which their owner changes whoever is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from matrix.instruction_generation.v1 import service_pb2 as pb

from services.instruction_generation.servicer import NAME, PERMISSIONS
from tests.integration.instruction_generation_rpc import (
    begins_with,
    caught_up,
    order,
    orders,
    serving,
)
from tests.integration.rpc import FORWARDED, Code, ask, check_permissions, refusal

Requests = type[pb.PauseDatasetRequest | pb.ResumeDatasetRequest | pb.DeleteDatasetRequest]


def test_every_rpc_has_a_permission() -> None:
    check_permissions(NAME, pb, dict(PERMISSIONS))
    reading = {name for name, permission in PERMISSIONS.items() if permission == "read"}
    assert reading == {f"/{NAME}/GetDataset", f"/{NAME}/ListDatasets"}


async def test_an_order_is_published_with_all_that_it_asks_for(tmp_path: Path) -> None:
    wanted = order(
        kind="domain",
        requirement=" hospital pharmacy ",
        weight=2.5,
        seed=9,
        filter=pb.FilterOverrides(stages=["response"], responses=2, min_distance=0.0),
    )
    async with serving(tmp_path) as ((replica,), (channel,)):
        answer = (await ask(channel, wanted)).dataset
        (published,) = await orders(replica)
        told = (await ask(channel, pb.GetDatasetRequest(name="d"))).dataset
        (listed,) = (await ask(channel, pb.ListDatasetsRequest())).datasets
    assert (published.kind, published.domain) == ("domain", "hospital pharmacy")
    assert (published.size, published.weight, published.seed) == (30, 2.5, 9)
    assert {grant.stratum: grant.granted for grant in published.grants} == {"r00": 20, "r01": 10}
    assert (published.filter.stages, published.filter.responses) == (("response",), 2)
    assert (published.filter.min_distance, published.filter.max_jaccard) == (0.0, 0.7)
    assert published.created_at == 7.0
    assert answer == told
    assert (told.status.state, told.status.wanted, told.status.accepted) == ("filling", 30, 0)
    assert len(told.order.requirements) == len(published.requirements)
    assert (len(listed.order.requirements), len(listed.order.grants)) == (0, 0)
    assert listed.status == told.status


async def test_a_continuous_order_needs_no_size_and_says_so(tmp_path: Path) -> None:
    wanted = pb.CreateDatasetRequest(name="d", kind="sft", continuous=True)
    async with serving(tmp_path) as ((replica,), (channel,)):
        answer = await ask(channel, wanted)
        (published,) = await orders(replica)
    assert published.continuous
    assert answer.dataset.order.continuous
    assert published.size == sum(grant.granted for grant in published.grants) > 0


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"size": 0}, Code.INVALID_ARGUMENT, "size is 0"),
        ({"size": -5}, Code.INVALID_ARGUMENT, "size is -5"),
        ({"continuous": False}, Code.INVALID_ARGUMENT, "size is 0"),
        ({"name": "../d"}, Code.INVALID_ARGUMENT, "folder"),
        ({"name": ""}, Code.INVALID_ARGUMENT, "folder"),
        ({"kind": "poems"}, Code.NOT_FOUND, "known: code, domain, dpo"),
        ({"kind": "domain"}, Code.INVALID_ARGUMENT, "needs a requirement"),
        ({"requirement": "x"}, Code.INVALID_ARGUMENT, "takes no requirement"),
        ({"weight": 0.0}, Code.INVALID_ARGUMENT, "weight is 0"),
        ({"weight": float("nan")}, Code.INVALID_ARGUMENT, "weight is nan"),
        (
            {"filter": pb.FilterOverrides(max_jaccard=1.5)},
            Code.INVALID_ARGUMENT,
            "max_jaccard is 1.5",
        ),
        (
            {"filter": pb.FilterOverrides(stages=["static", "magic"])},
            Code.INVALID_ARGUMENT,
            "magic",
        ),
        ({"filter": pb.FilterOverrides(responses=0)}, Code.INVALID_ARGUMENT, "responses is 0"),
        ({"categories": ["compare option"]}, Code.INVALID_ARGUMENT, "misspelt 'compare options'"),
        ({"complexities": [1, 7]}, Code.INVALID_ARGUMENT, "complexity 7: give 1 (simple) to 5"),
        ({"styles": [""]}, Code.INVALID_ARGUMENT, "style '': give 1 to 100 characters"),
        ({"balance": "fair"}, Code.INVALID_ARGUMENT, "known: population, even"),
        ({"steer": "learnability"}, Code.INVALID_ARGUMENT, "does not measure it"),
    ],
)
async def test_a_bad_order_is_refused_by_any_replica_and_nothing_is_published(
    tmp_path: Path, changes: dict[str, Any], code: grpc.StatusCode, reason: str
) -> None:
    if "continuous" in changes:
        wanted = pb.CreateDatasetRequest(name="d", kind="sft", **changes)
    else:
        wanted = order(**changes)
    everything: Callable[[str], bool] = lambda key: True  # noqa: E731
    async with serving(tmp_path, everything, begins_with("-")) as (both, channels):
        for channel in channels:
            status, details = await refusal(ask(channel, wanted))
            assert status is code
            assert reason in details
        assert await orders(both[0]) == []


async def test_without_a_society_there_is_nothing_to_order(tmp_path: Path) -> None:
    async with serving(tmp_path, society=False) as (_, (channel,)):
        code, details = await refusal(ask(channel, order()))
    assert code is Code.FAILED_PRECONDITION
    assert "import agents first" in details


async def test_the_same_order_again_changes_nothing_and_another_one_is_refused(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        first = await ask(channel, order())
        assert await ask(channel, order()) == first
        code, details = await refusal(ask(channel, order(size=31)))
        assert len(await orders(replica)) == 1
    assert code is Code.INVALID_ARGUMENT
    assert "size 30, not 31" in details


async def test_an_order_is_narrowed_by_its_knobs_and_its_repeat_changes_nothing(
    tmp_path: Path,
) -> None:
    narrow: dict[str, Any] = {
        "categories": ["knitting", "Compare options"],
        "complexities": [4, 2],
        "styles": ["short command"],
        "balance": "even",
        "steer": "none",
        "filter": pb.FilterOverrides(max_response_words=300, tell_response_words=True),
    }
    async with serving(tmp_path) as ((replica,), (channel,)):
        first = await ask(channel, order(**narrow))
        assert await ask(channel, order(**narrow | {"complexities": [2, 4, 4]})) == first
        code, details = await refusal(ask(channel, order(**narrow | {"balance": ""})))
        (published,) = await orders(replica)
    assert code is Code.INVALID_ARGUMENT
    assert "exists with balance 'even', not 'population'" in details
    assert published.categories == ("compare options", "knitting")
    assert {(r.category, r.complexity, r.style) for r in published.requirements} == {
        (category, complexity, "short command")
        for category in published.categories
        for complexity in (2, 4)
    }
    assert (published.balance, published.steer) == ("even", "none")
    assert published.filter.tell_response_words


async def test_a_dataset_is_changed_by_its_owner_whoever_is_asked(tmp_path: Path) -> None:
    async with serving(tmp_path, begins_with("a"), begins_with("b")) as (both, channels):
        for name in ("alpha", "beta"):
            for channel in channels:
                await ask(channel, order(name))
        await caught_up(both)
        for channel in channels:
            for name in ("alpha", "beta"):
                paused = await ask(channel, pb.PauseDatasetRequest(name=name))
                assert paused.dataset.status.state == "paused"
                again = await ask(channel, pb.PauseDatasetRequest(name=name))
                assert again == paused
                resumed = await ask(channel, pb.ResumeDatasetRequest(name=name))
                assert resumed.dataset.status.state == "filling"
        await ask(channels[0], pb.PauseDatasetRequest(name="beta"))
        await ask(channels[1], pb.DeleteDatasetRequest(name="alpha"))
        await caught_up(both)
        for replica, channel in zip(both, channels, strict=True):
            listed = (await ask(channel, pb.ListDatasetsRequest())).datasets
            assert [each.order.dataset for each in listed] == ["beta"]
            assert listed[0].status.state == "paused"
            code, _ = await refusal(ask(channel, pb.GetDatasetRequest(name="alpha")))
            assert code is Code.NOT_FOUND
            assert replica.planner.datasets["alpha"].deleted
        revisions = {each.dataset: each.revision for each in await orders(both[0])}
    # Made, stopped and gone on with twice, and ended or stopped; what changes nothing is no change.
    assert revisions == {"alpha": 6, "beta": 6}


async def test_one_who_does_not_own_a_dataset_passes_no_forwarded_call_on(tmp_path: Path) -> None:
    async with serving(tmp_path, begins_with("a"), begins_with("b")) as (both, channels):
        await ask(channels[1], order("beta"))
        for request in (order("beta"), pb.PauseDatasetRequest(name="beta")):
            code, details = await refusal(ask(channels[0], request, FORWARDED))
            assert code is Code.NOT_FOUND
            assert "another replica is its owner" in details
        assert not (await orders(both[0]))[-1].paused


@pytest.mark.parametrize(
    "request_of", [pb.PauseDatasetRequest, pb.ResumeDatasetRequest, pb.DeleteDatasetRequest]
)
async def test_what_was_never_ordered_cannot_be_changed(
    tmp_path: Path, request_of: Requests
) -> None:
    async with serving(tmp_path, begins_with("a"), begins_with("b")) as (_, channels):
        for name in ("alpha", "beta"):
            code, _ = await refusal(ask(channels[0], request_of(name=name)))
            assert code is Code.NOT_FOUND


async def test_a_dataset_without_an_owner_for_the_moment_may_be_tried_again(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, begins_with("a"), begins_with("b")) as (both, channels):
        await ask(channels[0], order("alpha"))
        await caught_up(both)
        both[0].owns = both[1].owns
        for request in (pb.PauseDatasetRequest(name="alpha"), order("another")):
            code, details = await refusal(ask(channels[0], request))
            assert code is Code.UNAVAILABLE
            assert "no owner at the moment" in details


async def test_datasets_are_listed_in_pages_that_new_ones_do_not_shift(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, (channel,)):
        for name in ("b", "d", "f"):
            await ask(channel, order(name))
        first = await ask(channel, pb.ListDatasetsRequest(page_size=2))
        await ask(channel, order("a"))
        await ask(channel, order("e"))
        token = first.next_page_token
        rest = await ask(channel, pb.ListDatasetsRequest(page_size=9, page_token=token))
        code, _ = await refusal(ask(channel, pb.ListDatasetsRequest(page_token="zzz")))
    assert [each.order.dataset for each in first.datasets] == ["b", "d"]
    assert [each.order.dataset for each in rest.datasets] == ["e", "f"]
    assert not rest.next_page_token
    assert code is Code.INVALID_ARGUMENT
