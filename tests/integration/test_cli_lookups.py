"""`matrix trace`, `scenarios` and `samples` against real servers."""

from dataclasses import replace
from pathlib import Path

from tests.integration.cli_rpc import platform
from tests.integration.reward_filtering_rpc import judged


async def test_a_sample_is_traced_to_its_scenario(tmp_path: Path) -> None:
    sample = judged(1)
    source = replace(sample.provenance, scenario_id="bread", agent_id="bread/0")
    lost = replace(sample.provenance, scenario_id="gone")
    async with platform(tmp_path) as there:
        await there.samples.take_in(
            replace(sample, provenance=source), replace(judged(2), provenance=lost)
        )
        summary = there.library.get("bread").summary
        traced = await there.matrix("trace", sample.sample_id)
        (fields,) = (await there.matrix("trace", sample.sample_id, "--json")).rows
        orphan = await there.matrix("trace", judged(2).sample_id)
        unknown = await there.matrix("trace", "704cb4fa")
        both = await there.matrix("trace", sample.sample_id, "--out", tmp_path)
    assert traced.code == 0
    for title in ("sample", "verdict: accepted", "scenario", "agents", "actions and messages"):
        assert f"─ {title} ─" in traced.out
    assert "Question 1?" in traced.out
    assert fields["sample"]["sample_id"] == sample.sample_id
    assert fields["scenario"]["summary"] == summary
    assert (orphan.code, "'gone'" in orphan.err) == (2, True)
    assert (unknown.code, "'704cb4fa'" in unknown.err) == (2, True)
    assert (both.code, "give one of them" in both.err) == (2, True)


async def test_scenarios_are_found_by_meaning_and_shown_by_id(tmp_path: Path) -> None:
    async with platform(tmp_path) as there:
        summary = there.library.get("bread").summary
        found = await there.matrix("scenarios", "search", summary)
        (hit,) = (await there.matrix("scenarios", "search", summary, "--json")).rows
        elsewhere = await there.matrix("scenarios", "search", summary, "--region", "r09")
        shown = await there.matrix("scenarios", "show", "bread")
        missing = await there.matrix("scenarios", "show", "gone")
        empty = await there.matrix("scenarios", "search", "")
    assert "bread  similarity 1.00" in found.out
    assert hit["scenario"]["scenario_id"] == "bread"
    assert (elsewhere.code, "no scenarios there" in elsewhere.err) == (0, True)
    assert "id: bread" in shown.out
    assert missing.code == empty.code == 2


async def test_an_instruction_is_judged_with_the_responses_given(tmp_path: Path) -> None:
    question = "How do I descale a kettle with vinegar at home?"
    answers = ("Boil vinegar and water in it and rinse it twice.", "I do not know what that is.")
    given = [part for answer in answers for part in ("--response", answer)]
    async with platform(tmp_path) as there:
        shown = await there.matrix("samples", "judge", "--instruction", question, *given)
        (fields,) = (
            await there.matrix("samples", "judge", "--instruction", question, *given, "--json")
        ).rows
        short = await there.matrix("samples", "judge", "--instruction", "Why?")
        wrong = await there.matrix(
            "samples", "judge", "--instruction", question, "--filter", "responses=0"
        )
    assert fields["responses"] == list(answers)
    assert shown.out.count("(taken)") == (0 if fields["chosen"] < 0 else 1)
    assert all(f"response {number}, reward" in shown.out for number in (1, 2))
    assert "rejected: " in short.out
    assert (wrong.code, "responses is 0" in wrong.err) == (2, True)
