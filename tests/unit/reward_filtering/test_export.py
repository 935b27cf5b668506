"""The export of a dataset: order, shards, what it replaces; and what model text does to a card."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from services.reward_filtering import card
from services.reward_filtering.card_facts import Example, Facts, Format, Share
from services.reward_filtering.card_text import cell, fenced, yaml_string
from services.reward_filtering.export import ExportResult, export_dataset
from services.reward_filtering.facts import FACT_COLUMNS, facts_of, reward_facts
from services.reward_filtering.report_facts import Stage
from services.reward_filtering.sample_schema import CONTENT_COLUMNS, SAMPLE_SCHEMA
from services.reward_filtering.shapes import shaped
from services.runtime.errors import NotFound, Rejected
from services.runtime.tables import Table

START = datetime(2026, 3, 1, 12, 0, 0, 7, UTC)
HOSTILE = (
    '---\n# x\n```\n````text\n</details><script>alert(1)</script>\n| a | b |\n"\\ \x00\x85\u2028é'
)


def sample(index: int, **change: Any) -> dict[str, Any]:
    """Several samples share an instant, as those of one batch do."""
    return {
        "id": f"sample-{index:04d}",
        "kind": "sft" if index % 3 else "domain",
        "dataset": "chat",
        "stratum": f"chat/{index % 4}",
        "messages": [
            {"role": "user", "content": f"Question {index}?"},
            {"role": "assistant", "content": f"Answer {index}."},
        ],
        "requirement": {
            "id": f"r{index % 2}",
            "category": ("writing", "planning")[index % 2],
            "complexity": 1 + index % 5,
            "style": "brief",
            "text": "" if index % 3 else "hospital pharmacy",
        },
        "rewards": [-1.0, float(index), 0.5],
        "student_responses": [],
        "rejected": -1,
        "answer": "",
        "tests": "",
        "accepted": True,
        "stage": "response",
        "reason": "",
        "student_model": "",
        "held_out_model": "",
        "chosen": 1,
        "scores": [{"name": "nearest_distance", "value": 0.25}],
        "persona": "A nurse.",
        "scenario_id": f"scenario-{index % 7}",
        "group_id": f"group-{index % 2}",
        "agent_id": f"agent-{index % 5}",
        "agent_ids": [],
        "action_ids": ["a", "b"],
        "prompt": "You are a nurse.",
        "instruction_model": "teacher-1",
        "response_model": "teacher-1",
        "reward_model": "judge-1",
        "calls": 2,
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "created_at": START + timedelta(seconds=index // 3),
    } | change


def table_of(folder: Path, rows: list[dict[str, Any]]) -> Table:
    table = Table(str(folder / "table"), SAMPLE_SCHEMA)
    # Two commits, newest first, so that the order of an export is not that of the table.
    table.append(rows[len(rows) // 2 :][::-1], {"samples-judged-0": 1})
    table.append(rows[: len(rows) // 2], {"samples-judged-0": 2})
    return table


def exported(result: ExportResult) -> list[list[dict[str, Any]]]:
    """The rows of each data file."""
    if result.files[0].endswith(".parquet"):
        return [pa.parquet.read_table(result.path / name).to_pylist() for name in result.files]
    lines = [(result.path / name).read_text().split("\n") for name in result.files]
    shards = [[json.loads(line) for line in shard if line] for shard in lines]
    for row in (row for shard in shards for row in shard):
        row["created_at"] = datetime.fromisoformat(row["created_at"])
    return shards


def for_training(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows under the names of an export."""
    found: list[dict[str, Any]] = shaped(
        pa.Table.from_pylist(rows, SAMPLE_SCHEMA), "sft"
    ).to_pylist()
    return found


def test_the_schema_survives_the_table(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(1), sample(2)])
    assert table.schema.equals(SAMPLE_SCHEMA)
    assert Table(table.uri, SAMPLE_SCHEMA).read().sort_by("id").to_pylist() == [
        sample(1),
        sample(2),
    ]
    assert set(SAMPLE_SCHEMA.names) - set(CONTENT_COLUMNS) == {"created_at"}


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
@pytest.mark.parametrize("shard_rows", [1, 4, 1000])
def test_all_rows_stand_once_in_order(tmp_path: Path, format: Format, shard_rows: int) -> None:
    rows = [sample(index) for index in range(11)]
    rows.append(sample(90, messages=[{"role": "user", "content": HOSTILE}]))
    table = table_of(tmp_path, rows)
    result = export_dataset(table, "chat", tmp_path / "out", format, shard_rows=shard_rows)

    shards = exported(result)
    assert [row for shard in shards for row in shard] == for_training(rows)
    assert all(len(shard) <= shard_rows for shard in shards)
    count = len(result.files)
    assert result.files == tuple(
        f"data/train-{index:05d}-of-{count:05d}.{format}" for index in range(count)
    )
    assert (result.rows, result.version) == (12, 2)
    assert result.bytes == sum((result.path / name).stat().st_size for name in result.files)
    written = {p.relative_to(result.path).as_posix() for p in result.path.rglob("*.*")}
    assert written == {"README.md", *result.files}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "table"], "no leftovers"


def test_shards_are_bounded_in_bytes(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(index, prompt="x" * 10_000) for index in range(8)])
    result = export_dataset(table, "chat", tmp_path / "out", "jsonl", shard_bytes=25_000)
    assert [len(shard) for shard in exported(result)] == [2, 2, 2, 2]


def test_two_exports_of_one_version_are_equal_bytes(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(index) for index in range(9)])
    one, two = (export_dataset(table, "chat", tmp_path / name, "parquet") for name in "ab")
    for name in ("README.md", *one.files):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "below" / "out"
    table = table_of(tmp_path, [sample(1), sample(2)])
    export_dataset(table, "chat", target, "jsonl", shard_rows=1)
    table.append([sample(3)], {"samples-judged-0": 3})
    result = export_dataset(table, "chat", target, "parquet")
    assert [row["id"] for row in exported(result)[0]] == [sample(i)["id"] for i in (1, 2, 3)]
    assert [path.name for path in (target / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(1)])
    target = tmp_path / "out"
    target.write_text("a file")
    with pytest.raises(Rejected, match="not a folder"):
        export_dataset(table, "chat", target, "parquet")
    target.unlink()
    target.mkdir()
    (target / "thesis.tex").write_text("mine")
    with pytest.raises(Rejected, match="no earlier export of dataset 'chat'"):
        export_dataset(table, "chat", target, "parquet")
    (target / "thesis.tex").unlink()
    export_dataset(table, "chat", target, "parquet")
    with pytest.raises(Rejected, match="no earlier export of dataset 'other'"):
        export_dataset(table, "other", target, "parquet")
    (target / "data" / "notes.md").write_text("mine")
    with pytest.raises(Rejected, match=r"not of an export: .*notes\.md"):
        export_dataset(table, "chat", target, "parquet")
    assert (target / "data" / "notes.md").read_text() == "mine"


def rejected_of(folder: Path, *refusals: tuple[str, str]) -> Table:
    """The table of rejected candidates beside `table_of`'s."""
    table = Table(str(folder / "rejected"), SAMPLE_SCHEMA)
    rows = [
        sample(100 + n, accepted=False, stage=stage, reason=reason)
        for n, (stage, reason) in enumerate(refusals)
    ]
    table.append(rows, {"samples-judged-0": 1})
    return table


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_an_export_has_the_funnel_of_all_candidates(tmp_path: Path, format: Format) -> None:
    table = table_of(tmp_path, [sample(index) for index in range(5)])
    refusals = [("static", "pii"), ("static", "pii"), ("static", "length"), ("quota", "quota_full")]
    rejected = rejected_of(tmp_path, *refusals)
    for _ in range(2):  # The second one replaces the first, with its picture.
        result = export_dataset(table, "chat", tmp_path / "out", format, rejected=rejected)
        assert result.about == ("README.md", "funnel.svg")
        written = {p.relative_to(result.path).as_posix() for p in result.path.rglob("*.*")}
        assert written == {*result.about, *result.files}
    assert result.bytes == sum((result.path / name).stat().st_size for name in result.files)
    text = (result.path / "README.md").read_text()
    assert "Of 9 candidates 5 were accepted." in text
    assert "this is version 1" in text
    assert funnel_rows(text) == [
        ["all candidates", "", "", "9"],
        ["static", "pii", "2", "7"],
        ["static", "length", "1", "6"],
        ["response", "", "0", "6"],
        ["quota", "quota_full", "1", "5"],
        ["accepted", "", "", "5"],
    ]
    picture = ElementTree.parse(result.path / "funnel.svg").getroot()
    assert "9 candidates, 5 accepted" in "".join(picture.itertext())
    export_dataset(table, "chat", tmp_path / "out", format)
    assert not (tmp_path / "out" / "funnel.svg").exists()


def test_without_a_table_of_rejected_candidates_the_card_says_so(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(1)])
    missing = Table(str(tmp_path / "rejected"), SAMPLE_SCHEMA)
    for rejected in (None, missing):
        result = export_dataset(table, "chat", tmp_path / "out", "jsonl", rejected=rejected)
        assert result.about == ("README.md",)
        text = (result.path / "README.md").read_text()
        assert "There is no table of rejected candidates" in text
        assert "funnel.svg" not in text
    assert not (tmp_path / "rejected").exists()


def test_two_exports_with_a_funnel_are_equal_bytes(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(index) for index in range(9)])
    rejected = rejected_of(tmp_path, ("static", "a"), ("static", "b"), ("static", "c"))
    options: dict[str, Any] = {"rejected": rejected, "licences": {"teacher-1": "MIT"}}
    one, two = (export_dataset(table, "chat", tmp_path / n, "parquet", **options) for n in "ab")
    for name in (*one.about, *one.files):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


def with_rollouts(index: int, *rewards: float) -> dict[str, Any]:
    said = [{"text": f"said {n}", "reward": r, "outcome": ""} for n, r in enumerate(rewards)]
    return sample(index, kind="reasoning", student_responses=said)


def test_only_samples_that_the_shape_can_use_are_counted(tmp_path: Path) -> None:
    rows = [
        sample(0, kind="sft"),
        *(with_rollouts(n, 0.0, 1.0, float(n)) for n in (1, 2)),
        sample(3),
    ]
    table = table_of(tmp_path, rows)
    result = export_dataset(
        *(table, "chat", tmp_path / "out", "jsonl", "grpo"),
        shard_rows=2,
        rejected=rejected_of(tmp_path, ("static", "pii")),
    )
    assert [row["id"] for shard in exported(result) for row in shard] == [
        "sample-0001",
        "sample-0002",
    ]
    assert result.rows == 2
    text = (result.path / "README.md").read_text()
    assert "2 samples for post-training" in text
    assert "2 accepted samples lack what this shape needs" in text
    assert "Of 5 candidates 4 were accepted." in text
    assert "### Sample sample-0001, kind reasoning" in text
    with pytest.raises(Rejected, match="no sample of dataset 'chat' has what an export of"):
        export_dataset(table, "chat", tmp_path / "new", "jsonl", "dpo")
    assert not (tmp_path / "new").exists()


def test_an_export_keeps_as_many_rollouts_as_it_is_told(tmp_path: Path) -> None:
    level, mixed = [1.0] * 20, [0.0] * 10 + [1.0] * 10
    table = table_of(tmp_path, [with_rollouts(1, *mixed), with_rollouts(2, *level)])
    for rollouts, kept in ((None, 16), (4, 4), (256, 20)):
        result = export_dataset(table, "chat", tmp_path / "out", "jsonl", rollouts=rollouts)
        rows = [row for shard in exported(result) for row in shard]
        assert [len(row["rollouts"]) for row in rows] == [kept, kept]
        assert [sum(row["rewards"]) for row in rows] == [kept / 2, kept]
        text = (result.path / "README.md").read_text()
        assert f"at most {rollouts or 16} rollouts are kept" in text
        assert "1 of 2 prompts have kept rollouts of one reward only" in text
    before = (tmp_path / "out" / "README.md").read_bytes()
    for wrong in (-1, 0, 1, 257):
        with pytest.raises(Rejected, match=f"^{wrong} rollouts of a prompt: give 2 to 256$"):
            export_dataset(table, "chat", tmp_path / "out", "jsonl", rollouts=wrong)
    with pytest.raises(Rejected, match="8 rollouts of a prompt: an export of shape sft has none"):
        export_dataset(table, "chat", tmp_path / "out", "jsonl", "sft", rollouts=8)
    assert (tmp_path / "out" / "README.md").read_bytes() == before


def funnel_rows(text: str) -> list[list[str]]:
    """Of the funnel's table in a card, without the head."""
    section = text.split("\n## Filter funnel\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("\n") if line.startswith("| ")][2:]
    return [
        [part.strip().replace("\\_", "_") for part in line.strip("|").split("|")] for line in lines
    ]


def test_a_folder_that_cannot_be_is_rejected_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Rejected, match="file/out"):
        export_dataset(table_of(tmp_path, [sample(1)]), "chat", tmp_path / "file/out", "jsonl")


def test_a_missing_an_empty_and_a_broken_dataset_are_not_exported(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "table"), SAMPLE_SCHEMA)
    with pytest.raises(NotFound, match="no dataset 'chat'"):
        export_dataset(table, "chat", tmp_path / "out", "parquet")
    table.append([], {})
    with pytest.raises(Rejected, match="no accepted samples yet"):
        export_dataset(table, "chat", tmp_path / "out", "parquet")
    table.append([sample(1), sample(1)], {})
    with pytest.raises(Rejected, match="sample-0001 stands in the table more than once"):
        export_dataset(table, "chat", tmp_path / "out", "parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_a_full_disk_leaves_the_earlier_export(tmp_path: Path) -> None:
    table = table_of(tmp_path, [sample(1)])
    before = export_dataset(table, "chat", tmp_path / "out", "jsonl")
    table.append([sample(2, prompt="x" * 100_000)], {"samples-judged-0": 3})
    program = f"""
import resource
from pathlib import Path
from services.reward_filtering.export import export_dataset
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.errors import Retryable
from services.runtime.tables import Table
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    export_dataset(Table({table.uri!r}, SAMPLE_SCHEMA), "chat", Path({str(before.path)!r}), "jsonl")
except Retryable as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"{before.path}: [Errno 27] File too large; make room" in run.stdout
    assert [row["id"] for row in exported(before)[0]] == ["sample-0001"]
    assert sorted(os.listdir(tmp_path)) == ["out", "table"]


# The facts and the card


def facts(
    rows: list[dict[str, Any]], shown: list[dict[str, Any]] | None = None, **more: Any
) -> Facts:
    whole = pa.Table.from_pylist(rows, SAMPLE_SCHEMA)
    examples = pa.Table.from_pylist(rows[:1] if shown is None else shown, SAMPLE_SCHEMA)
    columns = whole.select(FACT_COLUMNS)
    more.setdefault("licences", {})
    return facts_of(
        columns, examples, dataset="chat", version=3, format="parquet", schema=SAMPLE_SCHEMA, **more
    )


def test_facts_are_counted() -> None:
    found = facts([sample(index) for index in range(6)])
    assert found.kinds == (Share("sft", 4), Share("domain", 2))
    assert found.categories == (Share("planning", 3), Share("writing", 3))
    assert [share.name for share in found.complexities] == ["1", "2", "3", "4", "5"]
    assert found.domains == (Share("hospital pharmacy", 2),)
    assert (found.strata, found.scenarios, found.groups, found.agents) == (4, 6, 2, 5)
    assert (found.calls, found.prompt_tokens, found.completion_tokens) == (12, 600, 180)
    assert found.models[2] == ("rewards", Share("judge-1", 6))
    assert (found.first, found.last) == (START, START + timedelta(seconds=1))


def test_reward_facts_leave_out_what_was_not_scored() -> None:
    def rewards(*pairs: tuple[list[float], int]) -> pa.Table:
        return pa.table({"rewards": [r for r, _ in pairs], "chosen": [c for _, c in pairs]})

    assert reward_facts(rewards(([], -1), ([1.0], 4), ([float("nan")], 0))) is None
    found = reward_facts(rewards(([0.0, 3.0], 1), ([5.0, 5.0, -1.0], 0), ([], -1)))
    assert found is not None
    assert dict(found.quantiles)[0.5] == 4.0
    assert found.mean_gain == pytest.approx(((3 - 1.5) + (5 - 3)) / 2)
    assert found.responses == 5


def head_of(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    loaded: dict[str, Any] = yaml.safe_load(text[4:].split("\n---\n")[0])
    return loaded


def parsed(text: str) -> list[Token]:
    body = text.split("\n---\n", 1)[1]
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)


def test_the_head_is_what_the_hub_reads() -> None:
    head = head_of(card.render(facts([sample(index) for index in range(1500)])))
    assert head["license"] == "other"
    assert head["size_categories"] == ["1K<n<10K"]
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert [feature["name"] for feature in head["dataset_info"]["features"]] == SAMPLE_SCHEMA.names
    assert (head["matrix_dataset"], head["matrix_version"]) == ("chat", 3)


LICENSED = ("other", "terms-of-the-models-used")


@pytest.mark.parametrize(
    ("licences", "head", "cells"),
    [
        ({}, LICENSED, ["not stated"] * 3),
        ({"teacher-1": "Apache-2.0"}, LICENSED, ["Apache-2.0", "Apache-2.0", "not stated"]),
        (
            {"teacher-1": "Apache-2.0", "judge-1": "MIT"},
            LICENSED,
            ["Apache-2.0", "Apache-2.0", "MIT"],
        ),
        (
            {"teacher-1": "Apache-2.0", "judge-1": "apache-2.0", "other": "MIT"},
            ("apache-2.0", None),
            ["Apache-2.0", "Apache-2.0", "apache-2.0"],
        ),
        (
            {"teacher-1": "LicenseRef-x](y", "judge-1": "LicenseRef-x](y"},
            LICENSED,
            ["LicenseRef-x\\](y"] * 3,
        ),
    ],
)
def test_the_card_lists_the_models_with_their_licences(
    licences: dict[str, str], head: tuple[str, str | None], cells: list[str]
) -> None:
    text = card.render(facts([sample(1)], licences=licences))
    found = head_of(text)
    assert (found["license"], found.get("license_name")) == head
    lines = text.split("| Used for |")[1].split("\n\n")[0].split("\n")[2:]
    assert [line.split(" | ")[2] for line in lines] == cells


def test_a_student_of_its_own_counts_among_the_models() -> None:
    rows = [sample(1, student_model="apprentice")]
    licences = {"teacher-1": "MIT", "judge-1": "MIT"}
    assert facts(rows).models[2] == ("student", Share("apprentice", 1))
    assert head_of(card.render(facts(rows, licences=licences)))["license"] == "other"
    licences["apprentice"] = "MIT"
    assert head_of(card.render(facts(rows, licences=licences)))["license"] == "mit"


def test_the_chance_of_no_gradient_is_told_where_there_is_a_success_rate() -> None:
    rates = (0.5, 0.25)
    rows = [
        sample(n, scores=[{"name": "success_rate", "value": rate}]) for n, rate in enumerate(rates)
    ]
    found = facts(rows).verifiable
    assert found is not None
    assert (found.prompts, found.success_rate) == (2, 0.375)
    of_four = (2 * 0.5**4 + 0.25**4 + 0.75**4) / 2
    assert dict(found.no_gradient)[4] == pytest.approx(of_four)
    text = card.render(facts(rows))
    assert f"| Groups without a gradient | {of_four:.1%} |" in text
    assert facts([sample(1)]).verifiable is None
    assert "no gradient" not in card.render(facts([sample(1)]))


def test_whether_near_duplicates_were_looked_for_is_told_by_the_scores() -> None:
    near = [{"name": "nearest_jaccard", "value": 0.1}]
    assert facts([sample(1, scores=near)]).static
    assert not facts([sample(1, scores=[])]).static
    assert "static stage was off" in card.render(facts([sample(1, scores=[])]))


def test_the_card_says_that_machines_wrote_it() -> None:
    text = card.render(facts([sample(1)]))
    assert "written by language models" in text
    assert "2410.14251" in text


def test_long_examples_are_cut() -> None:
    turns = [{"role": "user", "content": "word " * 5_000}] * 9
    text = card.render(facts([sample(1)], [sample(1, messages=turns)]))
    assert "[23800 more characters]" in text
    assert "3 more messages." in text
    assert len(text) < 20_000


@given(st.text())
def test_yaml_strings_come_back(text: str) -> None:
    assert yaml.safe_load(f"name: {yaml_string(text)}") == {"name": text}


@given(st.text(st.sampled_from("`~\n\r a\t|#") | st.characters(codec="utf-8"), max_size=60))
def test_a_fence_holds_its_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"before\n\n{fenced(text)}\n\nafter")
    assert [token.type for token in tokens if token.level == 0] == [
        "paragraph_open",
        "paragraph_close",
        "fence",
        "paragraph_open",
        "paragraph_close",
    ]


markup = st.text(
    st.sampled_from("`*_[](){}<>#+-=!|~$^:@&\\\"'\n\t\r 1.;ax") | st.characters(codec="utf-8")
)


@given(markup)
def test_a_cell_reads_as_its_text(text: str) -> None:
    table = f"| head | n |\n| --- | --- |\n| {cell(text, 1000)} | 7 |"
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(table)
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert {child.type for token in cells for child in token.children or ()} <= {
        "text",
        "text_special",
    }
    shown = "".join(child.content for child in cells[2].children or ())
    kept = "".join(character if is_shown(character) else " " for character in text)
    assert shown == " ".join(kept.split())
    assert cells[3].content == "7"


def is_shown(character: str) -> bool:
    return not (character < " " or "\x7f" <= character <= "\x9f")


@given(st.text(max_size=40) | st.just(HOSTILE), markup)
def test_no_text_changes_the_structure_of_a_card(long: str, short: str) -> None:
    calm = replace(
        facts([sample(3)]),
        funnel=(Stage("static", 3, (("pii", 1), ("length", 1))),),
        examples=(Example("id", "sft", (("user", "hello"),)),),
    )
    share = (Share(short, 1),)
    wild = replace(
        calm,
        dataset=short,
        kinds=share,
        categories=share,
        styles=share,
        domains=share,
        models=(("instructions", share[0]), ("responses", share[0]), ("rewards", share[0])),
        licences={short: short},
        funnel=(Stage(short, 3, ((short, 1), (short, 1))),),
        recipes=(("", (short,)),),
        examples=(Example(short, short, ((short, long),)),),
    )
    calm_text, wild_text = card.render(calm), card.render(wild)
    shape = [(token.type, token.tag) for token in parsed(calm_text)]
    assert [(token.type, token.tag) for token in parsed(wild_text)] == shape
    inline = {child.type for token in parsed(wild_text) for child in token.children or ()}
    calm_inline = {child.type for token in parsed(calm_text) for child in token.children or ()}
    assert inline - {"text_special"} <= calm_inline
    head = head_of(wild_text)
    assert head["pretty_name"] == head["matrix_dataset"] == short
    assert head["tags"][3:] == [short]
    assert card.has_marker(wild_text, short)
    assert not card.has_marker(wild_text, short + "x")


def test_only_the_head_of_a_card_marks_an_export() -> None:
    line = card.marker("chat")
    assert card.has_marker(f"---\na: b\n{line}\n---\ntext", "chat")
    assert not card.has_marker(f"---\na: b\n---\n{line}\n", "chat")
    assert not card.has_marker(f"---\na: b\n{line}\n", "chat")
    assert not card.has_marker(f"{line}\n---\n", "chat")
