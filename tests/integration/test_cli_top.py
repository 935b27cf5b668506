"""`matrix top` against real servers: five services, some of them away, a terminal and none."""

import asyncio
import itertools
import json
import os
import pty
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.local.up.endpoints import Endpoints, write_endpoints
from services.local.up.settings import SERVICES
from services.runtime import telemetry
from services.runtime.grpc_server import GrpcServer
from services.runtime.metrics import Metrics
from services.runtime.peers import Peers, new_replica
from services.runtime.settings import GrpcSettings
from services.runtime.telemetry import PERMISSIONS, TelemetryServicer
from tests.integration.cli_rpc import Said, command, said

QUICK = ("--interval", "0.3")
PLAIN = GrpcSettings()


class Platform:
    """Services that tell metrics, and nothing else."""

    def __init__(self, addresses: dict[str, str], metrics: dict[str, Metrics]) -> None:
        self.addresses = addresses
        self.metrics = metrics

    @property
    def where(self) -> str:
        return ",".join(f"{name}={address}" for name, address in self.addresses.items())

    async def top(self, *arguments: str, **environment: str) -> Said:
        options = (*QUICK, "--server", self.where)
        return await asyncio.to_thread(said, "top", *arguments, *options, **environment)


@asynccontextmanager
async def platform(peers: str = "", settings: GrpcSettings = PLAIN) -> AsyncIterator[Platform]:
    """Serve the metrics of five services; `peers` are other replicas of agent_state."""
    addresses, metrics = dict[str, str](), dict[str, Metrics]()
    async with AsyncExitStack() as stack:
        for service in SERVICES:
            known = settings.model_copy(update={"peers": peers if service == SERVICES[0] else ""})
            others = Peers(known, replica := new_replica())
            stack.push_async_callback(others.close)
            metrics[service] = counted = Metrics()
            counted.process.ready = 1
            servicer = TelemetryServicer(service, replica, counted, others, 1 << 20)
            served = [telemetry.telemetry(servicer)]
            server = GrpcServer(settings, served, PERMISSIONS, replica)
            await stack.enter_async_context(server)
            addresses[service] = server.address
        # Each look finds ten more steps and two more samples.
        steps = itertools.count(100, 10)
        metrics["agent_state"].society.steps = steps.__next__  # type: ignore[assignment]
        line = metrics["reward_filtering"].line
        line.accepted["qa\x1b[31m", "sft"] = itertools.count(10, 2).__next__  # type: ignore[assignment]
        metrics["instruction_generation"].line.size["qa\x1b[31m"] = 100  # type: ignore[index]
        yield Platform(addresses, metrics)


async def test_figures_of_all_services_are_one_table_for_people() -> None:
    async with platform() as there:
        shown = await there.top("--once")
    assert shown.code == 0
    for service in SERVICES:
        (row,) = [line.split() for line in shown.out.splitlines() if line.startswith(service)]
        assert row[1] == "1/1"
    assert "qa\\u001b[31m" in shown.out
    assert "\x1b" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert len(shown.out.splitlines()) <= 40


async def test_figures_are_one_json_object_for_scripts_with_rates_between_two_looks() -> None:
    async with platform() as there:
        (told,) = (await there.top("--once", "--json")).rows
    seconds = told["window_seconds"]
    assert seconds > 0
    assert told["society"]["steps_per_second"] == pytest.approx(10 / seconds)
    (qa,) = told["datasets"]
    assert qa["name"] == "qa\x1b[31m"
    assert qa["samples_per_minute"] == pytest.approx(60 * 2 / seconds)
    assert (qa["acceptance"], qa["size"]) == (1, 100)
    assert [each["service"] for each in told["services"]] == list(SERVICES)
    assert all(each["cpu_percent"] is not None for each in told["services"])
    assert told["silent"] == []


async def test_what_does_not_answer_is_shown_as_such_and_the_others_go_on() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    hangs = f"127.0.0.1:{listening.getsockname()[1]}"
    with listening:
        async with platform(peers=hangs) as there:
            there.addresses["reward_filtering"] = "127.0.0.1:1"
            shown = await there.top("--once")
            (told,) = (await there.top("--once", "--json")).rows
    assert shown.code == 0
    assert f"agent_state: {hangs} did not answer in time" in shown.out
    assert "reward_filtering at 127.0.0.1:1 cannot be reached" in shown.out
    services = {each["service"]: each for each in told["services"]}
    assert (services["agent_state"]["ready"], services["agent_state"]["silent"]) == (1, 1)
    assert services["reward_filtering"]["replicas"] == 0
    assert told["society"]["steps_per_second"] > 0
    assert {each["service"] for each in told["silent"]} == {"agent_state", "reward_filtering"}


async def test_without_any_answer_the_command_says_what_to_do() -> None:
    gone = await asyncio.to_thread(said, "top", "--once", "--server", "agent_state=127.0.0.1:1")
    assert gone.code == 2
    assert "127.0.0.1:1 cannot be reached" in gone.err
    assert "`matrix up` starts one, --server says where it is" in gone.err


async def test_another_replica_is_asked_when_the_first_is_away(tmp_path: Path) -> None:
    async with platform() as there:
        known = {name: ("127.0.0.1:1", address) for name, address in there.addresses.items()}
        write_endpoints(tmp_path / "endpoints.json", Endpoints(known))
        where = ("--server", str(tmp_path / "endpoints.json"))
        shown = await asyncio.to_thread(said, "top", "--once", "--json", *QUICK, *where)
    assert [each["ready"] for each in shown.rows[0]["services"]] == [1] * len(SERVICES)


async def test_one_address_is_shown_as_the_service_that_it_is() -> None:
    async with platform() as there:
        where = ("--server", there.addresses["scenario_extraction"])
        shown = await asyncio.to_thread(said, "top", "--once", "--json", *QUICK, *where)
    (told,) = shown.rows
    assert [each["service"] for each in told["services"]] == ["scenario_extraction"]


async def test_who_is_not_known_is_told_so(tmp_path: Path) -> None:
    callers = tmp_path / "callers.toml"
    callers.write_text(
        f'[[callers]]\nname = "r"\ntoken_sha256 = "{"0" * 64}"\npermissions = ["read"]\n'
    )
    settings = GrpcSettings(callers_file=callers, token=SecretStr(""))
    async with platform(settings=settings) as there:
        refused = await there.top("--once", MATRIX_TOKEN="wrong")
    assert refused.code == 2
    assert "does not know this caller" in refused.err


async def test_without_a_terminal_tables_follow_each_other_until_ctrl_c() -> None:
    async with platform() as there:
        process = await asyncio.create_subprocess_exec(
            *command("top", "--json", *QUICK, "--server", there.where),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            rows = [json.loads(await process.stdout.readline()) for _ in range(3)]
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    assert process.returncode == 0
    assert err == b""
    assert rows[0]["window_seconds"] < rows[1]["window_seconds"] < rows[2]["window_seconds"]


async def test_a_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    async with platform() as there:
        process = await asyncio.create_subprocess_exec(
            *command("top", *QUICK, "--server", there.where),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "45"},
        )
        os.close(theirs)
        drawn = b""
        async with asyncio.timeout(30):
            while b"instruction_generation" not in drawn or b"rates over" not in drawn:
                drawn += await asyncio.to_thread(os.read, ours, 65536)
            process.send_signal(signal.SIGINT)
            try:
                while more := await asyncio.to_thread(os.read, ours, 65536):
                    drawn += more
            except OSError:  # Nobody holds the other end any more.
                pass
            await process.wait()
    os.close(ours)
    assert process.returncode == 0
    assert drawn.count(b"\x1b[?1049h") == drawn.count(b"\x1b[?1049l") == 1
    assert drawn.count(b"\x1b[?25l") == drawn.count(b"\x1b[?25h") >= 1
    assert b"Traceback" not in drawn
