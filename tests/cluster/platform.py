"""`matrix up` as a child process, with a model in this one whose every call is on record."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from deltalake import DeltaTable
from matrix.instruction_generation.v1 import service_pb2 as pb
from matrix.instruction_generation.v1.service_pb2_grpc import InstructionGenerationServiceStub

from services.events import SampleJudged, codec
from services.events import topics as t
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.fencing import Fence, is_marker
from services.runtime.kafka_tail import read_all
from services.runtime.ports import Delivery
from services.runtime.settings import KafkaSettings
from tests.e2e.conftest import command, write_society

PARTITIONS = 8
SESSION_SECONDS = 6
_AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


@dataclass
class Platform:
    """A platform at work."""

    directory: Path
    model: Simulator
    process: asyncio.subprocess.Process
    log: Path

    @property
    def told(self) -> str:
        return self.log.read_text()

    def file(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text())

    def secret(self, name: str) -> str:
        return (self.directory / "credentials" / name).read_text().strip()

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=self.file("endpoints.json")["kafka"], partitions=PARTITIONS
        )

    def services(self) -> dict[int, str]:
        """Return the service processes by pid."""
        return children(self.process.pid, "serve")

    async def until(
        self, condition: Callable[[], bool], what: str, seconds: float, pause: float = 0.1
    ) -> None:
        """Wait for a condition while the platform runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.returncode is None, self.told[-3000:]
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.told[-3000:]}"
            await asyncio.sleep(pause)

    async def ask(self, method: str, request: Any) -> Any:
        """Ask instruction_generation, any replica, until one answers."""
        metadata = [("authorization", f"Bearer {self.secret('operator-token')}")]
        addresses = self.file("endpoints.json")["instruction_generation"]
        deadline = time.monotonic() + 90
        while True:
            for address in addresses:
                async with grpc.aio.insecure_channel(address) as channel:
                    call = getattr(InstructionGenerationServiceStub(channel), method)  # type: ignore[no-untyped-call]
                    try:
                        return await call(request, metadata=metadata, timeout=5)
                    except grpc.aio.AioRpcError as error:
                        if error.code() not in _AWAY or time.monotonic() > deadline:
                            raise
            await asyncio.sleep(0.2)

    async def order(self, name: str, size: int) -> None:
        await self.ask("CreateDataset", pb.CreateDatasetRequest(name=name, kind="sft", size=size))

    async def accepted(self, name: str) -> int:
        answer = await self.ask("GetDataset", pb.GetDatasetRequest(name=name))
        return int(answer.dataset.status.accepted)

    async def filled(self, name: str, size: int, seconds: float) -> None:
        """Wait until an order is filled, and its rows are delivered."""
        deadline = time.monotonic() + seconds
        while await self.accepted(name) < size or len(self.rows(name)) < size:
            assert time.monotonic() < deadline, (
                f"{await self.accepted(name)} of {size} after {seconds} s, "
                f"{len(self.rows(name))} rows:\n{self.told[-2000:]}"
            )
            assert self.process.returncode is None, self.told[-3000:]
            await asyncio.sleep(0.5)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a dataset, read by somebody who knows S3 and Delta only."""
        endpoint = self.told.split("object store: ")[1].split(",")[0]
        options = {
            "aws_region": "us-east-1",
            "aws_endpoint_url": endpoint,
            "aws_allow_http": "true",
            "aws_access_key_id": self.secret("s3-access-key"),
            "aws_secret_access_key": self.secret("s3-secret-key"),
        }
        try:
            table = DeltaTable(f"s3://matrix/{name}", storage_options=options)
        except Exception:
            return []
        rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
        return rows

    async def history(self) -> list[Delivery]:
        """Return all messages of all topics."""
        return await read_all(self.kafka, "test", [topic.name for topic in t.TOPICS])


def children(parent: int, word: str) -> dict[int, str]:
    """Return the children of a process whose command line holds a word, and the word after it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes().decode().split("\0")
            if int(stat[1]) == parent and stat[0] != "Z" and word in line:
                found[int(entry.name)] = line[line.index(word) + 1]
    return found


@asynccontextmanager
async def platform(
    folder: Path, replicas: int, agents: int = 100, **model: Any
) -> AsyncIterator[Platform]:
    """Run a platform; in the end nothing of it is left."""
    people = write_society(folder / "people.jsonl", agents)
    simulator = Simulator(SimulatorSettings(seed=1, **model), record=True)
    url = await simulator.start()
    log = folder / "up.log"
    environment = {
        **os.environ,
        "MATRIX_KAFKA__SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        "MATRIX_MODELS__EMBEDDING__URL": url,
        "MATRIX_MODELS__EMBEDDING__NAME": "simulated",
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command("up", "--dir", folder / "up", "--model", url, "--profiles", people),
            *("--agents", str(agents), "--replicas", str(replicas)),
            *("--partitions", str(PARTITIONS)),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    made = Platform(folder / "up", simulator, process, log)
    try:
        await made.until(lambda: "Next:" in made.told, "the platform", 120)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await simulator.stop()


@dataclass
class Story:
    """What the log says happened."""

    messages: list[Delivery]
    void: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    """Accepting verdicts that count, by sample."""
    orphans: list[str] = field(default_factory=list)
    """Accepted samples whose scenario is nowhere."""
    steps: dict[str, dict[int, list[Any]]] = field(default_factory=dict)
    """StepCompleted events by group and step."""
    letters: list[Any] = field(default_factory=list)
    journalled_twice: list[str] = field(default_factory=list)
    """Model calls that were asked though their answer was in the journal."""


def told_by(messages: list[Delivery], dataset: str) -> Story:
    """Read the log as a stranger does."""
    fence = Fence()
    valid = fence.filtered(messages)
    story = Story(messages, fence.void, steps=defaultdict(lambda: defaultdict(list)))
    scenarios, samples, answers = set(), [], Counter[str]()
    for message in valid:
        if message.topic.endswith("-answers.v1"):
            answers[message.key] += bool(message.value)
        if not any(message.topic == topic.name and topic.carries for topic in t.TOPICS):
            continue
        if message.topic == t.DEAD_LETTERS.name and "type" not in message.headers:
            continue
        event = codec.from_delivery(message)
        if message.topic == t.STEP_COMPLETED.name:
            story.steps[event.group.group_id][event.step].append(event)
        elif message.topic == t.SCENARIOS_EXTRACTED.name:
            scenarios.add(event.scenario_id)
        elif message.topic == t.DEAD_LETTERS.name:
            story.letters.append(event)
        elif isinstance(event, SampleJudged) and event.dataset == dataset and event.accepted:
            samples.append(event)
    story.accepted = Counter(sample.sample_id for sample in samples)
    story.orphans = [s.sample_id for s in samples if s.provenance.scenario_id not in scenarios]
    story.journalled_twice = [key for key, count in answers.items() if count > 1]
    assert not any(is_marker(message) for message in valid)
    return story


def check(story: Story, rows: list[dict[str, Any]], size: int) -> None:
    """Nothing lost, nothing doubled."""
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids)) == size
    assert set(story.accepted) == set(ids)
    assert all(count == 1 for count in story.accepted.values())
    assert story.orphans == []
    assert story.steps
    for group_id, steps in story.steps.items():
        assert sorted(steps) == list(range(len(steps))), f"group {group_id} skipped a step"
        for step, repeats in steps.items():
            assert all(event == repeats[0] for event in repeats), f"{group_id}/{step} differs"


def repeats(model: Simulator) -> int:
    """Return how many chat calls were answered that had been answered before."""
    prompts = Counter(call.prompts for call in model.log if "chat" in call.path)
    return sum(count - 1 for count in prompts.values())


async def strike(platform: Platform, rng: random.Random, times: int, number: int) -> int:
    """Send a signal to a random service every 2 to 5 seconds; return the calls in flight then."""
    in_flight = 0
    for _ in range(times):
        await asyncio.sleep(rng.uniform(2, 5))
        alive = platform.services()
        if not alive:
            continue
        in_flight += platform.model.in_flight
        os.kill(rng.choice(sorted(alive)), number)
    return in_flight
