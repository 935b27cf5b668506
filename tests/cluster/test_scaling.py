"""1 -> 3 -> 1 replicas of each service in mid-run: partitions move, work does not notice."""

import asyncio
import json
import signal
import statistics
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from services.local.servers.process import LOOPBACK, free_ports
from tests.cluster.platform import PARTITIONS, Platform, check, platform, told_by
from tests.e2e.conftest import command

pytestmark = pytest.mark.long

SAMPLES = 150
MORE = 2
"""Replicas of each service that come and go."""
UNDERWAY = 10
EXIT_SECONDS = 20.0
"""The grace of a service, ten seconds, and what a busy machine takes to end a process."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A service process of ours."""

    service: str
    process: asyncio.subprocess.Process
    log: Path


async def test_scaling_out_and_in_again_loses_no_step_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATRIX_LOG_FORMAT", "json")
    async with platform(tmp_path, replicas=1, seconds_per_call=0.15) as now:
        await now.order("d", SAMPLES)
        await reached(now, UNDERWAY)
        async with AsyncExitStack() as stack:
            replicas = [
                await stack.enter_async_context(each) for each in more(now, tmp_path / "more")
            ]
            await now.until(lambda: all(map(owns, replicas)), "a share for each replica", 90)
            at_three = await now.accepted("d")
            await reached(now, at_three + UNDERWAY)
            at_leaving = await now.accepted("d")
            codes = await asyncio.gather(*(leave(replica) for replica in replicas))
        await now.filled("d", SAMPLES, seconds=120)
        story, rows = told_by(await now.history(), "d"), now.rows("d")
        logs = [*(now.directory / "logs").glob("*.log"), *(each.log for each in replicas)]
    moves = pauses(logs)
    print(
        f"\n{at_three} samples at 1 -> 3, {at_leaving} at 3 -> 1, {len(rows)} in the end; "
        f"{story.void} void records, {len(story.letters)} dead letters; {len(moves)} moves of "
        f"partitions, pause {statistics.median(moves):.2f} s (median), {max(moves):.2f} s (most)"
    )
    assert codes == [0] * len(replicas)
    assert at_leaving < SAMPLES
    # Each of the six groups gives two thirds away, and gets them back.
    assert len(moves) >= 6 * PARTITIONS
    check(story, rows, SAMPLES)
    assert story.letters == []


async def reached(now: Platform, samples: int) -> None:
    async with asyncio.timeout(90):
        while await now.accepted("d") < samples:  # noqa: ASYNC110 - over gRPC
            await asyncio.sleep(0.2)


def more(now: Platform, folder: Path) -> Iterable[Any]:
    """Return further replicas of each service, which are not started yet."""
    folder.mkdir()
    known = now.file("endpoints.json")
    for pid, service in now.services().items():
        content = Path(f"/proc/{pid}/environ").read_bytes().decode()
        environment = dict(entry.split("=", 1) for entry in content.split("\0") if entry)
        addresses = [f"{LOOPBACK}:{port}" for port in free_ports(MORE)]
        for address in addresses:
            own = {
                "MATRIX_GRPC__PORT": address.rpartition(":")[2],
                "MATRIX_GRPC__PEERS": ",".join([*known[service], *addresses]),
            }
            yield replica(service, environment | own, folder / f"{service}-{own[_PORT]}.log")


_PORT = "MATRIX_GRPC__PORT"


@asynccontextmanager
async def replica(service: str, environment: dict[str, str], log: Path) -> AsyncIterator[Replica]:
    """Run one more replica; in the end it is gone."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command("serve", service), stdout=output, stderr=output, env=environment
        )
    try:
        yield Replica(service, process, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def owns(replica: Replica) -> bool:
    assert replica.process.returncode is None, replica.log.read_text()[-2000:]
    return any(line.get("partitions") for line in lines(replica.log) if line["event"] == TAKEN)


async def leave(replica: Replica) -> int:
    """End a replica in order, and return its exit code."""
    replica.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(EXIT_SECONDS):
        return await replica.process.wait()


TAKEN, GIVEN = "partitions taken over", "partitions given up"


def lines(log: Path) -> list[dict[str, Any]]:
    """Return the events in a log; its last line may be half written."""
    found = []
    for line in log.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [line for line in found if isinstance(line, dict) and "timestamp" in line]


def pauses(logs: Iterable[Path]) -> list[float]:
    """Return for how long each partition that moved had no owner, in seconds."""
    events = sorted(
        (
            (datetime.fromisoformat(line["timestamp"]).timestamp(), log.name, line)
            for log in logs
            for line in lines(log)
        ),
        key=lambda event: event[0],
    )
    owner: dict[tuple[str, int], str] = {}
    given: dict[tuple[str, str], float] = {}
    leaving: dict[str, float] = {}
    found = []
    for at, process, line in events:
        if line["event"] == GIVEN:
            given[process, line["group"]] = at
        elif line["event"] == "drains":
            leaving[process] = at
        elif line["event"] == TAKEN:
            for partition in line["partitions"]:
                place = (line["group"], partition)
                before = owner.get(place, process)
                # One that leaves need not say what it gives up: it leaves from its drain on.
                since = leaving.get(before, given.get((before, line["group"])))
                if before != process and since is not None:
                    found.append(at - since)
                owner[place] = process
    return found
