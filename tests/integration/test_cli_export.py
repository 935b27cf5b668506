"""`matrix datasets export` over the network: a copy that is whole, or not there."""

from pathlib import Path

import pytest
from datasets import load_dataset

from tests.integration.cli_rpc import platform
from tests.integration.reward_filtering_rpc import judged


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
async def test_an_export_is_a_dataset_and_replaces_an_earlier_one(
    tmp_path: Path, format: str
) -> None:
    target = tmp_path / "here" / "export"
    async with platform(tmp_path) as there:
        await there.samples.take_in(*map(judged, range(5)))
        await there.samples.deliver()
        for _ in range(2):
            done = await there.matrix("datasets", "export", "d", "--to", target, "--format", format)
            assert (done.code, done.err) == (0, f"5 samples in {target}\n")
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == [
        "README.md",
        f"train-00000-of-00001.{format}",
    ]
    assert list(target.parent.iterdir()) == [target]
    rows = load_dataset(str(target), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(rows["id"]) == sorted(judged(number).sample_id for number in range(5))


async def test_an_export_of_nothing_or_to_somebody_elses_folder_leaves_all_as_it_is(
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    async with platform(tmp_path) as there:
        await there.samples.take_in(judged(1))
        before = everything(tmp_path)
        unknown = await there.matrix("datasets", "export", "x", "--to", tmp_path / "new")
        early = await there.matrix("datasets", "export", "d", "--to", tmp_path / "new")
        foreign = await there.matrix("datasets", "export", "d", "--to", mine)
        after = everything(tmp_path)
    assert (unknown.code, "no dataset 'x'" in unknown.err) == (2, True)
    assert early.code == 2
    assert (foreign.code, f"{mine}: holds no earlier export" in foreign.err) == (2, True)
    assert after == before
