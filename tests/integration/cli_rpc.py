"""The command `matrix` against a platform of this process: real servers, log, simulated models."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from matrix.agent_state.v1.service_pb2_grpc import add_AgentStateServiceServicer_to_server
from matrix.instruction_generation.v1.service_pb2_grpc import (
    add_InstructionGenerationServiceServicer_to_server,
)
from matrix.reward_filtering.v1.service_pb2_grpc import (
    add_RewardFilteringServiceServicer_to_server,
)
from matrix.scenario_extraction.v1.service_pb2_grpc import (
    add_ScenarioExtractionServiceServicer_to_server,
)
from typer.testing import CliRunner

from services.agent_state import servicer as agent_state
from services.agent_state.codec import GROUP_STATE
from services.cli.agents import agents
from services.cli.datasets import datasets
from services.cli.dead_letters import dead_letters
from services.cli.scenarios import scenarios
from services.cli.top import top
from services.cli.trace import trace
from services.cli.watching import samples
from services.events import SocietyImported
from services.events.topics import AGENTS, POPULATION, SCENARIOS_EXTRACTED
from services.instruction_generation import servicer as instruction_generation
from services.reward_filtering import servicer as reward_filtering
from services.runtime.errors import MatrixError
from services.runtime.grpc_server import GrpcServer, Served
from services.runtime.peers import Peers, new_replica
from services.runtime.settings import GrpcSettings
from services.runtime.state import Changelog
from services.runtime.streams import Fanout
from services.scenario_extraction import servicer as scenario_extraction
from services.scenario_extraction.queries import ScenarioIndex, ScenarioSearch
from tests.integration import agent_state_rpc, instruction_generation_rpc, reward_filtering_rpc
from tests.integration.generating import scenario
from tests.integration.running import Process, open_log, process, publish, work

PLAIN = GrpcSettings()
UNSET = {
    name: None
    for name in (
        *("MATRIX_SERVER", "MATRIX_TOKEN", "MATRIX_TOKEN_FILE", "MATRIX_CA_FILE"),
        *("MATRIX_CERT_FILE", "MATRIX_KEY_FILE", "MATRIX_KAFKA__BOOTSTRAP_SERVERS"),
    )
}
"""The environment of whoever runs the tests is none of their business."""

app = typer.Typer(pretty_exceptions_enable=False)
app.add_typer(agents, name="agents")
app.add_typer(datasets, name="datasets")
app.add_typer(scenarios, name="scenarios")
app.add_typer(samples, name="samples")
app.add_typer(dead_letters, name="dead-letters")
app.command()(trace)
app.command()(top)


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    """To stdout: data."""
    err: str
    """To stderr: messages; of an error that ends the command, its text."""
    raw: bytes = b""
    """To stdout, as it was."""

    @property
    def rows(self) -> list[Any]:
        """The JSON objects that it wrote, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def said(*arguments: str | Path, **environment: str) -> Said:
    """Run the command to its end; errors of the platform end it as `services.cli.main` does."""
    variables = {**UNSET, "COLUMNS": "80", **environment}
    result = CliRunner().invoke(app, [str(each) for each in arguments], env=variables)
    out, raw = result.stdout_bytes.decode(errors="replace"), result.stdout_bytes
    if isinstance(result.exception, MatrixError):
        return Said(2, out, result.stderr + str(result.exception), raw)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, out, result.stderr, raw)


@dataclass
class Platform:
    """Four services behind one address."""

    address: str
    parts: Process
    people: agent_state_rpc.Replica
    orders: instruction_generation_rpc.Replica
    samples: reward_filtering_rpc.Replica
    library: ScenarioIndex

    async def matrix(self, *arguments: str | Path, **environment: str) -> Said:
        """Run a command that talks to this platform."""
        where = ("--server", self.address)
        return await asyncio.to_thread(said, *arguments, *where, **environment)


@asynccontextmanager
async def platform(
    folder: Path, settings: GrpcSettings = PLAIN, society: bool = True
) -> AsyncIterator[Platform]:
    """Serve a platform that has a scenario, `bread`, and unless told otherwise a society."""
    log = open_log(folder / "log.db")
    async with process(log) as parts:
        replica = new_replica()
        peers = Peers(settings, replica)
        people = agent_state_rpc.Replica(parts, Changelog(AGENTS.name, GROUP_STATE, log), log)
        orders = instruction_generation_rpc.Replica(parts, "orders", lambda key: True)
        verdicts = reward_filtering_rpc.Replica(parts, folder, "verdicts")
        verdicts.declared = orders.planner.datasets.keys()  # type: ignore[assignment]
        library = ScenarioIndex()
        if society:
            made = SocietyImported(30, 6, {"r00": 20, "r01": 10}, 0, "test", 1.0)
            await publish(log, POPULATION, "society", made)
        await publish(log, SCENARIOS_EXTRACTED, "group-bread", scenario("bread"))
        await work(orders.worker)
        await work(parts.worker("library", library.broadcasts()))
        search = ScenarioSearch(library, parts.models)
        scenarios_served = scenario_extraction.ScenarioExtractionServicer(
            library, search, Fanout(), peers
        )
        served = [
            Served(add_AgentStateServiceServicer_to_server, people.build(peers), agent_state.NAME),
            Served(
                add_InstructionGenerationServiceServicer_to_server,
                orders.build(peers),
                instruction_generation.NAME,
            ),
            Served(
                add_RewardFilteringServiceServicer_to_server,
                verdicts.build(peers),
                reward_filtering.NAME,
            ),
            Served(
                add_ScenarioExtractionServiceServicer_to_server,
                scenarios_served,
                scenario_extraction.NAME,
            ),
        ]
        permissions = {
            **agent_state.PERMISSIONS,
            **instruction_generation.PERMISSIONS,
            **reward_filtering.PERMISSIONS,
            **scenario_extraction.PERMISSIONS,
        }
        server = GrpcServer(settings, served, permissions, replica)
        await server.start()
        try:
            yield Platform(server.address, parts, people, orders, verdicts, library)
        finally:
            await server.stop(0)
            await peers.close()
    await log.close()


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "tests.integration.cli_rpc", *map(str, arguments)]


if __name__ == "__main__":
    try:
        app()
    except MatrixError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
