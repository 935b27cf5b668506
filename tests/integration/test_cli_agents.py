"""`matrix agents` against real servers."""

import json
from pathlib import Path

from tests.integration.agent_state_rpc import NOW, reading
from tests.integration.cli_rpc import Platform, platform


def people(path: Path, *lines: object) -> Path:
    path.write_text(
        "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    )
    return path


def person(number: int, **fields: object) -> dict[str, object]:
    job = ("baker", "tailor", "nurse", "fisher")[number % 4]
    text = f"A {job} in Porto who wants shop number {number}."
    return {"id": f"p{number}", "name": f"Person {number}", "description": text, **fields}


async def imported(there: Platform, folder: Path, count: int) -> None:
    lines = (person(number, synthetic=True) for number in range(count))
    done = await there.matrix("agents", "import", people(folder / "people.jsonl", *lines))
    assert done.code == 0, done.err
    await there.people.catch_up()


async def test_an_import_tells_each_bad_line_and_takes_the_rest(tmp_path: Path) -> None:
    lines = (person(0, synthetic=True), "{no json", person(1, synthetic=True), {"name": "Ada"})
    file = people(tmp_path / "people.jsonl", *lines, person(0, synthetic=True))
    async with platform(tmp_path, society=False) as there:
        done = await there.matrix("agents", "import", file, "--seed", "3")
        await there.people.catch_up()
        size = await there.matrix("agents", "population", "--json")
    told = done.err.splitlines()
    assert done.code == 0
    assert [line.partition(" is ")[0] for line in told[:2]] == [
        "not imported: people.jsonl:2: line:",
        "not imported: people.jsonl:4: description:",
    ]
    assert "people.jsonl:5: id: 'p0' stands in line 1 too" in told[2]
    assert "2 people in" in told[3]
    assert told[3].endswith("3 not imported")
    (population,) = size.rows
    assert (population["agents"], population["imported_at"]) == (2, NOW)
    assert sum(population["regions"].values()) == 2


async def test_the_same_import_again_is_harmless_and_another_one_is_refused(tmp_path: Path) -> None:
    async with platform(tmp_path, society=False) as there:
        await imported(there, tmp_path, 4)
        await imported(there, tmp_path, 4)
        other = people(tmp_path / "others.jsonl", person(9, synthetic=True))
        refused = await there.matrix("agents", "import", other)
    assert refused.code == 2
    assert "a society of 4 agents is here already" in refused.err


async def test_people_of_another_file_join_the_society_when_told_to(tmp_path: Path) -> None:
    async with platform(tmp_path, society=False) as there, reading(there.people):
        lines = (person(number, synthetic=True) for number in range(4))
        await there.matrix("agents", "import", people(tmp_path / "people.jsonl", *lines))
        lines = (person(number, synthetic=True) for number in range(2, 40))
        others = people(tmp_path / "others.jsonl", *lines, {"name": "Ada"})
        done = await there.matrix("agents", "import", others, "--join")
        again = await there.matrix("agents", "import", others, "--join", "--json")
    assert done.code == 0, done.err
    told = done.err.splitlines()
    assert told[0].startswith("not imported: others.jsonl:39: description: is missing")
    (joined,) = [line for line in told if "people joined" in line]
    assert joined.startswith("36 people joined: ")
    assert joined.endswith("2 were there before")
    assert told[-1].startswith("40 people in ")
    (fields,) = again.rows
    assert (fields["joined"], fields["present"], fields["agents"]) == (0, 38, 40)


async def test_a_file_that_cannot_be_used_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    async with platform(tmp_path, society=False) as there:
        for name, problem in (("gone.jsonl", "no such file"), ("empty.jsonl", "is empty")):
            refused = await there.matrix("agents", "import", tmp_path / name)
            assert (refused.code, problem in refused.err) == (2, True)
        assert (await there.matrix("agents", "population", "--json")).rows[0]["agents"] == 0


async def test_people_are_listed_page_by_page_up_to_the_limit(tmp_path: Path) -> None:
    async with platform(tmp_path, society=False) as there:
        await imported(there, tmp_path, 12)
        everybody = (await there.matrix("agents", "list", "--json")).rows
        some = await there.matrix("agents", "list", "--limit", "5")
        region, group = everybody[0]["region"], everybody[0]["group_id"]
        here = (await there.matrix("agents", "list", "--region", region, "--json")).rows
        mates = (await there.matrix("agents", "list", "--group", group, "--json")).rows
        groups = (await there.matrix("agents", "groups", "--json")).rows
        group_table = await there.matrix("agents", "groups")
    ids = [each["agent_id"] for each in everybody]
    assert len(set(ids)) == 12
    assert [line.split()[0] for line in some.out.splitlines()[1:]] == ids[:5]
    assert "only the first 5; --limit shows more" in some.err
    assert here == [each for each in everybody if each["region"] == region]
    assert mates == [each for each in everybody if each["group_id"] == group]
    assert sum(each["agents"] for each in groups) == 12
    assert all(each["group_id"] in group_table.out for each in groups)
    assert max(map(len, (some.out + group_table.out).splitlines())) <= 80


async def test_a_person_is_shown_as_the_service_has_them(tmp_path: Path) -> None:
    async with platform(tmp_path, society=False) as there:
        await imported(there, tmp_path, 4)
        someone = (await there.matrix("agents", "list", "--limit", "1", "--json")).rows[0]
        shown = await there.matrix("agents", "show", someone["agent_id"])
        (fields,) = (await there.matrix("agents", "show", someone["agent_id"], "--json")).rows
        missing = await there.matrix("agents", "show", "nobody")
    assert someone["name"] in shown.out
    assert fields["description"].split()[1] in shown.out
    assert (fields["agent_id"], fields["step"]) == (someone["agent_id"], -1)
    assert missing.code == 2
    assert "no agent 'nobody'" in missing.err


async def test_the_population_is_limited_and_set_free_again(tmp_path: Path) -> None:
    async with platform(tmp_path, society=False) as there:
        await imported(there, tmp_path, 4)
        for option, limit, told in (
            (("--max-agents", "0"), 0, "at most 0"),
            (("--max-agents", "3"), 3, "at most 3"),
            (("--no-limit",), None, "all"),
        ):
            assert told in (await there.matrix("agents", "population", *option)).out
            (size,) = (await there.matrix("agents", "population", "--json")).rows
            assert size["max_agents"] == limit
        for options, limits in (
            ("--max-agents 9 --min-agents 2", (2, 9)),
            ("--min-agents 4", (4, 9)),
            ("--max-agents 5", (4, 5)),
            ("--no-limit", (4, None)),
        ):
            asked = await there.matrix("agents", "population", *options.split(), "--json")
            (size,) = asked.rows
            assert (size["min_agents"], size["max_agents"]) == limits
        crossed = await there.matrix("agents", "population", "--max-agents", "3")
        shown = (await there.matrix("agents", "population")).out
        both = await there.matrix("agents", "population", "--no-limit", "--max-agents", "3")
    assert (crossed.code, "min_agents 4 is above max_agents 3" in crossed.err) == (2, True)
    assert all(words in shown for words in ("are to be active", "as many as may be", "are active"))
    assert (both.code, "exclude each other" in both.err) == (2, True)
