"""`matrix datasets report` over the network: a page that is whole, or not there."""

import asyncio
from dataclasses import replace
from pathlib import Path

from services.reward_filtering.report_page import MARKER
from services.reward_filtering.sample_rows import row
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.tables import Table
from tests.integration.cli_rpc import platform, said
from tests.integration.reward_filtering_rpc import judged


async def test_a_report_of_a_platform_says_where_it_is_and_replaces_an_earlier_one(
    tmp_path: Path,
) -> None:
    target = tmp_path / "here" / "page.html"
    async with platform(tmp_path) as there:
        await there.samples.take_in(*(judged(n, accepted=n != 2) for n in range(5)))
        await there.samples.deliver()
        for _ in range(2):
            done = await there.matrix("datasets", "report", "d", "--to", target)
            assert (done.code, done.err) == (0, f"4 samples of 5 candidates in {target}\n")
        text = target.read_text(encoding="utf-8")
        by_setting = tmp_path / "other.html"
        command = ("datasets", "report", "d", "--to", by_setting)
        from_environment = await asyncio.to_thread(said, *command, MATRIX_SERVER=there.address)
    assert MARKER in text
    assert list(target.parent.iterdir()) == [target]
    assert from_environment.code == 0
    assert by_setting.read_text(encoding="utf-8") == text


async def test_a_directory_that_is_named_comes_before_the_platform_and_never_with_it(
    tmp_path: Path,
) -> None:
    out, target = tmp_path / "run", tmp_path / "page.html"
    mine = [row(replace(judged(n), dataset="d")) for n in range(2)]
    Table(str(out / "datasets" / "d"), SAMPLE_SCHEMA).append(mine, {})
    async with platform(tmp_path) as there:
        command = ("datasets", "report", "d", "--out", out, "--to", target)
        local = await asyncio.to_thread(said, *command, MATRIX_SERVER=there.address)
        both = await there.matrix("datasets", "report", "d", "--out", out, "--to", target)
    assert (local.code, local.err) == (0, f"2 samples of 2 candidates in {target}\n")
    assert (both.code, "give one of them" in both.err) == (2, True)


async def test_a_report_on_nothing_or_in_place_of_another_file_leaves_all_as_it_is(
    tmp_path: Path,
) -> None:
    mine, new = tmp_path / "thesis.html", tmp_path / "new" / "page.html"
    mine.write_text("years of work")
    async with platform(tmp_path) as there:
        await there.samples.take_in(judged(1))
        unknown = await there.matrix("datasets", "report", "x", "--to", new)
        early = await there.matrix("datasets", "report", "d", "--to", new)
        await there.samples.deliver()
        foreign = await there.matrix("datasets", "report", "d", "--to", mine)
    assert (unknown.code, "no dataset 'x'" in unknown.err) == (2, True)
    assert (early.code, "nothing of dataset 'd' was delivered yet" in early.err) == (2, True)
    assert (foreign.code, f"{mine}: no earlier report" in foreign.err) == (2, True)
    assert mine.read_text() == "years of work"
    assert not new.parent.exists()
