"""A machine that cannot confine generated code: nothing is run, paid for, or lost."""

import asyncio
from pathlib import Path

import pytest

import services.reward_filtering
from services.events import DatasetDeclared, FilterSpec, Grant, codec
from services.events.topics import DEAD_LETTERS, INSTRUCTIONS_GENERATED, SAMPLES_JUDGED
from services.kinds import load_kinds
from services.local.composition import prompts_of
from services.local.endpoints import ModelChoice
from services.local.log import Log
from services.local.platform import Platform
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.reward_filtering.application import Filtering
from services.reward_filtering.consumer import FilteringConsumer
from services.reward_filtering.sandbox import Limits, Sandbox, execution
from services.reward_filtering.workbench import Workbench
from services.runtime.errors import Rejected, Retryable
from tests.integration.running import Process, events, open_log, process, publish
from tests.integration.test_judging import ASKED, candidate

TASK = "Write a function double(x) that returns twice the number x. Example: double(2) is 4."


@pytest.fixture
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every isolation fail as it does where the kernel forbids it: no report comes."""
    monkeypatch.setattr(execution, "command", lambda isolation, limits: ["/bin/false"])


@pytest.mark.usefixtures("unconfined")
async def test_a_run_of_kind_code_ends_before_it_begins_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    settings = RunSettings(tmp_path / "out", ModelChoice("simulated"), 12, 3, kind="code")
    progress = Progress()
    with pytest.raises(Retryable, match=r"cannot be confined .*rlimits: .*: allow user namesp"):
        await Platform(settings, progress, lambda text: None).run()
    assert progress.metrics.model.calls.total() == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("unconfined")
async def test_a_run_of_another_kind_does_not_ask_for_a_sandbox(tmp_path: Path) -> None:
    settings = RunSettings(tmp_path / "out", ModelChoice("simulated"), 12, 1)
    assert (await Platform(settings, Progress(), lambda text: None).run()).complete


class Latch:
    """Opens a sandbox from some moment on."""

    def __init__(self) -> None:
        self.offers = False
        self.looked = asyncio.Event()

    async def open(self) -> Sandbox:
        self.looked.set()
        if not self.offers:
            raise Rejected("no isolation here: use another machine")
        return await Sandbox.open()


def judging(parts: Process, log: Log, bench: Workbench) -> FilteringConsumer:
    prompts = prompts_of(services.reward_filtering)
    clock = lambda: 0.0  # noqa: E731
    filtering = Filtering(
        parts.journal, parts.models, prompts, load_kinds(), clock, workbench=bench
    )
    spec = FilterSpec(stages=("static", "response", "verifiable"), responses=2, rollouts=4)
    order = DatasetDeclared("d", "code", 9, "", (ASKED,), spec, (Grant("r00", 9),))
    filtering.set_dataset(order)
    return FilteringConsumer(filtering, log)


async def test_a_candidate_of_a_service_waits_for_a_sandbox_and_costs_nothing_meanwhile(
    tmp_path: Path,
) -> None:
    log, latch, now = open_log(tmp_path / "log.db"), Latch(), [0.0]
    await publish(log, INSTRUCTIONS_GENERATED, "d/r00", candidate(1, TASK))
    bench = Workbench(open_sandbox=latch.open, clock=lambda: now[0])
    async with process(log) as parts:
        consumer = judging(parts, log, bench)
        (delivery,) = await log.history(INSTRUCTIONS_GENERATED.name)
        for _ in range(2):
            with pytest.raises(Retryable, match="use another machine"):
                await consumer.on_instruction(delivery)
        assert latch.looked.is_set()
        assert parts.calls == 0
        assert await events(log, SAMPLES_JUDGED) == []
        latch.offers, now[0] = True, 1e6
        await consumer.on_instruction(delivery)
        assert parts.calls > 0
    (verdict,) = await events(log, SAMPLES_JUDGED)
    assert verdict.sample_id == "c1"
    assert verdict.tests
    assert await events(log, DEAD_LETTERS) == []
    await log.close()


async def test_what_a_text_alone_decides_needs_no_sandbox(tmp_path: Path) -> None:
    log, latch = open_log(tmp_path / "log.db"), Latch()
    async with process(log) as parts:
        consumer = judging(parts, log, Workbench(open_sandbox=latch.open))
        record = codec.to_record(INSTRUCTIONS_GENERATED, "d/r00", candidate(1, "Why?"))
        await log.publish([record])
        (delivery,) = await log.history(INSTRUCTIONS_GENERATED.name)
        await consumer.on_instruction(delivery)
    assert [verdict.reason for verdict in await events(log, SAMPLES_JUDGED)] == ["length"]
    assert not latch.looked.is_set()
    await log.close()


async def test_a_folder_that_cannot_be_used_is_named_and_is_no_verdict_on_code(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (tmp_path / "missing", file):
        with pytest.raises(Rejected, match=f"no private folder can be made: .*{folder.name}"):
            await Sandbox.open(folder=folder)
    gone = tmp_path / "gone"
    gone.mkdir()
    sandbox = await Sandbox.open(folder=gone)
    gone.rmdir()
    with pytest.raises(Retryable, match="no private folder can be made"):
        await sandbox.run_tests("x = 1", "assert x", Limits())
