"""Traces of a whole run in one process, as a collector gets them."""

import asyncio
from pathlib import Path

from services.local.endpoints import ModelChoice
from services.local.platform import Platform
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.settings import TracingSettings
from services.runtime.tables import Table
from services.runtime.tracing import traced
from tests.integration.collector import Collected, Seen, collector

SAMPLES = 6
_WAY = [
    *("store", "send matrix.samples-judged.v1", "process matrix.instructions-generated.v1"),
    *("send matrix.instructions-generated.v1", "instruction", "send matrix.scenarios-extracted.v1"),
    *("scenario", "process matrix.step-completed.v1", "send"),
    *("process matrix.agents-acted.v1", "send matrix.agents-acted.v1", "step"),
]
"""From the row back to what a group did: the last step of a window sends more than the step."""


async def run(out: Path, settings: TracingSettings) -> None:
    order = RunSettings(out, ModelChoice("simulated"), 12, SAMPLES)
    with traced(settings, "run"):
        async with asyncio.timeout(90):
            outcome = await Platform(order, Progress(), lambda line: None).run()
    assert outcome.complete


def samples(out: Path) -> set[str]:
    return Table(str(out / "datasets" / "sft"), SAMPLE_SCHEMA).ids()


def way(found: Collected, store: Seen) -> list[str]:
    """Return the names of the spans from a row back to the root."""
    names = [span.name for span in found.ancestors(store)]
    return [*names[:-1], names[-1].split(" ")[0]]


async def test_one_trace_leads_from_what_a_group_did_to_the_row(tmp_path: Path) -> None:
    with collector() as found:
        await run(tmp_path, TracingSettings(endpoint=found.endpoint, sample_ratio=1))
    stored = {span.attributes["matrix.sample_id"]: span for span in found.named("store")}
    assert samples(tmp_path) <= stored.keys()
    ways = [way(found, stored[sample]) for sample in samples(tmp_path)]
    assert all([name for name in each if name != "send"][-1] == "step" for each in ways), ways
    short = [name.replace("send matrix.step-completed.v1", "send") for name in ways[0]]
    assert short == _WAY, ways[0]
    row = stored[next(iter(samples(tmp_path)))]
    [commit] = [span for span in found.named("commit") if (span.trace, span.id) in row.links]
    assert commit.trace != row.trace
    assert not commit.parent
    assert row.attributes["matrix.table_version"] == commit.attributes["matrix.table_version"]
    assert row.attributes["matrix.position"].startswith("matrix.samples-judged.v1[")


async def test_a_step_is_a_trace_of_its_own_linked_to_what_sent_its_token(tmp_path: Path) -> None:
    with collector() as found:
        await run(tmp_path, TracingSettings(endpoint=found.endpoint, sample_ratio=1))
    steps = found.named("step ")
    assert all(not step.parent and step.kind == "CONSUMER" for step in steps)
    assert len({step.trace for step in steps}) == len(steps) > 12
    known = found.by_id()
    later = [step for step in steps if step.links and step.links[0][1] in known]
    assert later, "no step follows another"
    for step in later:
        sender = known[step.links[0][1]]
        assert sender.name.startswith("send")
        assert sender.trace != step.trace
        root = list(found.ancestors(sender))[-1]
        assert root.name.startswith("step ")
        assert root.began < step.began
    for scenario in found.named("scenario"):
        others = [known[span] for _, span in scenario.links if span in known]
        assert all(each.name == "process matrix.step-completed.v1" for each in others)
        groups = {each.attributes["messaging.kafka.message.key"] for each in others}
        assert groups <= {scenario.attributes["matrix.group_id"]}
        assert known[scenario.parent].name == "process matrix.step-completed.v1"
    assert any(len(scenario.links) == 2 for scenario in found.named("scenario"))


async def test_model_calls_tell_what_they_cost_and_no_text(tmp_path: Path) -> None:
    with collector() as found:
        await run(tmp_path, TracingSettings(endpoint=found.endpoint, sample_ratio=1))
    chats = found.named("chat ")
    assert {chat.attributes["matrix.stage"] for chat in chats} >= {
        *("birth", "act", "route", "scenario", "instruction", "response", "judge")
    }
    for chat in chats:
        assert (chat.kind, chat.name) == ("CLIENT", "chat simulated")
        told = chat.attributes
        assert told["gen_ai.operation.name"] == "chat"
        assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == "simulated"
        assert told["gen_ai.usage.input_tokens"] > 0 < told["gen_ai.usage.output_tokens"]
        assert told["gen_ai.request.max_tokens"] > 0 <= told["gen_ai.request.temperature"]
        assert told["server.address"] == "127.0.0.1"
        assert told["server.port"] > 0
        assert not {"gen_ai.input.messages", "gen_ai.output.messages"} & told.keys()
    assert any(chat.attributes.get("gen_ai.request.choice.count", 1) > 1 for chat in chats)
    assert found.named("embeddings simulated")


async def test_prompts_stand_in_spans_where_that_is_asked_for(tmp_path: Path) -> None:
    with collector() as found:
        settings = TracingSettings(endpoint=found.endpoint, sample_ratio=1, prompts=True)
        await run(tmp_path, settings)
    [told, *_] = [chat.attributes for chat in found.named("chat ")]
    assert '"role":"user"' in told["gen_ai.input.messages"]
    assert '"finish_reason":"stop"' in told["gen_ai.output.messages"]


async def test_nothing_is_sent_and_no_header_written_when_no_trace_is_sampled(
    tmp_path: Path,
) -> None:
    with collector() as found:
        none = TracingSettings(endpoint=found.endpoint, sample_ratio=0)
        await run(tmp_path / "none", none)
        await run(tmp_path / "off", TracingSettings())
    assert found.requests == 0
    for name in ("none", "off"):
        assert samples(tmp_path / name)
        log = tmp_path / name / "log.db"
        assert b"traceparent" not in log.read_bytes()


async def test_a_collector_that_is_away_costs_the_run_nothing_but_its_spans(tmp_path: Path) -> None:
    with collector() as found:
        pass
    loop = asyncio.get_running_loop()
    settings = TracingSettings(endpoint=found.endpoint, sample_ratio=1)
    order = RunSettings(tmp_path, ModelChoice("simulated"), 12, SAMPLES)
    with traced(settings, "run"):
        outcome = await Platform(order, Progress(), lambda line: None).run()
        ended = loop.time()
    assert loop.time() - ended < 4
    assert outcome.complete
    assert len(samples(tmp_path)) == SAMPLES


async def test_a_run_that_goes_on_finds_the_traces_of_scenarios_in_the_log(tmp_path: Path) -> None:
    with collector() as found:
        settings = TracingSettings(endpoint=found.endpoint, sample_ratio=1)
        await run(tmp_path, settings)
        before = len(found.spans)
        order = RunSettings(tmp_path, ModelChoice("simulated"), 12, SAMPLES, name="other")
        with traced(settings.model_copy(update={"sample_ratio": 0.0}), "run"):
            assert (await Platform(order, Progress(), lambda line: None).run()).complete
        # Nothing new is sampled, so that these follow from scenarios of the first run.
    later = found.spans[before:]
    assert {"instruction", "store"} <= {span.name for span in later}
    assert not [span for span in later if span.name.startswith("step ")]
    for span in later:
        if span.name == "instruction":
            assert "scenario" in [each.name for each in found.ancestors(span)]
