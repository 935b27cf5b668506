"""What the platform asks of its own services: who lives there, what is ordered, an import."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
import orjson
from matrix.agent_state.v1 import service_pb2 as agents
from matrix.agent_state.v1 import service_pb2_grpc as agents_grpc
from matrix.instruction_generation.v1 import service_pb2 as orders
from matrix.instruction_generation.v1 import service_pb2_grpc as orders_grpc

from services.agent_state.profiles import Profile
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_statuses import explained

_READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Society:
    """How large the society is."""

    agents: int
    groups: int


@dataclass(frozen=True, slots=True)
class DatasetLine:
    """A dataset, and how far it is."""

    name: str
    state: str
    accepted: int
    size: int
    """0 when it has no end."""
    rejected: int = 0

    def __str__(self) -> str:
        of = f" of {self.size:,}" if self.size else ""
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        return f"dataset {self.name}: {self.accepted:,}{of} samples, {self.state}{rejected}"


class Calls:
    """Calls to services of this platform; keeps one connection per address."""

    def __init__(self, access: Access, address: Callable[[str], str]) -> None:
        """Set up.

        Args:
            access: the token to show.
            address: of a replica of a service that is likely to answer.
        """
        self._access = access
        self._address = address
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def society(self) -> Society | None:
        """Return the society; None before it was imported.

        Raises:
            Retryable, Rejected: the service did not answer, or refused.
        """
        address, channel = self._channel("agent_state")
        stub: Any = agents_grpc.AgentStateServiceStub(channel)  # type: ignore[no-untyped-call]
        with explained(address):
            answer = await stub.GetPopulation(agents.GetPopulationRequest(), timeout=_READ_SECONDS)
        population = answer.population
        if not population.imported_at:
            return None
        return Society(population.agents, population.groups)

    async def import_society(
        self, profiles: Sequence[Profile], seed: int
    ) -> tuple[Society, tuple[str, ...]]:
        """Import people, and return the society and why some were not taken in.

        Raises:
            Rejected: none could be used, or another society is there.
            Retryable: the service or its model did not answer; the same import may be tried again.
        """
        address, channel = self._channel("agent_state")
        stub: Any = agents_grpc.AgentStateServiceStub(channel)  # type: ignore[no-untyped-call]
        with explained(address):
            answer = await stub.ImportAgents(_import(profiles, seed))
        problems = tuple(f"profile {error.line}: {error.reason}" for error in answer.errors)
        return Society(answer.agents, answer.groups), problems

    async def datasets(self) -> list[DatasetLine]:
        """Return the first 100 datasets.

        Raises:
            Retryable, Rejected: the service did not answer, or refused.
        """
        address, channel = self._channel("instruction_generation")
        stub: Any = orders_grpc.InstructionGenerationServiceStub(channel)  # type: ignore[no-untyped-call]
        with explained(address):
            answer = await stub.ListDatasets(orders.ListDatasetsRequest(), timeout=_READ_SECONDS)
        return [
            DatasetLine(
                dataset.order.dataset,
                dataset.status.state,
                dataset.status.accepted,
                0 if dataset.order.continuous else dataset.order.size,
                sum(dataset.status.rejected.values()),
            )
            for dataset in answer.datasets
        ]

    async def close(self) -> None:
        """Give the connections up."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()

    def _channel(self, service: str) -> tuple[str, grpc.aio.Channel]:
        address = self._address(service)
        if address not in self._channels:
            self._channels[address] = open_channel(address, self._access)
        return address, self._channels[address]


async def _import(
    profiles: Sequence[Profile], seed: int
) -> AsyncIterator[agents.ImportAgentsRequest]:
    yield agents.ImportAgentsRequest(options=agents.ImportOptions(seed=seed))
    for profile in profiles:
        fields = {
            "id": profile.profile_id,
            "name": profile.name,
            "headline": profile.headline,
            "description": profile.description,
            "actions": profile.actions,
            "synthetic": profile.synthetic,
        }
        yield agents.ImportAgentsRequest(profile=orjson.dumps(fields).decode())
