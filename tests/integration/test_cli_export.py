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


async def test_the_copy_has_the_funnel_and_the_rollouts_are_the_platforms_affair(
    tmp_path: Path,
) -> None:
    target = tmp_path / "export"
    export = ("datasets", "export", "d", "--to", target)
    async with platform(tmp_path) as there:
        await there.samples.take_in(*(judged(n, accepted=n < 2) for n in range(5)))
        await there.samples.deliver()
        for _ in range(2):
            done = await there.matrix(*export)
            assert (done.code, done.err) == (0, f"2 samples in {target}\n")
        before = everything(target)
        none = await there.matrix(*export, "--rollouts", "8")
        few = await there.matrix(*export, "--rollouts", "1")
        licence = await there.matrix(*export, "--model-licence", "m=MIT")
    assert target / "funnel.svg" in before
    assert "| accepted |  |  | 2 |" in (target / "README.md").read_text()
    assert (none.code, "an export of shape sft has none" in none.err) == (2, True)
    assert few.code == 2
    assert (licence.code, "set MATRIX_MODEL_LICENCES" in licence.err) == (2, True)
    assert everything(target) == before
