"""`matrix datasets` as orders to real servers."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.cli_rpc import Platform, command, platform
from tests.integration.instruction_generation_rpc import orders
from tests.integration.reward_filtering_rpc import judged
from tests.integration.rpc import until
from tests.integration.running import work


async def judge(there: Platform, count: int, dataset: str = "d", accepted: bool = True) -> None:
    """Let so many candidates get their verdict."""
    await there.samples.take_in(*(judged(number, dataset, accepted) for number in range(count)))
    await work(there.orders.worker)


async def test_an_order_holds_what_was_asked_for_and_is_listed(tmp_path: Path) -> None:
    options = ("--kind", "domain", "--requirement", "hospital pharmacy", "--seed", "7")
    filters = (
        "--filter",
        "responses=8",
        "--filter",
        "max-jaccard=0.5",
        "--filter",
        "stages=static",
    )
    async with platform(tmp_path) as there:
        made = await there.matrix(
            "datasets", "create", "d", "--size", "30", "--weight", "2.5", *options, *filters
        )
        endless = await there.matrix("datasets", "create", "e", "--continuous", "--json")
        await work(there.orders.worker)
        placed = {order.dataset: order for order in await orders(there.orders)}
        table = await there.matrix("datasets", "list")
        listed = (await there.matrix("datasets", "list", "--json")).rows
    assert made.code == 0
    assert "dataset d: " in made.err
    assert f"Next: matrix datasets wait d --server {there.address}" in made.err
    order = placed["d"]
    assert (order.kind, order.size, order.domain) == ("domain", 30, "hospital pharmacy")
    assert (order.weight, order.seed, order.continuous) == (2.5, 7, False)
    assert (order.filter.responses, order.filter.max_jaccard) == (8, 0.5)
    assert order.filter.stages == ("static",)
    assert endless.rows[0]["order"]["continuous"] is True
    assert [each["order"]["dataset"] for each in listed] == ["d", "e"]
    assert "0 of 30" in table.out
    assert max(map(len, table.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("d",), "give either --size N or --continuous"),
        (("d", "--size", "3", "--continuous"), "give either --size N or --continuous"),
        (("a/b", "--size", "3"), "dataset name 'a/b' cannot be a folder's name"),
        (("d", "--size", "3", "--kind", "poetry"), "unknown dataset kind 'poetry'"),
        (("d", "--size", "3", "--kind", "domain"), "needs a requirement text"),
        (("d", "--size", "3", "--filter", "responses=99"), "responses is 99: give 1 to 64"),
        (("d", "--size", "3", "--weight", "0"), "weight"),
    ],
)
async def test_an_order_that_cannot_be_filled_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    async with platform(tmp_path) as there:
        refused = await there.matrix("datasets", "create", *arguments)
        assert (refused.code, told in refused.err) == (2, True), refused.err
        assert not await orders(there.orders)


async def test_an_order_is_paused_resumed_and_ended_only_when_that_is_meant(
    tmp_path: Path,
) -> None:
    async with platform(tmp_path) as there:
        await there.matrix("datasets", "create", "d", "--size", "3")
        assert "dataset d: paused" in (await there.matrix("datasets", "pause", "d")).err
        (resumed,) = (await there.matrix("datasets", "resume", "d", "--json")).rows
        assert resumed["order"]["paused"] is False
        unsure = await there.matrix("datasets", "delete", "d")
        assert unsure.code == 1
        assert len((await there.matrix("datasets", "list", "--json")).rows) == 1
        assert "is ended" in (await there.matrix("datasets", "delete", "d", "--yes")).err
        assert "no datasets yet" in (await there.matrix("datasets", "list")).err
        for verb in ("pause", "resume", "show", "wait"):
            gone = await there.matrix("datasets", verb, "d")
            assert (gone.code, "d" in gone.err) == (2, True), verb


async def test_a_wait_ends_when_the_dataset_is_full_even_if_it_is_paused(tmp_path: Path) -> None:
    async with platform(tmp_path) as there:
        await there.matrix("datasets", "create", "d", "--size", "3")
        early = await there.matrix("datasets", "wait", "d", "--timeout", "0")
        waiting = asyncio.create_task(there.matrix("datasets", "wait", "d", "--timeout", "60"))
        await judge(there, 3)
        full = await waiting
        await there.matrix("datasets", "pause", "d")
        again = await there.matrix("datasets", "wait", "d")
        await there.matrix("datasets", "create", "e", "--continuous")
        endless = await there.matrix("datasets", "wait", "e", "--timeout", "60")
    assert early.code == 3
    assert "not filled after" in early.err
    assert full.code == 0
    assert "dataset d: filled, 3 of 3 samples" in full.err
    assert again.code == 0
    assert (endless.code, "never filled" in endless.err) == (2, True)


async def test_a_dataset_is_shown_with_its_counts_and_samples(tmp_path: Path) -> None:
    async with platform(tmp_path) as there:
        await there.matrix("datasets", "create", "d", "--size", "9")
        await judge(there, 4)
        shown = await there.matrix("datasets", "show", "d", "--samples", "2")
        (fields,) = (await there.matrix("datasets", "show", "d", "--json")).rows
    assert "dataset d: " in shown.err
    assert "4 of 9 samples" in shown.err
    assert shown.out.count("user: Question ") == 2
    assert "120 per accepted sample" in shown.out
    assert fields["stats"]["accepted"] == 4
    asked = {each["messages"][0]["content"] for each in fields["samples"]}
    assert len(asked) == 3
    assert asked < {f"Question {number}?" for number in range(4)}


@asynccontextmanager
async def watching(there: Platform, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `matrix datasets watch d` as a process of its own, from when it is connected."""
    before = there.samples.samples.subscribers
    arguments = ("datasets", "watch", "d", "--server", there.address, *options)
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until(lambda: there.samples.samples.subscribers > before)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_watch_writes_samples_as_they_come_and_ends_cleanly_at_ctrl_c(
    tmp_path: Path,
) -> None:
    async with platform(tmp_path) as there:
        await there.matrix("datasets", "create", "d", "--size", "9")
        async with watching(there) as process:
            await judge(there, 1, accepted=False)
            await there.samples.take_in(judged(7), judged(8, "other"), judged(9))
            assert process.stdout is not None
            lines = [json.loads(await process.stdout.readline()) for _ in range(2)]
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    assert [line["messages"][0]["content"] for line in lines] == ["Question 7?", "Question 9?"]
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_a_watch_of_a_name_that_is_not_known_is_refused(tmp_path: Path) -> None:
    async with platform(tmp_path) as there:
        refused = await there.matrix("datasets", "watch", "d")
    assert (refused.code, "no dataset 'd'" in refused.err) == (2, True)


async def test_one_instruction_is_previewed_and_nothing_is_ordered(tmp_path: Path) -> None:
    async with platform(tmp_path) as there:
        made = await there.matrix("datasets", "preview", "bread", "--seed", "2")
        (fields,) = (await there.matrix("datasets", "preview", "bread", "--json")).rows
        missing = await there.matrix("datasets", "preview", "nothing")
        assert not await orders(there.orders)
    assert made.code == 0
    assert "instruction" in made.out
    assert fields["instruction"]
    assert fields["prompt"].startswith("[system]")
    assert (missing.code, "'nothing'" in missing.err) == (2, True)
